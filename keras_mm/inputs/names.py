"""Names that hold in layers and in a served model, whatever a column is called."""

import re
import unicodedata

# What TensorFlow takes as the name of an argument; it changes any other one.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# What it calls the first argument itself.
_TAKEN = ("self",)


def served_name(column):
    """A column's name in an exported model: a letter, then letters, digits and `_`.

    A name that is one already stays. Accents go, and signs and spaces become `_`;
    letters of other scripts become their Unicode numbers.

    Examples:

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
