"""Atomic writes of files."""

import contextlib
import os


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary file name; on success the file is renamed to `path`."""
    temporary = f"{os.fspath(path)}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
