from ..inputs import Number
from ..targets import ClassLabel, MultiLabel
from .cell_kinds import has_decimal_comma, is_number
from .column_kinds import COMMAS, are_numbers, has_categories, nearly_all, present_cells

# Whole numbers of more values than this are numbers, not classes.
_MOST_CLASSES = 20


def target_for(column, name):
    """Infers the target of a column."""
    cells = present_cells(column)
    if not cells:
        raise ValueError(f"Target column {name!r} is empty. Received: target={name!r}")
    if all(
        isinstance(cell, (list, tuple, set)) or len(getattr(cell, "shape", ())) == 1
        for cell in cells
    ):
        return MultiLabel()
    distinct = len({str(cell) for cell in cells})
    if has_categories(column):
        return ClassLabel()
    if are_numbers(cells):
        whole = all(float(cell).is_integer() for cell in cells if is_number(cell))
        return ClassLabel() if whole and distinct <= _MOST_CLASSES else Number()
    if distinct > _MOST_CLASSES and nearly_all(has_decimal_comma, cells):
        raise ValueError(
            f"Target column {name!r} holds {COMMAS}. Received: {name}={cells[0]!r}"
        )
    if distinct > 0.5 * len(cells) and distinct > _MOST_CLASSES:
        raise ValueError(
            f"Target column {name!r} has a different text in most rows; a "
            "classifier needs a few classes. Choose another target. "
            f"Received: {name} with {distinct} values in {len(cells)} rows"
        )
    return ClassLabel()


def classes_note(target, column, name):
    """A note that integers with many different values may be classes."""
    cells = [cell for cell in column if is_number(cell)]
    if target.kind != "number" or not all(float(cell).is_integer() for cell in cells):
        return None
    distinct = len({float(cell) for cell in cells})
    return (
        f"{distinct} whole numbers are taken for numbers; if they are classes: "
        f"types={{{name!r}: keras_mm.ClassLabel()}}, or keras-mm train --as classes"
    )
