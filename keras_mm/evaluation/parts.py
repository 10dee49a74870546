from ..encoders import by_column
from ..models.graph import rest_of
from .tensors import take, withhold
from .trials import predict, predict_arrays


class Parts:
    """A model in two parts: the encoders, and the rest.

    Predictions of the same rows with modalities withheld or permuted compute the
    tokens once. A model without an encoder for each modality is not divided: its
    tensors take the place of the tokens.

    Args:
        model: a model made by a builder.
        modalities: dict from modality name to its columns.
    """

    def __init__(self, model, modalities):
        self.model = model
        self.modalities = modalities
        self.encoders = self.rest = None
        # The keys of each modality's arrays.
        self.keys = modalities
        groups = by_column(model.modalities)
        every = [one for n in modalities for one in groups.get(n, [n])]
        if set(every) <= set(model.encoders):
            self.encoders = {name: groups[name] for name in modalities}
            self.rest = rest_of(model, every)
            self.keys = {
                name: [(one, place) for one in names for place in (0, 1)]
                for name, names in self.encoders.items()
            }
        self._absent = None

    def encode(self, tensors, names=None):
        """Tensors -> dict of arrays, of all modalities or of some.

        The first call also encodes an empty row, for absent modalities.
        """
        if self._absent is None:
            empty = take(withhold(tensors, list(tensors), slice(1)), slice(1))
            self._absent = self._encoded(empty, self.modalities)
        return self._encoded(tensors, names or self.modalities)

    def _encoded(self, tensors, names):
        if self.encoders is None:
            return take(
                tensors, slice(None), [c for n in names for c in self.modalities[n]]
            )
        arrays = {}
        for name in names:
            columns = [tensors[column] for column in self.modalities[name]]
            for one in self.encoders[name]:
                tokens, mask = predict_arrays(self.model.encoders[one], columns)
                arrays |= {(one, 0): tokens, (one, 1): mask}
        return arrays

    def withhold(self, arrays, names, rows=slice(None)):
        """The arrays, with modalities absent from some rows."""
        changed = dict(arrays)
        for name in names:
            for key in self.keys[name]:
                changed[key] = arrays[key].copy()
                changed[key][rows] = self._absent[key]
        return changed

    def predict(self, arrays):
        """Predictions from encoded arrays, by target."""
        if self.rest is None:
            return predict(self.model, arrays)
        ordered = [arrays[key] for keys in self.keys.values() for key in keys]
        return self.model.schema.by_target(predict_arrays(self.rest, ordered))
