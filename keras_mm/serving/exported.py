import json
import os

import numpy as np

from ..deprecated import renamed


def load_exported(path):
    """Loads an exported model; its outputs are those of TF Serving.

    Examples:

    >>> exported = keras_mm.load_exported("saved_models/clipart")
    >>> exported(test.head())["category"]

    Args:
        path: folder of the model, whose newest version is loaded, or of one version.

    Returns:
        `ExportedModel`, callable on a table.
    """
    return ExportedModel(newest_version(path))


def newest_version(path):
    """The path of the highest version in a model's folder, or `path` itself."""
    path = os.fspath(path)
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return path
    versions = (
        [int(name) for name in os.listdir(path) if name.isdigit()]
        if os.path.isdir(path)
        else []
    )
    if not versions:
        raise ValueError(
            "No exported model: expected a folder with a version, such as "
            f"{os.path.join(path, '1')}. Received: path={path!r}"
        )
    return os.path.join(path, str(max(versions)))


class ExportedModel:
    """A SavedModel that was written by `keras_mm.export`.

    Args:
        path: folder of the version.
    """

    def __init__(self, path):
        import tensorflow as tf

        self.path = os.fspath(path)
        # The loaded object owns the variables and must stay alive.
        self._loaded = tf.saved_model.load(self.path)

    @property
    def _report(self):
        """The report of `verify`; {} for an export made by other tools."""
        path = os.path.join(self.path, "verification.json")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    @property
    def signatures(self):
        """Names of the signatures."""
        return list(self._loaded.signatures)

    def inputs(self, signature="serving_default"):
        """dict from input name to `tf.TensorSpec`."""
        specs = self._loaded.signatures[signature].structured_input_signature[1]
        # Their order in the file varies between exports.
        return dict(sorted(specs.items()))

    def outputs(self, signature="serving_default"):
        """dict from output name to `tf.TensorSpec`."""
        specs = self._loaded.signatures[signature].structured_outputs
        return dict(sorted(specs.items()))

    def run(self, signature, inputs):
        """Runs one signature on arrays.

        Args:
            signature: string.
            inputs: dict from input name to array; others are ignored.

        Returns:
            dict from output name to array.
        """
        import tensorflow as tf

        if signature not in self._loaded.signatures:
            raise ValueError(
                f"The model has the signatures {self.signatures}. "
                f"Received: signature={signature!r}"
            )
        feed = {}
        for name, spec in self.inputs(signature).items():
            if name not in inputs:
                raise ValueError(
                    f"Signature {signature!r} needs the input {name!r}. "
                    f"Received: inputs={list(inputs)}"
                )
            value = inputs[name]
            if spec.dtype == tf.string:
                value = list(value)
            feed[name] = tf.constant(value, dtype=spec.dtype)
        outputs = self._loaded.signatures[signature](**feed)
        return {name: tensor.numpy() for name, tensor in sorted(outputs.items())}

    @renamed(bad="on_unreadable")
    def __call__(
        self,
        table,
        signature="serving_default",
        base_dir=None,
        batch_size=32,
        on_unreadable="error",
    ):
        """Predicts the rows of a table.

        Args:
            table: rows, in any form that `keras_mm.data.to_table` reads. Columns
                have their names of training, or those of the served inputs.
            signature: string; one that takes raw values.
            base_dir: folder that relative file paths start from.
            batch_size: int.
            on_unreadable: `"error"` refuses cells that cannot be sent and invalid
                dates, `"missing"` sends them as missing.

        Returns:
            DataFrame with one column per output, in alphabetical order, and one row
            per row of the table. Probabilities and class names are lists.
        """
        import pandas as pd

        from ..data import to_table
        from .requests import find_columns, raw_batches, replace_missing_cells

        table = to_table(table)
        inputs = {
            name: (spec.dtype.name, spec.shape.as_list())
            for name, spec in self.inputs(signature).items()
        }
        answers = {
            name: spec.dtype.name
            for each in self.signatures
            for name, spec in self.outputs(each).items()
        }
        trained = {
            served: column for column, served in self._report.get("columns", {}).items()
        }
        columns = find_columns(table.columns, inputs, trained)
        # Words for missing cells are those of training.
        words = self._report.get("missing", ())
        table = replace_missing_cells(table, columns, inputs, answers, words)
        cells_of = {name: [] for name in self.outputs(signature)}
        for raw in raw_batches(
            table, columns, inputs, answers, batch_size, base_dir, on_unreadable
        ):
            for name, values in self.run(signature, raw).items():
                cells_of[name].extend(to_cells(values))
        return pd.DataFrame(
            {name: pd.Series(cells) for name, cells in cells_of.items()}
        )


def to_cells(values):
    """An output's array -> a list of cells: text, numbers, lists."""
    if values.dtype == object:
        decode = np.vectorize(lambda cell: cell.decode("utf-8"), otypes=[object])
        values = decode(values) if values.size else values
    return values.tolist()
