"""Embedding rows into a Parquet file."""

import contextlib
import json
import os

import numpy as np

from ..data import to_table
from ..data.columns import require_columns
from ..deprecated import renamed
from ..errors import rows_text, warn
from ..evaluation.fingerprint import fingerprint
from ..files import replacing
from ..training.progress import counted


@renamed(bad="on_unreadable")
def embed_to_parquet(
    model,
    table,
    tower,
    path,
    id,
    columns=(),
    rows=10_000,
    base_dir=None,
    on_unreadable="error",
):
    """Embeds a table of any size chunk by chunk into a Parquet file.

    Memory use is one chunk, plus 8 bytes per earlier row. `SearchIndex.load` reads the
    file, and so do vector databases: `vector` is a list of float32 of fixed length.
    The file appears at `path` only when it is complete.

    Examples:

    >>> count = keras_mm.serving.embed_to_parquet(
    ...     retriever, table, "image", "birds.parquet", id="id", columns=["author"])
    >>> index = keras_mm.SearchIndex.load("birds.parquet", retriever)

    DuckDB can search the file:

    ```python
    query = retriever.embed({"text": ["a red bird"]}, "text")[0]
    duckdb.execute(
        f"select id, array_cosine_similarity(vector::float[{len(query)}], "
        f"?::float[{len(query)}]) as score "
        "from 'birds.parquet' order by score desc limit 10",
        [query.tolist()],
    ).df()
    ```

    Args:
        model: a `Retriever`.
        table: rows with the tower's columns and the column of ids: a table in any
            form, or an iterator of DataFrames. Of a Parquet file, only the needed
            columns are read, in chunks.
        tower: string, the tower that embeds the rows.
        path: the file to write.
        id: string, the column of ids, which are converted to strings.
        columns: names of other columns to keep.
        rows: int, number of rows per chunk, and per row group of the file. The
            DataFrames of an iterator are used as chunks.
        base_dir: as in `model.fit`.
        on_unreadable: as in `model.fit`.

    Returns:
        int, number of rows written. Rows in which all columns of the tower are missing
        are skipped, with one warning.

    Raises:
        ValueError: if an id is missing or duplicate, or the kept columns of two
            chunks are of different types.
    """
    import pandas as pd
    from pyarrow import parquet

    columns = kept_columns(columns)
    if rows < 1:
        raise ValueError(f"`rows` must be positive. Received: rows={rows}")
    model.tower(tower)
    chunks, total, types = _chunks(
        table, [id, *columns, *model.towers[tower]], columns, rows
    )
    own = {"tower": tower, "fingerprint": model_fingerprint(model)}
    seen, skipped, count, writer = np.zeros(0, "uint64"), [], 0, None
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(counted("embed", total, "rows"))
        for chunk in chunks:
            try:
                names = row_names(chunk, id, columns)
                hashes = pd.util.hash_array(names.to_numpy(object), categorize=False)
                after = np.searchsorted(seen, hashes, "right")
                in_earlier = after > np.searchsorted(seen, hashes)
                check_names(names, in_earlier, chunk[id])
                # The stable sort merges two sorted parts in linear time.
                seen = np.sort(np.concatenate([seen, np.sort(hashes)]), kind="stable")
                kept, vectors, empty = embed_rows(
                    model,
                    chunk,
                    tower,
                    names,
                    columns,
                    base_dir=base_dir,
                    on_unreadable=on_unreadable,
                )
                types = types_of(chunk, columns) if types is None else types
                part = to_arrow(kept, vectors, types, own)
            except ValueError as error:
                error.add_note(f"Rows are counted from row {count} of the table.")
                raise
            if writer is None:
                temporary = stack.enter_context(replacing(path))
                writer = parquet.ParquetWriter(temporary, part.schema)
                stack.enter_context(writer)
            writer.write_table(part)
            skipped.append(empty + count)
            count += len(chunk)
            advance("", len(chunk))
        if writer is None:
            raise ValueError(
                "There are no rows to embed. "
                f"Received: table of type {type(table).__name__}"
            )
    skipped = np.concatenate(skipped)
    warn_of_skipped_rows(skipped, tower)
    return count - len(skipped)


def _chunks(table, needed, columns, rows):
    """DataFrames, their total number of rows, and the kept columns' types if known."""
    import pyarrow as pa
    from pyarrow import parquet

    path = os.fspath(table) if isinstance(table, (str, os.PathLike)) else ""
    if path.lower().endswith((".parquet", ".pq")) and os.path.isfile(path):
        file = parquet.ParquetFile(path)
        given = file.schema_arrow
        require_columns(given.names, columns)
        batches = file.iter_batches(
            rows, columns=[c for c in given.names if c in needed]
        )
        chunks = (
            to_table(batch.to_pandas(integer_object_nulls=True))
            for batch in batches
            if len(batch)
        )
        types = pa.schema([given.field(name) for name in columns])
        return chunks, file.metadata.num_rows, types
    if not path and not hasattr(table, "columns") and not isinstance(table, dict):
        return (to_table(chunk) for chunk in table if len(chunk)), None, None
    table = to_table(table)
    require_columns(table.columns, columns)
    starts = range(0, len(table), rows)
    chunks = (to_table(table[start : start + rows]) for start in starts)
    return chunks, len(table), types_of(table, columns)


def kept_columns(columns):
    """The columns to keep, as a list; refuses reserved names."""
    taken = {"id", "query", "rank", "score", "vector"}
    if taken & set(columns):
        raise ValueError(
            f"The names {sorted(taken)} are reserved: rename the column. "
            f"Received: columns={list(columns)}"
        )
    return list(columns)


def row_names(table, id, columns):
    """The ids of the rows as strings; requires the columns."""
    require_columns(table.columns, [id, *columns])
    return table[id].map(str)


def check_names(names, in_earlier, ids):
    """Raises a `ValueError` for ids that are missing, duplicate, or used earlier."""
    wrong = ids.isna() | names.duplicated() | in_earlier
    if wrong.any():
        rows = np.flatnonzero(wrong)
        raise ValueError(
            "Ids must be present and unique, also among earlier rows: see "
            f"{rows_text(rows)} ({len(rows)} in all, counted from 0). To replace rows, "
            f"remove them first. Received: {ids.name}={ids.iloc[rows[0]]!r}"
        )


def embed_rows(model, table, tower, names, columns, **kwargs):
    """Kept columns and vectors of the rows, and indices of rows without a vector."""
    vectors = model.embed(table, tower, **kwargs)
    present = vectors.any(axis=1)
    kept = table[columns].assign(id=names)[["id", *columns]][present]
    return kept.reset_index(drop=True), vectors[present], np.flatnonzero(~present)


def warn_of_skipped_rows(rows, tower):
    """Warns of the rows that were skipped."""
    if len(rows):
        warn(
            f"{len(rows)} rows have no values for the tower {tower!r} and are not in "
            f"the index: {rows_text(rows)}."
        )


def types_of(table, columns):
    """The types of the kept columns in the file."""
    import pyarrow as pa

    return pa.Schema.from_pandas(table[columns], preserve_index=False)


def to_arrow(rows, vectors, types, own):
    """The file's Arrow table of rows and vectors.

    Args:
        rows: DataFrame of `id` and kept columns.
        vectors: float32 array `(rows, units)`.
        types: schema of the kept columns.
        own: dict, metadata for `SearchIndex.load`.

    Returns:
        `pyarrow.Table`.
    """
    import pyarrow as pa

    schema = pa.schema([("id", pa.string()), *types])
    try:
        table = pa.Table.from_pandas(rows, schema, preserve_index=False)
    except pa.ArrowException as error:
        raise ValueError(
            f"The type of a kept column differs between chunks: {error}. Use the same "
            "types, such as table.astype({'<column>': str}). "
            f"Received: columns={list(rows.columns[1:])}"
        ) from error
    flat = pa.array(vectors.ravel(), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    table = table.append_column("vector", vectors)
    metadata = {**(table.schema.metadata or {}), b"keras_mm": json.dumps(own).encode()}
    return table.replace_schema_metadata(metadata)


def model_fingerprint(model):
    """A fingerprint of the weights and the preprocessing of all towers."""
    parts = [model.tower(name) for name in sorted(model.towers)]
    return fingerprint(
        [
            [_without_trainable(part.get_config()), part.get_weights(), part.schema]
            for part in parts
        ]
    )


def _without_trainable(config):
    """A network's config, the same whether its layers are frozen or not."""
    if isinstance(config, dict):
        config = {key: _without_trainable(value) for key, value in config.items()}
        config.pop("trainable", None)
    elif isinstance(config, (list, tuple)):
        config = [_without_trainable(value) for value in config]
    return config
