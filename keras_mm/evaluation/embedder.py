import numpy as np

from ..data import to_dataset
from ..models import MultimodalModel
from ..models.unit import unit
from .tensors import is_present


class Embedder:
    """Embeds the rows of a table with any model made by a builder.

    The embedding is the fused vector; for several fusions, their vectors side by side.
    For late fusions, which have no fused vector, it is the concatenation of each
    modality's mean token, scaled to unit length, 0 if the modality is absent; for the
    hybrid fusion, the vector of its early part. For an autoencoder it is the code, for
    a retriever the sum of the towers' vectors.

    Embeddings are scaled to unit length where only their direction matters: a
    retriever compares cosines, and the norm of a classifier's embedding reflects
    confidence, not content. Embeddings of autoencoders and of models that predict
    numbers alone keep their norm.

    Args:
        model: a model made by a builder.
        tower: string, the tower of a retriever to use, or None: all towers.

    Raises:
        ValueError: if the model has no embedding.
    """

    def __init__(self, model, tower=None):
        if not isinstance(model, MultimodalModel) or model.schema is None:
            raise ValueError(
                "The model must be made by a builder, such as "
                "keras_mm.build_classifier. "
                f"Received: model of type {type(model).__name__}"
            )
        self._part, self._vectors, self._scaled = model.vectors(tower)
        # A tower's schema has only its own columns.
        self.schema = getattr(self._part, "schema", None) or model.schema

    def __call__(self, table, batch_size=None, base_dir=None, on_unreadable="error"):
        """The embeddings, and which rows have any inputs.

        Args:
            table: DataFrame.
            batch_size: int, 32 if not given.
            base_dir: as in `model.fit`.
            on_unreadable: as in `model.fit`.

        Returns:
            float32 array `(rows, units)`, 0 for rows whose inputs are all missing, and
            bool array `(rows,)`, False for these rows.
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
