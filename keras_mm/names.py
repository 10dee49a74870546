"""Names of layers, and of columns in a served model.

A layer's name ends in "-" and its role; no column may have such a name.
"""

import itertools
import keyword
import re
import unicodedata

# The names of arguments that TensorFlow accepts; it changes others.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Reserved by TensorFlow and by Python.
_RESERVED = ("self", *keyword.kwlist)
_ENCODER, _INPUT = "-encoder", "-input"
_ROLES = (
    *("input", "encoder", "decoder", "fusion", "dropout", "modality-dropout"),
    *("imputation", "token", "hidden", "logits", "similarity", "embedding"),
    *("tower", "noise", "places", "bottleneck", "convolution", "pooling", "vector"),
    "member",
)
_LAYER = re.compile(f"{_NAME.pattern}-({'|'.join(_ROLES)})")


def served_name(column):
    """A column's name in an exported model: a letter, then letters, digits and `_`.

    Valid names are unchanged. Accents are removed, punctuation and spaces become `_`,
    and letters of other scripts become their Unicode code points.

    Examples:

    >>> from keras_mm.names import served_name
    >>> served_name("price"), served_name("unit price (EUR)"), served_name("2nd")
    ('price', 'unit_price_EUR', 'column_2nd')

    Args:
        column: string.
    """
    if _NAME.fullmatch(column) and column not in _RESERVED:
        return column
    parts = []
    for char in unicodedata.normalize("NFKD", column.replace("ß", "ss")):
        if unicodedata.combining(char):
            continue
        if char.isascii():
            parts.append(char if char.isalnum() else "_")
        else:
            parts.append(f"_u{ord(char):x}_" if char.isalnum() else "_")
    name = re.sub("__+", "_", "".join(parts)).strip("_")
    is_name = name[:1].isalpha() and name not in _RESERVED
    return name if is_name else f"column_{name}".rstrip("_")


def answer_name(target):
    """A target's name in an exported model; as no argument has it, it may be `class`.

    Args:
        target: string.
    """
    return target if keyword.iskeyword(target) else served_name(target)


def pair_names(names):
    """Names of the attention from one modality to another, one per ordered pair.

    Where two names would be equal (`a` to `b_to_c`, `a_to_b` to `c`), all names get
    more `_` around `to`.

    Examples:

    >>> from keras_mm.names import pair_names
    >>> pair_names(["image", "text"])
    ['image_to_text', 'text_to_image']

    Args:
        names: list of distinct served names.

    Returns:
        list of strings, in the order of `itertools.permutations`.
    """
    for length in itertools.count(1):
        middle = "_" * length
        pairs = [
            f"{a}{middle}to{middle}{b}" for a, b in itertools.permutations(names, 2)
        ]
        if len(set(pairs)) == len(pairs):
            return pairs


def joined_names(pairs):
    """One name per pair of served names, with as many `_` between as needed.

    Examples:

    >>> from keras_mm.names import joined_names
    >>> joined_names([("price", "image"), ("price", "text")])
    ['price_image', 'price_text']
    >>> joined_names([("a", "b_c"), ("a_b", "c")])
    ['a__b_c', 'a_b__c']

    Args:
        pairs: list of distinct pairs of served names.

    Returns:
        list of distinct strings.
    """
    for length in itertools.count(1):
        names = [f"{one}{'_' * length}{other}" for one, other in pairs]
        if len(set(names)) == len(names):
            return names


def layer_name(role, of="modality"):
    """The name that the library gives to a layer.

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
    # An input layer's name holds the exact name of its column.
    return f"{of if role == 'input' else served_name(of)}-{role}"


def is_layer_name(name):
    """Whether the name is reserved for the library's layers: no column may have it."""
    return bool(_LAYER.fullmatch(name)) or name.endswith((_INPUT, _ENCODER))


def is_encoder_name(name):
    """Whether a layer with this name is a modality's encoder."""
    return name.endswith(_ENCODER)


def check_names(names, what="columns"):
    """Raises a `ValueError` if names of columns are ambiguous or invalid.

    One message lists all of them, with the call that renames them.

    Args:
        names: list of strings.
        what: string, what they are the names of, such as `"towers"`.
    """
    names = list(dict.fromkeys(names))
    wrong = [name for name in names if not _is_fine(name)]
    if wrong:
        renamed = {name: served_name(str(name)) for name in wrong}
        raise ValueError(
            "A column's name must be text without '/', which Keras does not allow in "
            "names of inputs, and not the name of a layer, such as 'image-encoder'. "
            f"Rename the column: table.rename(columns={renamed}). "
            f"Received: names={wrong}"
        )
    columns = {}
    for name in names:
        columns.setdefault(served_name(name), []).append(name)
    for served, several in columns.items():
        if len(several) > 1:
            raise ValueError(
                f"The {what} {several} would both be {served!r} in an exported "
                f"model. Rename one of them: {_renaming(what, several[1], served)}. "
                f"Received: names={names}"
            )


def _renaming(what, name, served):
    if what != "columns":
        return f"call {name!r} {served + '_2'!r}"
    return f"table.rename(columns={ {name: served + '_2'} })"


def _is_fine(name):
    return (
        isinstance(name, str)
        and bool(name.strip())
        and "/" not in name
        and not is_layer_name(name)
    )


def check_answers(schema):
    """Raises a `ValueError` if an exported model would have two outputs of one name."""
    owners = {}
    for name, value in [*schema.inputs.items(), *schema.targets.items()]:
        # Most inputs have no output of their own.
        if name in schema.inputs and not value.ok_suffix:
            continue
        named = served_name if name in schema.inputs else answer_name
        for answer in value.answers(named(name)):
            if answer.endswith("_bytes"):
                raise ValueError(
                    f"TF Serving sends an output whose name ends in '_bytes' as "
                    "binary data. Rename the target: table.rename(columns="
                    f"{ {name: name + '_value'} }). "
                    f"Received: targets={list(schema.targets)}"
                )
            if answer in owners:
                raise ValueError(
                    f"An exported model would have two outputs {answer!r}, of the "
                    f"columns {owners[answer]!r} and {name!r}. "
                    "Rename one of them: table.rename(columns="
                    f"{ {name: name + '_2'} }). Received: "
                    f"inputs={list(schema.inputs)}, targets={list(schema.targets)}"
                )
            owners[answer] = name
