from typing import NamedTuple

from ..encoders import by_column
from ..names import answer_name, layer_name, served_name

# Keys of the outputs of a model with experts, in training.
PREDICTIONS, EXPERTS = "predictions", "experts"


class Wiring(NamedTuple):
    """The roles of a model's layers; saved with the model.

    Args:
        modalities: dict from modality to its columns, in the order in which they are
            fused.
        encoders: dict from modality to the name of its encoder, a nested model that
            returns tokens and mask.
        fusions: dict from target to the name of the layer whose result it is predicted
            from; several targets may share one. Of an autoencoder, from its column to
            the bottleneck.
        heads: dict from target to the name of the layer that predicts it, or of the
            decoder.
        has_experts: bool, whether the outputs are a dict of `predictions` and of what
            the `experts` of late fusions predict by themselves.
    """

    modalities: dict = {}
    encoders: dict = {}
    fusions: dict = {}
    heads: dict = {}
    has_experts: bool = False

    @property
    def by_column(self):
        """dict like `modalities`, where several encoders of one column are one."""
        groups = by_column(self.modalities)
        return {name: self.modalities[one] for name, (one, *_) in groups.items()}

    def read_only_by(self, modalities):
        """The columns that the encoders of these modalities read, and no others."""
        read, left = set(), set()
        for name, columns in self.modalities.items():
            (read if name in modalities else left).update(columns)
        return read - left

    @classmethod
    def of_names(cls, model, schema):
        """The wiring inferred from layer names, for files that do not hold it."""
        names = [layer.name for layer in model.layers]
        columns = {served_name(column): column for column in schema.inputs}
        encoders = {}
        for name in names:
            modality = name.removesuffix("encoder")[:-1]
            # Early files have "_" in the names.
            if name.endswith(("-encoder", "_encoder")):
                # All but columns are groups, such as "all-numbers".
                group = modality.replace("_", "-")
                encoders[columns.get(modality, group)] = name
        fusion = [name for name in (layer_name("fusion"), "fusion") if name in names]
        fusions = dict.fromkeys(schema.targets, *fusion) if fusion else {}
        heads = {name: answer_name(name) for name in schema.targets}
        for column in schema.inputs:
            # An autoencoder's.
            if layer_name("bottleneck", column) in names:
                fusions[column] = layer_name("bottleneck", column)
                heads[column] = layer_name("decoder", column)
        return cls(
            schema.modalities(own=encoders),
            encoders,
            fusions,
            heads,
            isinstance(model.output, dict) and EXPERTS in model.output,
        )
