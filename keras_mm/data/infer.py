import math
import os

from ..inputs import (
    Audio,
    Category,
    ClassLabel,
    Date,
    Image,
    MultiLabel,
    Number,
    Sequence,
    Text,
    Vector,
    Video,
)
from ..inputs.audio import is_sound, length_and_rate
from ..inputs.cells import is_missing, to_floats
from ..inputs.date import to_iso
from ..inputs.graph import infer_graph, is_graph
from ..inputs.image import check_encoded
from ..inputs.items import items_of
from ..inputs.video import is_clip, is_clip_path
from .columns import require_columns
from .schema import Schema
from .to_table import to_table

_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
# Longer sequences are cut: encoders take time for each step.
_MOST_STEPS = 1024
# Longer lists of pictures are taken for the frames of a clip.
_MOST_PICTURES = 16
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")


def infer_schema(
    table, target, inputs=None, exclude=(), base_dir=None, image_size=96, verbose=True
):
    """Decides what each column of a table is, says so, and adapts to it.

    A column becomes an `Image` if its cells are encoded pictures, paths of
    pictures or lists of up to 16 of them, a `Video` if they are clips, paths of
    clips, arrays of frames or longer lists of pictures, an
    `Audio` of up to 10 seconds if they are sounds or paths of sounds, a `Graph` if
    they are dicts of nodes and edges, a `Number` if they are numbers, a `Date` if
    nearly all are dates in ISO form, a `Category` if the same few texts come again
    and again, and a `Text` otherwise; lists of texts become one, too. Lists and arrays of numbers become a `Vector`
    if they have one length, and a `Sequence` if they have several or two
    dimensions. Columns that cannot
    help (all missing, one value only, a different code in every row) are left
    out. Columns that say which rows belong together, such as an author or a
    split, must be named in `exclude`: nothing in them tells.

    Examples:

    >>> schema = keras_mm.infer_schema(train, target="category",
    ...                                exclude=["id", "group"])

    Args:
        table: the training rows, in any form that `to_table` reads.
        target: name of the column to predict, or a list of several; see
            `keras_mm.build_multitask`.
        inputs: names of the columns to use; all but the excluded if not given.
        exclude: names of columns to leave out.
        base_dir: folder that relative file paths start from.
        image_size: int or pair, height and width that pictures get.
        verbose: bool, whether to print what was decided.

    Returns:
        An adapted `Schema`.
    """
    table = to_table(table)
    targets = [target] if isinstance(target, str) else list(target)
    require_columns(table.columns, [*targets, *(inputs or ()), *exclude])
    if inputs is not None and set(targets) & set(inputs):
        raise ValueError(
            "The target cannot be an input: the model would be told the answer. "
            f"Received: target={target!r}, inputs={list(inputs)}"
        )
    names = [
        name
        for name in (inputs or table.columns)
        if name not in targets and name not in exclude
    ]
    found, left_out = {}, {}
    for name in names:
        kind = _input_for(table[name], base_dir, image_size)
        if isinstance(kind, str):
            left_out[name] = kind
        else:
            found[name] = kind
    if inputs is not None and left_out:
        raise ValueError(
            "Columns that were asked for cannot be inputs: "
            + "; ".join(f"{name}: {why}" for name, why in left_out.items())
            + f". Received: inputs={list(inputs)}"
        )
    answers = {name: _target_for(table[name], name) for name in targets}
    schema = Schema(found, answers).adapt(table)
    if verbose:
        print(schema.describe())
        for name, why in left_out.items():
            print(f"  {name} left out: {why}")
    return schema


def _known(column):
    return [cell for cell in column if not is_missing(cell)]


def _input_for(column, base_dir, image_size):
    """An input for the column, or the reason why there is none."""
    cells = _known(column)
    if not cells:
        return "every cell is missing"
    first = cells[:20]
    if 2 * sum(map(_is_list, first)) > len(first):
        found = _items_for(cells, base_dir, image_size)
        if found:
            return found
    if 2 * sum(_is_clip(cell, base_dir) for cell in first) > len(first):
        return Video()
    # A broken picture among others is not what the column is; it is refused,
    # with its row, when the table is read.
    if 2 * sum(_is_picture(cell, base_dir) for cell in first) > len(first):
        return Image(image_size)
    sounds = [cell for cell in first if _is_sound(cell)]
    if 2 * len(sounds) > len(first):
        return _audio_for(sounds, base_dir)
    if 2 * sum(map(is_graph, first)) > len(first):
        return _graph_for(cells)
    if all(isinstance(cell, (list, tuple)) or _is_array(cell) for cell in first):
        return _series_for(cells)
    if any(isinstance(cell, (bytes, bytearray, list, tuple, dict)) for cell in cells):
        return "neither pictures, texts, numbers nor categories"
    distinct = {str(cell) for cell in cells}
    if len(distinct) == 1:
        return "the same value in every row"
    if _are_numbers(column):
        return Number()
    if sum(map(_is_date, cells)) >= 0.95 * len(cells):
        return Date()
    mean_words = sum(len(str(cell).split()) for cell in cells) / len(cells)
    if len(distinct) <= max(20, 0.05 * len(cells)) and mean_words < 4:
        return Category()
    if len(distinct) == len(cells) and mean_words == 1:
        return "a different code in every row"
    return Text()


def _is_list(cell):
    """Whether a cell is a list, or a JSON list, of texts, paths or files."""
    items = items_of(cell)
    if len(items) == 1 and items[0] is cell:
        return False
    kinds = (str, bytes, bytearray, os.PathLike)
    return all(is_missing(item) or isinstance(item, kinds) for item in items)


def _items_for(cells, base_dir, image_size):
    """An input for lists of pictures or texts; None if they are neither."""
    items, most = [], 2
    for cell in cells:
        for place, item in enumerate(items_of(cell)):
            if not is_missing(item):
                items.append(item)
                most = max(most, place + 1)
    first = items[:20]
    if not first:
        return None
    if 2 * sum(_is_picture(item, base_dir) for item in first) > len(first):
        return Image(image_size, num_images=most) if most <= _MOST_PICTURES else Video()
    if all(isinstance(item, str) for item in items):
        return Text(num_texts=most)
    return None


def _is_picture(cell, base_dir):
    if isinstance(cell, (str, os.PathLike)):
        return os.fspath(cell).lower().endswith(_PICTURES)
    if isinstance(cell, (bytes, bytearray)):
        try:
            check_encoded(bytes(cell))
        except ValueError:
            return False
        return True
    shape = getattr(cell, "shape", ())
    dtype = getattr(cell, "dtype", None)
    return len(shape) in (2, 3) and min(shape) > 0 and str(dtype) == "uint8"


def _is_array(cell):
    return len(getattr(cell, "shape", ())) > 0


def _series_for(cells):
    """A `Vector` or `Sequence` for lists and arrays, or why there is none."""
    try:
        first = [to_floats(cell) for cell in cells[:20]]
    except ValueError:
        return "neither pictures, texts, numbers nor categories"
    ranks = {array.ndim for array in first}
    lengths = {len(cell) for cell in cells}
    if ranks == {1} and len(lengths) == 1:
        return Vector(*lengths)
    channels = {array.shape[1:] for array in first}
    if max(ranks) > 2 or len(channels) > 1:
        return "arrays that are no pictures, vectors or sequences"
    channels = channels.pop()
    return Sequence(min(max(lengths), _MOST_STEPS), *channels)


def _graph_for(cells):
    try:
        # Graphs to come may be larger.
        return infer_graph(cells, room=1.25)
    except ValueError:
        return "graphs without nodes, or too large for a dense adjacency"


def _is_date(cell):
    try:
        to_iso(cell)
    except ValueError:
        return False
    return True


def _is_clip(cell, base_dir):
    if isinstance(cell, (str, os.PathLike)):
        return is_clip_path(os.path.join(base_dir or "", cell))
    if isinstance(cell, (bytes, bytearray)):
        return is_clip(bytes(cell))
    if isinstance(cell, (list, tuple)) or str(getattr(cell, "dtype", "")) == "object":
        frames = [frame for frame in cell if not is_missing(frame)]
        return len(frames) > 0 and _is_picture(frames[0], base_dir)
    shape = getattr(cell, "shape", ())
    return len(shape) == 4 and shape[-1] == 3 and str(cell.dtype) == "uint8"


def _is_sound(cell):
    if isinstance(cell, (str, os.PathLike)):
        return os.fspath(cell).lower().endswith(_SOUNDS)
    return isinstance(cell, (bytes, bytearray)) and is_sound(bytes(cell[:12]))


def _audio_for(cells, base_dir):
    """As long as the longest of some sounds, at no higher rate than they have."""
    found = []
    for cell in cells:
        if isinstance(cell, (str, os.PathLike)):
            cell = os.path.join(base_dir or "", os.fspath(cell))
        try:
            found.append(length_and_rate(cell))
        except ValueError:
            # Refused, with its row, when the table is read.
            continue
    if not found:
        return Audio()
    lengths, rates = zip(*found)
    duration = min(10, math.ceil(max(lengths)))
    return Audio(duration, sampling_rate=min(16000, max(rates)))


def _are_numbers(column):
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(
        column
    )


def _target_for(column, name):
    import pandas as pd

    cells = _known(column)
    if not cells:
        raise ValueError(f"Target column {name!r} is empty. Received: target={name!r}")
    if all(
        isinstance(cell, (list, tuple, set))
        or hasattr(cell, "shape")
        and len(cell.shape) == 1
        for cell in cells
    ):
        return MultiLabel()
    distinct = len({str(cell) for cell in cells})
    if pd.api.types.is_float_dtype(column):
        whole = all(float(cell).is_integer() for cell in cells)
        return ClassLabel() if whole and distinct <= 20 else Number()
    if _are_numbers(column):
        return ClassLabel() if distinct <= 20 else Number()
    if distinct > 0.5 * len(cells) and distinct > 20:
        raise ValueError(
            f"Target column {name!r} has a different text in most rows; a "
            "classifier needs a few classes. Choose another target. "
            f"Received: {name} with {distinct} values in {len(cells)} rows"
        )
    return ClassLabel()
