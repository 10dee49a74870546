"""Files that nobody ever sees half of."""

import contextlib
import os


@contextlib.contextmanager
def replacing(path):
    """Gives the name of a file that gets the name `path` if all goes well."""
    temporary = f"{os.fspath(path)}.{os.getpid()}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
