from .columns import require_columns
from .content import digest
from .to_table import to_table


def overlap(first, second, column):
    """Counts the rows of `second` whose cell also occurs in `first`.

    Test scores are too good if test images also occur in the training rows.

    Examples:

    >>> keras_mm.data.overlap(train, test, "image")
    0

    Args:
        first: rows, in any form that `to_table` reads.
        second: rows, in the same forms.
        column: string, the column to compare.

    Returns:
        int, the number of rows of `second`.
    """
    first, second = to_table(first), to_table(second)
    require_columns(first.columns, [column])
    require_columns(second.columns, [column])
    seen = {digest(cell) for cell in first[column]} - {None}
    return sum(digest(cell) in seen for cell in second[column])
