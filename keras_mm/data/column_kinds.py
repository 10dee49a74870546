"""What kind of values most cells of a column hold."""

from ..inputs.cells import cells_in, is_missing, is_no_value
from ..inputs.literals import from_text
from .cell_kinds import is_code, is_number
from .row_cells import to_cell

COMMAS = "numbers with a decimal comma; write them with a point, 1234.5"


def present_cells(column):
    """The cells that are not missing, with text and bytes decoded."""
    cells = [
        to_cell(cell, is_file=True) if isinstance(cell, bytes) else cell
        for cell in cells_in(column)
        if not is_missing(cell)
    ]
    first = cells[:20]
    read = [from_text(cell) for cell in first]
    if not most_are((new is not old for new, old in zip(read, first)), first):
        return cells
    cells = [from_text(cell) for cell in cells]
    return [cell for cell in cells if not is_missing(cell)]


def most_are(answers, cells):
    """Whether more than half of the answers about cells are true."""
    return 2 * sum(answers) > len(cells)


def nearly_all(question, cells):
    """Whether a predicate holds for 95% of the cells, or all but one of at least 10."""
    no = sum(not question(cell) for cell in cells)
    return bool(cells) and (no <= 0.05 * len(cells) or (no == 1 and len(cells) >= 10))


def are_numbers(cells):
    """Whether nearly all cells are numbers, and none is a code of digits."""
    cells = [cell for cell in cells if not is_no_value(cell)]
    return not any(map(is_code, cells)) and nearly_all(is_number, cells)


def has_categories(column):
    """Whether a column has the pandas dtype `category`."""
    return str(column.dtype) == "category"
