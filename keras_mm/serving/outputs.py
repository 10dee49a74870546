"""Helpers shared by the REST and the gRPC transport."""


def lengths(sizes):
    """Replaces -1, any length, by None."""
    return [None if size < 0 else size for size in sizes]


def check_outputs(expected, got):
    """Raises a `ValueError` if a response does not have the outputs of the metadata.

    A newer version of the model may have other outputs.
    """
    if not isinstance(got, dict) or got.keys() != set(expected):
        names = sorted(got) if isinstance(got, dict) else type(got).__name__
        raise ValueError(
            f"The server's response must have the outputs {sorted(expected)} of its "
            f"metadata. Received: outputs={names}"
        )
