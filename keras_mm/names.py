"""Names of layers, and of columns in a served model.

A layer's name holds a "-" before the role that it plays; no column has such a name.
"""

import itertools
import keyword
import re
import unicodedata

# What TensorFlow takes as the name of an argument; it changes any other one.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# What it calls the first argument itself, and what Python keeps to itself.
_TAKEN = ("self", *keyword.kwlist)
_ENCODER, _INPUT = "-encoder", "-input"
_ROLES = (
    *("input", "encoder", "decoder", "fusion", "dropout", "modality-dropout"),
    *("imputation", "token", "hidden", "logits", "similarity", "embedding"),
    *("tower", "noise", "places", "bottleneck", "convolution", "pooling", "vector"),
)
_LAYER = re.compile(f"{_NAME.pattern}-({'|'.join(_ROLES)})")


def served_name(column):
    """A column's name in an exported model: a letter, then letters, digits and `_`.

    A name that is one already stays. Accents go, and signs and spaces become `_`;
    letters of other scripts become their Unicode numbers.

    Examples:

    >>> from keras_mm.names import served_name
    >>> served_name("price"), served_name("unit price (EUR)"), served_name("2nd")
    ('price', 'unit_price_EUR', 'column_2nd')

    Args:
        column: string.
    """
    if _NAME.fullmatch(column) and column not in _TAKEN:
        return column
    found = []
    for char in unicodedata.normalize("NFKD", column.replace("ß", "ss")):
        if unicodedata.combining(char):
            continue
        if char.isascii():
            found.append(char if char.isalnum() else "_")
        else:
            found.append(f"_u{ord(char):x}_" if char.isalnum() else "_")
    name = re.sub("__+", "_", "".join(found)).strip("_")
    is_name = name[:1].isalpha() and name not in _TAKEN
    return name if is_name else f"column_{name}".rstrip("_")


def answer_name(target):
    """A target's name in an exported model, which may be `class`: no argument has it.

    Args:
        target: string.
    """
    return target if keyword.iskeyword(target) else served_name(target)


def pair_names(names):
    """What attention from one modality to another is called, a name for each pair.

    Where `a` to `b_to_c` would be called as `a_to_b` to `c` is, the middle grows.

    Examples:

    >>> from keras_mm.names import pair_names
    >>> pair_names(["image", "text"])
    ['image_to_text', 'text_to_image']

    Args:
        names: list of different served names.

    Returns:
        list of strings, in the order of `itertools.permutations`.
    """
    for length in itertools.count(1):
        middle = "_" * length
        found = [
            f"{a}{middle}to{middle}{b}" for a, b in itertools.permutations(names, 2)
        ]
        if len(set(found)) == len(found):
            return found


def joined_names(pairs):
    """A name for each pair of served names, with as many `_` between as needed.

    Examples:

    >>> from keras_mm.names import joined_names
    >>> joined_names([("price", "image"), ("price", "text")])
    ['price_image', 'price_text']
    >>> joined_names([("a", "b_c"), ("a_b", "c")])
    ['a__b_c', 'a_b__c']

    Args:
        pairs: list of different pairs of served names.

    Returns:
        list of different strings.
    """
    for length in itertools.count(1):
        names = [f"{one}{'_' * length}{other}" for one, other in pairs]
        if len(set(names)) == len(names):
            return names


def layer_name(role, of="modality"):
    """The name of a layer that the library makes.

    Examples:

    >>> from keras_mm.names import layer_name
    >>> layer_name("encoder", "image"), layer_name("fusion")
    ('image-encoder', 'modality-fusion')

    Args:
        role: string, what the layer does.
        of: string, the modality, column, target or tower that it belongs to.
    """
    if role not in _ROLES:
        raise ValueError(f"`role` must be one of {_ROLES}. Received: role={role!r}")
    # Inputs alone may have any name, and tell by it which column they are.
    return f"{of if role == 'input' else served_name(of)}-{role}"


def is_layer_name(name):
    """Whether the library could call a layer so, and a column must not be."""
    return bool(_LAYER.fullmatch(name)) or name.endswith((_INPUT, _ENCODER))


def is_encoder_name(name):
    """Whether a layer of this name is a modality's encoder."""
    return name.endswith(_ENCODER)
