import collections
import os

from ..errors import warn
from .cell_kinds import PICTURE_ENDINGS


def from_folder(path):
    """Reads a folder of images with one subfolder per class.

    Hidden files and folders, whose names begin with a dot, and files that are not
    images are skipped; one warning counts them.

    Examples:

    >>> table = keras_mm.data.from_folder("flowers")

    Args:
        path: the folder.

    Returns:
        DataFrame with `image` (paths), `label` (the subfolder's name) and `text`
        where there is a file `name.txt` beside `name.jpg`.
    """
    import pandas as pd

    if not os.path.isdir(path):
        raise ValueError(f"There is no such folder. Received: path={path!r}")
    rows, skipped = [], collections.Counter()
    for label in sorted(os.listdir(path)):
        folder = os.path.join(path, label)
        if label.startswith(".") or not os.path.isdir(folder):
            skipped[_what(path, label)] += 1
            continue
        texts = set()
        for file in sorted(os.listdir(folder)):
            stem, ending = os.path.splitext(os.path.join(folder, file))
            if file.startswith(".") or ending.lower() not in PICTURE_ENDINGS:
                skipped[_what(folder, file)] += 1
                continue
            row = {"image": stem + ending, "label": label}
            if os.path.isfile(stem + ".txt"):
                row["text"] = _read_text(stem + ".txt")
                texts.add(stem)
            rows.append(row)
        skipped["files .txt"] -= len(texts)
    if not rows:
        raise ValueError(
            "The folder must hold one sub-folder of images for each class "
            f"({', '.join(PICTURE_ENDINGS)}). Received: path={path!r}"
        )
    # Counts above 0.
    skipped = ", ".join(f"{count} {what}" for what, count in sorted((+skipped).items()))
    if skipped:
        warn(f"Skipped in {os.fspath(path)!r}: {skipped}.")
    return pd.DataFrame(rows)


def _what(folder, name):
    """The kind of a skipped file, for the warning."""
    if name.startswith("."):
        return "hidden"
    if os.path.isdir(os.path.join(folder, name)):
        return "folders in folders"
    return f"files {os.path.splitext(name)[1].lower() or 'without an ending'}"


def _read_text(path):
    with open(path, encoding="utf-8") as file:
        try:
            return file.read().strip()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"The file is not UTF-8 text. Save it as UTF-8. Received: path={path!r}"
            ) from error
