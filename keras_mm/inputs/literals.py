"""Lists and dicts in the cells of text files, as pandas and JSON write them."""

import ast
import json
import math
import re

_TOKEN = re.compile(
    r"""\s*([\[\](){},:]|b?'(?:\\.|[^'\\])*'|b?"(?:\\.|[^"\\])*"|[^\s\[\](){},:'"]+)""",
    re.DOTALL,
)
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_WORDS = {"True": True, "true": True, "False": False, "false": False}
_WORDS |= dict.fromkeys(("None", "null", "<NA>"))
_WORDS |= dict.fromkeys(("nan", "NaN"), math.nan)
_NUMBER = re.compile(r"[+-]?(([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?|inf)")
# What NumPy prints for one dimension; such cells may be very long.
_FLAT = re.compile(r"\[[0-9eE+.\s-]*\]")
_DEPTH = 32


def from_text(cell):
    """A cell that spells a list or a dict -> the list or dict; other cells unchanged.

    `DataFrame.to_csv` writes a list as Python does, `['a', 'b']`, and an array as
    NumPy does, `[0.1 0.2]`; other programs write JSON. Tuples and sets become
    lists. Text that was cut short with `...` is not a list.
    """
    if not isinstance(cell, (str, bytes, bytearray)):
        return cell
    # The first and last characters rule out most cells, and all files.
    ends = ("[", "]"), ("(", ")"), ("{", "}")
    if not isinstance(cell, str):
        ends = tuple((first.encode(), last.encode()) for first, last in ends)
    text = cell.strip()
    if (text[:1], text[-1:]) not in ends:
        return cell
    try:
        text = text if isinstance(text, str) else bytes(text).decode("utf-8")
        try:
            return json.loads(text)
        except ValueError:
            return _read(text)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return cell


def is_cut_short(cell):
    """Whether text is a printed array that NumPy has shortened with `...`."""
    if not isinstance(cell, str) or " ..." not in cell:
        return False
    return from_text(cell) is cell and not isinstance(
        from_text(cell.replace("...", "")), str
    )


def _read(text):
    """Text -> list or dict; `ValueError` if it is neither."""
    if _FLAT.fullmatch(text):
        return [float(number) for number in text[1:-1].split()]
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError("no list")
        tokens.append(match[1])
        at = match.end()
    tokens.reverse()
    value = _value(tokens, 0)
    if tokens:
        raise ValueError("text after the list")
    return value


def _take(tokens, wanted=None):
    """Pops the next of the reversed tokens."""
    if not tokens or wanted not in (None, tokens[-1]):
        raise ValueError("no list")
    return tokens.pop()


def _value(tokens, depth):
    token = _take(tokens)
    if depth > _DEPTH:
        raise ValueError("lists nested too deeply")
    if token in _CLOSING:
        return _items(tokens, token, depth)
    if token[-1] in "'\"":
        return ast.literal_eval(token)
    if tokens and tokens[-1] == "(":
        # np.float64(0.5), array([0.5, 1.0], dtype=float32)
        tokens.pop()
        value = _value(tokens, depth + 1)
        while _take(tokens) != ")":
            pass
        return value
    if token in _WORDS:
        return _WORDS[token]
    if not _NUMBER.fullmatch(token):
        raise ValueError("neither number nor text in quotes")
    return int(token) if token.lstrip("+-").isdigit() else float(token)


def _items(tokens, opening, depth):
    """Parses what follows an opening bracket, up to its closing one."""
    items, pairs, has_comma = [], {}, False
    while not tokens or tokens[-1] != _CLOSING[opening]:
        item = _value(tokens, depth + 1)
        if opening == "{" and tokens and tokens[-1] == ":":
            tokens.pop()
            pairs[item] = _value(tokens, depth + 1)
        else:
            items.append(item)
        # NumPy separates by spaces alone.
        if tokens and tokens[-1] == ",":
            has_comma = True
            tokens.pop()
    tokens.pop()
    if (pairs and items) or (opening == "(" and not has_comma):
        raise ValueError("no list")
    return pairs or items
