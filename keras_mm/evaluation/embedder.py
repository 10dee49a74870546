import numpy as np

from ..data import to_dataset
from ..models import MultimodalModel
from ..models.unit import unit
from .tensors import is_present


class Embedder:
    """One vector for each row of a table, from any built model.

    It is what the fusion gives, of several fusions theirs side by side. Late fusions
    give no vector: each modality's mean token is scaled to length 1, and they are put
    side by side, 0 where one is absent; of the hybrid fusion it is what its early part
    gives. An autoencoder's vector is its code, a retriever's the sum of its towers'
    vectors.

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
        self._part, self._vectors, self._scaled = model.vectors(tower)
        # A tower has a schema of its own columns.
        self.schema = getattr(self._part, "schema", None) or model.schema

    def __call__(self, table, batch_size=None, base_dir=None, on_unreadable="error"):
        """Vectors in the order of the rows, and which rows have anything.

        Args:
            table: DataFrame.
            batch_size: int, 32 if not given.
            base_dir: as in `model.fit`.
            on_unreadable: as in `model.fit`.

        Returns:
            float32 array `(rows, units)`, 0 for rows that have nothing, and bool
            array `(rows,)`.
        """
        dataset = to_dataset(
            table,
            self.schema,
            batch_size or 32,
            base_dir=base_dir,
            on_unreadable=on_unreadable,
            with_target=False,
        )
        vectors, presence = [], []
        for (batch,) in dataset.as_numpy_iterator():
            present = is_present(batch, list(self.schema.inputs))
            tensors = [batch[tensor.name] for tensor in self._part.inputs]
            outputs = self._part.predict_on_batch(tensors)
            embeddings = np.asarray(self._vectors(outputs), "float32")
            # Biases may give an empty row a nonzero vector.
            vectors.append(np.where(present[:, np.newaxis], embeddings, 0))
            presence.append(present)
        vectors = np.concatenate(vectors)
        return unit(vectors) if self._scaled else vectors, np.concatenate(presence)
