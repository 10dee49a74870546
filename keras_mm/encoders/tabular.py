from keras import layers, ops

from .encoder import Encoder, one_token, row_mask, without_nan
from .piecewise_linear import PiecewiseLinear

# Categories of up to this many names have an input for each.
_ONE_HOT = 32


class Tabular(Encoder):
    """Numbers, dates and categories of a table, for heads that learn interactions.

    Each number is read as its normal score, as a piecewise linear encoding over bins of
    equally many training rows, and as a flag that it is missing: heavy tails, spikes and
    holes do no harm. Categories are one-hot, or an embedding where there are many; a
    name that was not in the training rows is 0.

    The default for these columns. A token of all of them is followed by a hidden layer,
    unless the fusion is a late or hybrid one whose experts have hidden layers
    themselves, which is the default:

    Examples:

    >>> fusion = keras_mm.fusion.Hybrid(
    ...     keras_mm.fusion.Concat(), hidden_units=[128, 128], dropout=0.1, members=16)
    >>> encoder = keras_mm.encoders.Tabular(bins=16)
    >>> model = keras_mm.build_classifier(
    ...     schema, encoders={"tabular": encoder}, fusion=fusion)

    Args:
        bins: int, number of bins per number, at most.
        units: int, length of the embedding of a category, and of each column's token
            where the fusion reads single tokens.
        hidden_units: int, units of the hidden layer, or None; `"usual"`: 64, or none
            where the fusion's experts have hidden layers.

    Reference:
        Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep
        Learning"; Gorishniy et al. 2025, "TabM: Advancing Tabular Deep Learning with
        Parameter-Efficient Ensembling".
    """

    reads = ("number", "category")

    leaves_hidden_layers = True

    def __init__(self, bins=32, units=16, hidden_units="usual"):
        if bins < 1 or units < 1:
            raise ValueError(
                "`bins` and `units` must be positive. "
                f"Received: bins={bins}, units={units}"
            )
        self.bins = bins
        self.units = units
        self.hidden_units = hidden_units

    def for_fusion(self, fusion):
        """Without a hidden layer where the fusion's experts have some."""
        has_hidden_layers = bool(getattr(fusion, "hidden_units", None))
        if self.hidden_units != "usual" or not has_hidden_layers:
            return self
        return Tabular(self.bins, self.units, hidden_units=None)

    def prepare(self, value):
        """Numbers as normal scores."""
        return value.with_scale("quantile") if hasattr(value, "with_scale") else value

    def encode(self, tensors, inputs, sequences):
        """Columns `(batch, width)` each -> one token, or one per column.

        Numbers come first, then dates, then categories.
        """
        columns = list(zip(tensors, inputs, strict=True))
        numbers = [pair for pair in columns if hasattr(pair[1], "bin_edges")]
        dates = [
            x for x, v in columns if v.kind == "number" and not hasattr(v, "bin_edges")
        ]
        categories = [pair for pair in columns if pair[1].kind == "category"]
        features, masks = [], []
        if numbers:
            x, present = self._numbers(*zip(*numbers, strict=True))
            features += [x[:, k] for k in range(len(numbers))] if sequences else [x]
            masks.append(present)
        for x in dates:
            present = row_mask(x)
            flag = ops.cast(present, x.dtype)
            features.append(ops.concatenate([without_nan(x), flag], axis=1))
            masks.append(present)
        for ids, value in categories:
            features.append(self._category(ids, value.num_ids))
            masks.append(ops.not_equal(ids, 0))
        mask = ops.concatenate(masks, axis=1) if len(masks) > 1 else masks[0]
        if sequences:
            tokens = [one_token(layers.Dense(self.units)(x)) for x in features]
            return layers.Concatenate(axis=1)(tokens) if len(tokens) > 1 else tokens[
                0
            ], mask
        features = [layers.Flatten()(x) for x in features]
        x = layers.Concatenate()(features) if len(features) > 1 else features[0]
        if self.hidden_units:
            units = 64 if self.hidden_units == "usual" else self.hidden_units
            x = layers.Dense(units, activation="relu")(x)
        return one_token(x), ops.any(mask, axis=1, keepdims=True)

    def _numbers(self, tensors, inputs):
        """Numbers `(batch, 1)` each -> `(batch, columns, bins + 2)`, and presence."""
        x = ops.concatenate(tensors, axis=1) if len(tensors) > 1 else tensors[0]
        present = ops.logical_not(ops.isnan(x))
        x = without_nan(x)
        edges = [value.bin_edges(self.bins) for value in inputs]
        flag = ops.expand_dims(ops.cast(present, "float32"), -1)
        x = ops.concatenate(
            [
                ops.expand_dims(ops.cast(x, "float32"), -1),
                PiecewiseLinear(edges, dtype="float32")(x) * flag,
                flag,
            ],
            axis=-1,
        )
        return x, present

    def _category(self, ids, count):
        """Ids `(batch, 1)` -> `(batch, names)` or `(batch, units)`."""
        # Missing and unknown names, ids 0 and 1, are 0.
        known = ops.cast(ids > 1, "float32")
        if count - 2 <= _ONE_HOT:
            return ops.one_hot(ids[:, 0] - 2, max(count - 2, 1)) * known
        x = layers.Embedding(count, self.units)(ids)[:, 0]
        return x * ops.cast(known, x.dtype)
