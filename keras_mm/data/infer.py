import math
import os
import re

from ..errors import rows_text
from ..inputs import (
    Audio,
    Category,
    Date,
    Image,
    Number,
    Sequence,
    Text,
    Vector,
    Video,
)
from ..inputs.cells import CUT_SHORT, MISSING_WORDS, is_missing, is_no_value, to_floats
from ..inputs.graph import infer_graph, is_graph
from ..inputs.items import items_of
from ..inputs.literals import is_cut_short
from ..inputs.missing_words import without_words, words_of
from ..inputs.sounds import has_samples, length_and_rate
from .cell_kinds import (
    file_kind,
    has_decimal_comma,
    has_many_digits,
    held_file,
    is_date,
    is_finite,
    is_list,
    is_number,
    is_plain,
    is_series,
    is_video,
)
from .column_kinds import (
    COMMAS,
    are_numbers,
    has_categories,
    most_are,
    nearly_all,
    present_cells,
)
from .columns import column_name, require_columns
from .infer_target import classes_note, target_for
from .schema import Schema
from .to_table import to_table

# Longer sequences are cut: encoders take time for each step.
_MOST_STEPS = 1024
# Longer lists of images are taken for the frames of a clip.
_MOST_PICTURES = 16
# What pandas and read_file call a column without a name.
_UNNAMED = re.compile(r"(Unnamed: [0-9]+([.][0-9]+)*)?")
_NOTHING = "neither images, texts, numbers nor categories"


def infer_schema(
    table,
    target,
    inputs=None,
    exclude=(),
    base_dir=None,
    image_size=96,
    verbose=True,
    types=None,
    missing=(),
):
    """Infers the type of each column of a table, prints it, and adapts a schema.

    It goes by the content of the cells: a column of a CSV file is inferred like the
    same column of a DataFrame.

    - `Image`: images (encoded, arrays, Pillow's, Hugging Face's dicts), their
      paths, or lists of up to 16 of them.
    - `Video`: clips, their paths, arrays of frames, or longer lists of images.
    - `Audio`, of up to 10 seconds: sounds or their paths.
    - `Graph`: dicts of nodes and edges.
    - `Vector`: lists and arrays of numbers, all of one length.
    - `Sequence`: lists and arrays of numbers, of several lengths or two dimensions.
    - `Number`: nearly all cells are numbers. Digits that would lose something as
      numbers (leading zeros, more than 15 of them in most cells) do not count.
    - `Date`: nearly all cells are dates in ISO form.
    - `Category`: few texts that occur again and again.
    - `Text`: other texts, and lists of texts.

    Columns that cannot help (all missing, a single value, a different code in every
    row, an unnamed index) are left out. Single cells that cannot be read, such as a
    `?` among numbers, are printed and not learned from; training refuses them unless
    `on_unreadable="missing"`.
    Columns that group rows, such as an author or a split, must be named in
    `exclude`: their content does not show what they are.

    A target becomes a `MultiLabel` if its cells are lists, a `ClassLabel` if they are
    texts, booleans or integers with up to 20 different values, and a `Number`
    otherwise.

    Examples:

    >>> schema = keras_mm.infer_schema(train, target="category",
    ...                                exclude=["id", "group"])

    Args:
        table: the training rows, in any form that `to_table` reads.
        target: name of the column to predict, or a list of several; see
            `keras_mm.build_multitask`.
        inputs: names of the columns to use; default: all that are not excluded.
        exclude: names of columns to leave out.
        base_dir: folder that relative file paths start from.
        image_size: int or pair, height and width of images.
        verbose: bool, whether to print what was decided.
        types: dict from column name to its input or target, for columns whose type
            would be inferred differently, such as
            `{"digit": keras_mm.ClassLabel(), "zip": keras_mm.Category()}`.
        missing: values that stand for a missing cell, such as `["?", -999]`, here
            and wherever the schema is used; see `Schema`.

    Returns:
        An adapted `Schema`.
    """
    given = to_table(table)
    table = to_table(given, missing)
    several = not isinstance(target, str) and hasattr(target, "__iter__")
    targets = list(map(column_name, target if several else [target]))
    exclude = list(map(column_name, exclude))
    inputs = None if inputs is None else list(map(column_name, inputs))
    types = {column_name(name): kind for name, kind in (types or {}).items()}
    require_columns(table.columns, [*targets, *(inputs or ()), *exclude, *types])
    if inputs is not None and set(targets) & set(inputs):
        raise ValueError(
            "The target cannot be an input: the model would see the label. "
            f"Received: target={target!r}, inputs={list(inputs)}"
        )
    names = [
        name
        for name in (inputs or table.columns)
        if name not in targets and name not in exclude
    ]
    kinds, left_out, notes = {}, {}, {}
    for name in names:
        kind = types.get(name)
        if not kind and inputs is None and _is_index(table[name], name):
            left_out[name] = "the rows' numbers, which DataFrame.to_csv writes"
            continue
        if not kind:
            kind = _input_for(table[name], base_dir, image_size)
            column = table[name]
            # Among numbers and dates "-999.00" is -999.
            numbers = without_words(column, words_of(missing), Number())
            if numbers is not column:
                other = _input_for(numbers, base_dir, image_size)
                if isinstance(other, (Number, Date)):
                    kind, table[name] = other, numbers
        odd = _odd_note(kind, table[name]) if name not in types else None
        if isinstance(kind, str):
            left_out[name] = f"{kind}; {odd}" if odd else kind
        else:
            kinds[name] = kind
            notes[name] = _words_note(kind, table[name]) or odd
    if inputs is not None and left_out:
        raise ValueError(
            "Some columns in `inputs` cannot be inputs: "
            + "; ".join(f"{name}: {why}" for name, why in left_out.items())
            + f". Received: inputs={list(inputs)}"
        )
    answers = {}
    for name in targets:
        answers[name] = types.get(name) or target_for(table[name], name)
        notes[name] = _words_note(answers[name], table[name])
        if name not in types:
            notes[name] = notes[name] or classes_note(answers[name], table[name], name)
    schema = Schema(kinds, answers, missing).adapt(given, on_unreadable="missing")
    if verbose:
        print(schema.describe())
        for name, why in left_out.items():
            print(f"  {name} left out: {why}")
        for name, note in notes.items():
            if note:
                print(f"  {name}: {note}")
    return schema


def _is_index(column, name):
    """Whether an unnamed column is an index of the rows, or of a larger table's."""
    if not _UNNAMED.fullmatch(str(name)):
        return False
    places = [float(cell) for cell in column if is_number(cell)]
    whole = all(place.is_integer() and place >= 0 for place in places)
    return whole and len(set(places)) == len(column)


def _odd_note(kind, column):
    """A note on odd cells in a column of numbers or dates, or of nearly only those."""
    cells = [(row, cell) for row, cell in enumerate(column) if not is_no_value(cell)]
    question = {Number: is_finite, Date: is_date}.get(type(kind), is_number)
    odd = [row for row, cell in cells if not question(cell)]
    remedy = "correct it, name it with infer_schema(..., missing=[...]) or "
    remedy += "keras-mm train --missing"
    if isinstance(kind, (Number, Date)):
        reason = "cannot be read"
        remedy += ", or train with on_unreadable='missing'"
    elif (
        isinstance(kind, (str, Text, Category))
        and not has_categories(column)
        and 2 * len(odd) < len(cells)
    ):
        reason = "is not a number, and most cells are"
    else:
        return None
    return (
        f"{column.iloc[odd[0]]!r} in {rows_text(odd)} {reason}: {remedy}"
        if odd
        else None
    )


def _words_note(kind, column):
    """A note that `NA` and the like are read as names."""
    if kind.kind not in ("category", "class", "labels"):
        return None
    words = {
        cell
        for cell in column
        if isinstance(cell, str) and cell.lower() in MISSING_WORDS
    }
    if not words:
        return None
    words = sorted(words)
    return (
        f"{words} are taken for names; infer_schema(..., missing={words}), or "
        "keras-mm train --missing, reads them as missing"
    )


def _input_for(column, base_dir, image_size):
    """An input for the column, or the reason why there is none."""
    cells = present_cells(column)
    if not cells:
        return "every cell is missing"
    first = cells[:20]
    if most_are(map(is_list, first), first):
        value = _items_for(cells, base_dir, image_size)
        if value:
            return value
    if most_are((is_video(cell, base_dir) for cell in first), first):
        return Video()
    # A few broken images do not decide; they are refused, with their rows, when
    # the table is read.
    kinds = [file_kind(cell, base_dir) for cell in first]
    if most_are((kind == "picture" for kind in kinds), first):
        return Image(image_size)
    if most_are((kind == "sound" for kind in kinds), first):
        return _audio_for(
            [cell for cell, kind in zip(first, kinds) if kind == "sound"], base_dir
        )
    if most_are((kind == "other" for kind in kinds), first):
        return "paths of files that are neither images, sounds nor clips"
    if most_are(map(is_graph, first), first):
        return _graph_for(cells)
    if nearly_all(is_series, first):
        return _series_for([cell for cell in cells if is_series(cell)])
    if not all(map(is_plain, cells)):
        return _NOTHING
    return _plain_for(column, cells)


def _plain_for(column, cells):
    """An input for texts, numbers, dates and categories."""
    if nearly_all(is_cut_short, cells[:20]):
        return CUT_SHORT
    distinct = {str(cell) for cell in cells}
    if len(distinct) == 1:
        return "the same value in every row"
    if has_categories(column):
        return Category()
    if are_numbers(cells) and not most_are(map(has_many_digits, cells), cells):
        return Number()
    if nearly_all(is_date, [cell for cell in cells if not is_no_value(cell)]):
        return Date()
    if nearly_all(has_decimal_comma, cells):
        return COMMAS
    mean_words = sum(len(str(cell).split()) for cell in cells) / len(cells)
    if len(distinct) <= max(20, 0.05 * len(cells)) and mean_words < 4:
        return Category()
    if len(distinct) == len(cells) and mean_words == 1:
        return "a different code in every row"
    return Text()


def _items_for(cells, base_dir, image_size):
    """An input for lists of images or texts; None if they are neither."""
    items, most = [], 2
    for cell in cells:
        for place, item in enumerate(items_of(cell)):
            if not is_missing(item):
                items.append(item)
                most = max(most, place + 1)
    first = items[:20]
    if not first:
        return None
    if most_are((file_kind(item, base_dir) == "picture" for item in first), first):
        return Image(image_size, num_images=most) if most <= _MOST_PICTURES else Video()
    if all(isinstance(item, str) for item in items):
        return Text(num_texts=most)
    return None


def _series_for(cells):
    """A `Vector` or `Sequence` for lists and arrays, or why there is none."""
    try:
        first = [to_floats(cell) for cell in cells[:20]]
    except ValueError:
        return _NOTHING
    ranks = {array.ndim for array in first}
    lengths = {len(cell) for cell in cells}
    if ranks == {1} and len(lengths) == 1:
        return Vector(*lengths)
    channels = {array.shape[1:] for array in first}
    if max(ranks) > 2 or len(channels) > 1:
        return "arrays that are not images, vectors or sequences"
    channels = channels.pop()
    return Sequence(min(max(lengths), _MOST_STEPS), *channels)


def _graph_for(cells):
    try:
        # Graphs to come may be larger.
        return infer_graph(cells, room=1.25)
    except ValueError:
        return "graphs without nodes, or too large for a dense adjacency"


def _audio_for(cells, base_dir):
    """An `Audio` of up to 10 s and 16 kHz, by the longest and the highest of sounds."""
    measured = []
    for cell in cells:
        if has_samples(cell):
            measured.append(
                (len(cell["array"]) / cell["sampling_rate"], cell["sampling_rate"])
            )
            continue
        cell = held_file(cell)
        if isinstance(cell, (str, os.PathLike)):
            cell = os.path.join(base_dir or "", os.fspath(cell))
        try:
            measured.append(length_and_rate(cell))
        except ValueError:
            # Refused, with its row, when the table is read.
            continue
    if not measured:
        return Audio()
    lengths, rates = zip(*measured)
    duration = min(10, math.ceil(max(lengths)))
    return Audio(duration, sampling_rate=min(16000, max(rates)))
