import random
import time

from ..data import to_table
from ..deprecated import renamed
from ..errors import RowsError
from .address import Address
from .grpc_transport import GrpcTransport
from .requests import find_columns, raw_batches
from .rest_transport import RestTransport

# The server's message if it batched this request with one of another shape.
_MERGED = "from different tasks have different shapes"
_TRIES = 3


class Client:
    """A client of TF Serving that predicts the rows of tables.

    The client reads the model's inputs and outputs from the server's metadata, so it
    needs no schema: an input with the output `<column>_ok` is an image, whose column
    may hold file paths, encoded bytes or arrays, and a column of clips lists of these;
    an input with the output `<column>_is_date` is a date; any other string input is
    text; a numeric input is a number.
    Missing cells are sent as `""` or NaN. The client does not apply
    `Schema(missing=["?"])`: pass `keras_mm.data.to_table(table, missing=["?"])`. Columns
    have their names of training, or those of the served inputs. If the server rejects
    a request, or the table lacks a column, the metadata is read once more: the server
    may have a newer version.

    Examples:

    >>> client = Client("http://localhost:8501", "clipart")
    >>> client(table)[["category", "image_ok"]]
    >>> client(table, signature="embed")["embedding"]
    >>> Client("http://localhost:8501/v1/models/clipart/versions/2")(table)
    >>> Client("grpc://localhost:8500", "clipart")(table)

    Args:
        url: string: `http://host:port` (or `https`) of the REST interface, or
            `grpc://host:port`, which needs the extra `serving`. Both may name the
            model, with a version or a label, in the form
            `.../v1/models/<name>[/versions/<number> | /labels/<label>]`.
        name: string, the model's name, unless the address has it.
        timeout: float, seconds to wait for one answer.

    Raises:
        ValueError: if the address cannot be used, or no model is named.
        ImportError: for `grpc://` without the extra `serving`.
    """

    def __init__(self, url, name=None, timeout=30.0):
        self.url = url
        address = Address.parse(url, name)
        self.name = address.name
        self.timeout = timeout
        is_grpc = address.server.startswith("grpc://")
        transport = GrpcTransport if is_grpc else RestTransport
        self._transport = transport(address, timeout)
        self._signatures = None

    @property
    def signatures(self):
        """The signatures of the server's model, read once.

        dict from signature name to `{"inputs": ..., "outputs": ...}`, each a
        dict from name to dtype, such as `"DT_STRING"`, and `"shapes"`, a dict
        from input name to its shape, where None is any length.
        """
        if self._signatures is None:
            self._signatures = self._transport.signatures()
        return self._signatures

    @renamed(bad="on_unreadable")
    def __call__(
        self,
        table,
        signature="serving_default",
        batch_size=32,
        base_dir=None,
        on_unreadable="error",
    ):
        """Predicts for each row of a table.

        Args:
            table: DataFrame, path of a table or dict of columns. Columns that
                the model does not take are ignored.
            signature: string, which of the model's signatures to call.
            batch_size: int, rows in one request; a server with batching
                rejects more than its `max_batch_size`.
            base_dir: folder that relative paths of images start from.
            on_unreadable: `"error"` refuses cells that cannot be sent, `"missing"`
                sends them as missing. Images that cannot be decoded are reported
                by the server: see `<column>_ok`.

        Returns:
            DataFrame with the table's rows and index, a column for each
            output, in alphabetical order; vectors are lists.

        Raises:
            ValueError: if a column is missing, a cell cannot be sent, or the
                server rejects the request; with the server's message.
            ConnectionError: if the server does not answer, or fails.
        """
        if int(batch_size) < 1:
            raise ValueError(
                f"`batch_size` must be at least 1. Received: batch_size={batch_size}"
            )
        import pandas as pd

        index = getattr(table, "index", None) if hasattr(table, "iloc") else None
        table = to_table(table)
        try:
            answers = self._predict(
                table, signature, batch_size, base_dir, on_unreadable
            )
        except ValueError as error:
            if isinstance(error, RowsError):
                error.add_note(
                    "The client does not apply the schema's `missing`. If the cell is "
                    "missing, pass keras_mm.data.to_table(table, missing=[...])."
                )
            # The next call reads the metadata again: there may be a newer version.
            self._signatures = None
            raise
        # Each value is one cell, even if it is a list.
        return pd.DataFrame(
            {name: pd.Series(values, index=index) for name, values in answers.items()}
        )

    def _predict(self, table, signature, batch_size, base_dir, on_unreadable):
        """dict from output to a list of cells."""
        before = self._signatures
        try:
            spec = self._spec(signature)
            columns = find_columns(table.columns, spec["inputs"])
        except ValueError as error:
            self._reload_signatures(before, error)
            return self._predict(table, signature, batch_size, base_dir, on_unreadable)
        inputs = {
            name: (_dtype(dtype), spec["shapes"][name])
            for name, dtype in spec["inputs"].items()
        }
        outputs = {
            name: _dtype(dtype)
            for each in self.signatures.values()
            for name, dtype in each["outputs"].items()
        }
        answers = {name: [] for name in sorted(spec["outputs"])}
        # Outside the try: a cell that cannot be sent is not the server's fault.
        for raw in raw_batches(
            table, columns, inputs, outputs, batch_size, base_dir, on_unreadable
        ):
            try:
                answer = self._request(signature, spec, raw)
                _check_rows(answer, len(next(iter(raw.values()))))
            except ValueError as error:
                self._reload_signatures(before, error)
                return self._predict(
                    table, signature, batch_size, base_dir, on_unreadable
                )
            for name, cells in answers.items():
                cells.extend(answer[name])
        return answers

    def _spec(self, signature):
        if signature not in self.signatures:
            raise ValueError(
                f"The server's model has the signatures {list(self.signatures)}. "
                f"Received: signature={signature!r}"
            )
        return self.signatures[signature]

    def _reload_signatures(self, before, error):
        """Reads the signatures again; raises the error if they are unchanged."""
        if before is None:
            raise error
        try:
            self._signatures = self._transport.signatures()
        except (ConnectionError, ValueError):
            raise error from None
        if self._signatures == before:
            raise error

    def _request(self, signature, spec, inputs):
        """One request; retried if it was batched with one of another shape."""
        for left in reversed(range(_TRIES)):
            try:
                return self._transport.predict(signature, spec, inputs)
            except ValueError as error:
                if _MERGED not in str(error) or not left:
                    raise
            # So that it is not batched with the same request again.
            time.sleep(random.uniform(0.01, 0.05))

    def __repr__(self):
        return f"Client(url={self.url!r}, name={self.name!r})"


def _dtype(name):
    """`"DT_BOOL"` -> `"bool"`."""
    return name.removeprefix("DT_").lower()


def _check_rows(answer, rows):
    for name, values in answer.items():
        if len(values) != rows:
            raise ValueError(
                f"The server answered {rows} rows with {len(values)} values. "
                f"Received: output={name!r}"
            )
