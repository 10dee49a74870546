import keras
from keras import layers, ops

from .. import encoders as encoder_room
from ..data import Schema
from ..heads import MaskedMeanSquaredError
from ..names import layer_name
from ..objectives import Reconstruction
from .decoder import build_decoder
from .graph import part_of
from .model import MultimodalModel
from .parts import Part
from .seeded import seeded_builder
from .wiring import Wiring


@keras.saving.register_keras_serializable(package="keras_mm")
class Autoencoder(MultimodalModel):
    """A model that learns to reconstruct its input; needs no labels.

    Made by `build_autoencoder`. `fit`, `evaluate` and `predict` take tables with
    its one column, or that column's tensors; the target is the input itself.
    """

    objective = Reconstruction()

    @property
    def encoder(self):
        """`keras.Model` from the column's tensor to `[tokens, mask]`.

        The same network as in `build_classifier`, without the bottleneck that
        follows. A classifier that is built with it copies it.
        """
        (encoder,) = self.encoders.values()
        return encoder

    @property
    def decoder(self):
        """`keras.Model` from `(batch, units)` to the column's tensor."""
        (name,) = self.wiring.heads.values()
        return self.get_layer(name)

    def code(self):
        """The submodel from the column to the code; it takes tables.

        Returns:
            `MultimodalModel` that maps the column to a dict from its name to the code
            `(batch, units)`.
        """
        ((column, bottleneck),) = self.wiring.fusions.items()
        part = part_of(self, lambda graph: {column: graph.outputs[bottleneck]})
        code = MultimodalModel(part.inputs, part.output)
        code.schema, code.seed = self.schema, self.seed
        return code

    def serving_model(self):
        """The model whose outputs an export serves: its output is the code."""
        return self.code()

    def parts(self):
        """`embed`, the code; see `MultimodalModel.parts`."""
        (column,) = self.schema.inputs
        return {
            "embed": Part(self.code(), [column], lambda out: {"embedding": out[column]})
        }

    def vectors(self, tower=None):
        """The code; see `MultimodalModel.vectors`."""
        if tower is not None:
            return super().vectors(tower)
        (column,) = self.schema.inputs
        return self.code(), lambda out: out[column], False

    def set_encoder_schema(self):
        """Sets the encoder's `schema`; see `encoders.Trained`."""
        self.encoder.schema = self.schema

    def _set_own(self, config):
        super()._set_own(config)
        self.set_encoder_schema()


@seeded_builder
def build_autoencoder(
    schema,
    column=None,
    encoder=None,
    units=64,
    noise=0.0,
    optimizer=None,
    seed=None,
):
    """Builds a compiled autoencoder of one column: learning without labels.

    An encoder and a bottleneck compress an image, a sound, a sequence or a vector
    to a code of `units` numbers, from which a decoder reconstructs it. An encoder
    pretrained on many unlabelled rows can help a classifier with few labels.

    Examples:

    >>> autoencoder = keras_mm.build_autoencoder(schema, column="image", units=16)
    >>> autoencoder.fit(train, validation_data=validation, epochs=1)
    >>> autoencoder.predict(test, verbose=0).shape
    (6, 96, 96, 3)

    Its encoder in a classifier, here frozen; the weights are copied:

    >>> autoencoder.encoder.trainable = False
    >>> model = keras_mm.build_classifier(
    ...     schema, encoders={"image": autoencoder.encoder})

    The loss is the mean squared error of the values that are present: missing rows,
    padded steps and gaps are masked. Images are not augmented. The reconstruction
    has the scale of the tensor: pixels from 0 to 1, sequences and vectors in
    standard deviations. Missing values of the input are imputed.

    Args:
        schema: an adapted `Schema`, whose target, if any, is ignored; or a dict
            of inputs, for arrays.
        column: string, the column to reconstruct; optional if it is the only one.
        encoder: name (`keras_mm.encoders.ENCODERS`) or `Encoder` object.
            Default: depends on the input's type.
        units: int, length of the code.
        noise: float, standard deviation of Gaussian noise that is added to the
            input in training but not to the target: a denoising autoencoder.
        optimizer: Keras optimizer or its name.
        seed: int, for initialisation, noise and the order of the rows.

    Returns:
        `Autoencoder`, a compiled functional `keras.Model` with the attributes
        `encoder`, `decoder` and `schema`, giving `(batch, *input.shape)`.

    Reference:
        Hinton and Salakhutdinov 2006, "Reducing the Dimensionality of Data with
        Neural Networks"; Vincent et al. 2008, "Extracting and Composing Robust
        Features with Denoising Autoencoders".
    """
    column, value = _chosen(schema, column)
    if not isinstance(schema, Schema):
        schema = Schema.of_arrays(schema)
    if units < 1 or noise < 0:
        raise ValueError(
            "`units` must be positive and `noise` not negative. "
            f"Received: units={units}, noise={noise}"
        )
    if encoder is None and value.kind == "vector":
        # The default is narrower than most bottlenecks.
        encoder = encoder_room.Dense(128)
    encoder = encoder_room.get(encoder, [value])
    if isinstance(encoder, encoder_room.Custom):
        raise ValueError(
            "The encoder of an autoencoder must be a name or an object such as "
            f"keras_mm.encoders.CNN(32). Received: encoder={encoder.function!r}"
        )
    value = encoder.prepare(value)
    config = value.get_config()
    if "augmentation" in config:
        # The decoder cannot undo a random shift.
        value = type(value).from_config({**config, "augmentation": None})

    tensor = value.keras_input(column)
    x = tensor
    if noise:
        name = layer_name("noise", column)
        x = layers.GaussianNoise(noise, seed=seed, name=name)(x)
    tokens, mask = encoder.build(
        {column: value},
        name=layer_name("encoder", column),
        # The mean over the steps would lose their order.
        sequences=value.kind == "sequence",
    )(x)
    x = _places(tokens, mask, layer_name("places", column))
    x = layers.Dense(units, name=layer_name("bottleneck", column))(x)
    output = build_decoder(value, units, layer_name("decoder", column))(x)
    model = Autoencoder([tensor], output, name="autoencoder")
    model.schema, model.seed = schema.part([column]).with_inputs({column: value}), seed
    model.wiring = Wiring(
        {column: [column]},
        {column: layer_name("encoder", column)},
        {column: layer_name("bottleneck", column)},
        {column: layer_name("decoder", column)},
    )
    model.set_encoder_schema()
    model.compile(
        optimizer=optimizer or keras.optimizers.Adam(1e-3),
        loss=MaskedMeanSquaredError(),
    )
    return model


def _places(tokens, mask, name):
    """Tokens, pooled to at most 16 positions and flattened."""
    inputs = [
        keras.Input(tokens.shape[1:], dtype=tokens.dtype),
        keras.Input(mask.shape[1:], dtype="bool"),
    ]
    x, mask_input = inputs
    # Masked tokens are set to 0.
    x = x * ops.cast(ops.expand_dims(mask_input, -1), x.dtype)
    pool = -(-x.shape[1] // 16)
    if pool > 1:
        x = layers.AveragePooling1D(pool, padding="same")(x)
    return keras.Model(inputs, layers.Flatten()(x), name=name)([tokens, mask])


def _chosen(schema, column):
    """The column to reconstruct, and its input."""
    inputs = schema.inputs if isinstance(schema, Schema) else schema
    if not isinstance(inputs, dict) or not inputs:
        raise ValueError(
            "The first argument must be a keras_mm.Schema or a dict of inputs. "
            f"Received: {type(schema).__name__}"
        )
    if column is None and len(inputs) == 1:
        (column,) = inputs
    if column not in inputs:
        raise ValueError(
            "An autoencoder reconstructs one column: pass column=... "
            f"Received: column={column!r}, inputs={list(inputs)}"
        )
    value = inputs[column]
    if value.kind not in ("image", "sequence", "vector") or len(value.shape) > 3:
        raise ValueError(
            "An autoencoder reconstructs an Image (one per cell), Audio, Sequence or "
            "Vector column. "
            f"Received: {column}={value!r}"
        )
    if isinstance(schema, Schema) and not value.is_adapted:
        raise ValueError(
            "The schema has not been adapted yet. Call schema.adapt(train) "
            f"first. Received: schema={schema!r}"
        )
    return column, value
