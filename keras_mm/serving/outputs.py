"""What both interfaces of a server share."""


def lengths(sizes):
    """-1 -> None, any length."""
    return [None if size < 0 else size for size in sizes]


def check_outputs(expected, got):
    """Raises a `ValueError` if an answer has not the outputs of the metadata.

    A newer version of the model may have others.
    """
    if not isinstance(got, dict) or got.keys() != set(expected):
        shown = sorted(got) if isinstance(got, dict) else type(got).__name__
        raise ValueError(
            f"The server answers with other outputs than {sorted(expected)}, which "
            f"its metadata lists. Received: outputs={shown}"
        )
