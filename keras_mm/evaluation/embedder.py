import keras
import numpy as np
from keras import ops

from ..data import to_dataset
from ..models import Autoencoder, MultimodalModel, Retriever
from ..models.late import late_fusion
from ..models.unit import unit
from ..names import layer_name
from .tensors import is_present


class Embedder:
    """One vector for each row of a table, from any built model.

    It is what the layer `"modality-fusion"` gives. Late fusions give no vector: each
    modality's mean token is scaled to length 1, and they are put side by side, 0
    where one is absent; of the hybrid fusion it is what its early part gives. An
    autoencoder's vector is its code, a retriever's the sum of its towers' vectors.

    Vectors are scaled to length 1 where only their direction matters: a retriever
    compares cosines, and the length that a classifier gives a row tells how sure it
    is, not what it is. They keep it if the model gives back numbers alone.

    Args:
        model: a model made by a builder.
        tower: string, the one tower of a retriever to take, or None.

    Raises:
        ValueError: if the model has no such vector.
    """

    def __init__(self, model, tower=None):
        if not isinstance(model, MultimodalModel) or model.schema is None:
            raise ValueError(
                "The model must be made by a builder, such as "
                "keras_mm.build_classifier. "
                f"Received: model of type {type(model).__name__}"
            )
        if tower is not None and not isinstance(model, Retriever):
            raise ValueError(
                f"Only a retriever has towers. Leave `tower` out. Received: tower={tower!r}"
            )
        self.schema = model.schema
        numbers = [t.kind == "number" for t in self.schema.targets.values()]
        self._scaled = not isinstance(model, Autoencoder) and not (
            numbers and all(numbers)
        )
        if isinstance(model, Retriever):
            self._part, self._vectors = model, _sum
            if tower is not None:
                self._part, self._vectors = model.tower(tower), _only
                self.schema = self._part.schema
            return
        name = layer_name("fusion")
        if isinstance(model, Autoencoder):
            name = layer_name("bottleneck", next(iter(self.schema.inputs)))
        layer = {layer.name: layer for layer in model.layers}.get(name)
        if layer is None:
            raise ValueError(
                f"The model has no layer {name!r} to take vectors from. For one tower "
                "of a retriever pass the retriever and tower=<name>. "
                f"Received: model={model.name!r}"
            )
        late = late_fusion(model)
        outputs, self._vectors = layer.output, _only
        if late is not None:
            # What is computed behind it is not wired into a model: one that was
            # loaded has names that new operations could take again.
            outputs, self._vectors = layer.input, lambda *x: _experts(late, x)
        self._part = keras.Model(model.inputs, keras.tree.flatten(outputs))

    def __call__(self, table, batch_size=None, base_dir=None, bad="error"):
        """Vectors in the order of the rows, and which rows have anything.

        Args:
            table: DataFrame.
            batch_size: int, 32 if not given.
            base_dir: as in `model.fit`.
            bad: as in `model.fit`.

        Returns:
            float32 array `(rows, units)`, 0 for rows that have nothing, and bool
            array `(rows,)`.
        """
        dataset = to_dataset(
            table,
            self.schema,
            batch_size or 32,
            base_dir=base_dir,
            bad=bad,
            with_target=False,
        )
        vectors, there = [], []
        for (batch,) in dataset.as_numpy_iterator():
            shown = is_present(batch, list(self.schema.inputs))
            tensors = [batch[tensor.name] for tensor in self._part.inputs]
            outputs = keras.tree.flatten(self._part.predict_on_batch(tensors))
            found = np.asarray(self._vectors(*outputs), "float32")
            # A bias may make something of nothing.
            vectors.append(np.where(shown[:, np.newaxis], found, 0))
            there.append(shown)
        vectors = np.concatenate(vectors)
        return unit(vectors) if self._scaled else vectors, np.concatenate(there)


def _only(vectors, *_):
    # Behind the vectors, a fusion may give its weights.
    return vectors


def _sum(*towers):
    return np.sum(towers, axis=0)


def _experts(late, values):
    """What the experts of a late fusion read, or the one that reads everything."""
    values = [ops.convert_to_tensor(value) for value in values]
    half = len(values) // 2
    vectors = late.vectors(values[:half], values[half:])[0]
    vectors = [ops.convert_to_numpy(vector) for vector in vectors]
    if len(vectors) > half:
        return vectors[-1]
    # Encoders differ in scale: the largest would decide alone.
    return np.concatenate([unit(vector) for vector in vectors], axis=1)
