import keras
from keras import layers, ops

from .augmentation import Augmentation
from .encoder import Encoder
from .pretrained import freeze_again

# Settings of an input that are taken from the encoder's own training, and settings
# that act in training only and may differ.
_LEARNED = ("mean", "std")
_IN_TRAINING = ("augmentation",)
_AUGMENTATION = keras.saving.get_registered_name(Augmentation)


class Trained(Encoder):
    """A copy of an encoder that was trained in another model, with its weights.

    `encoders={"image": autoencoder.encoder}` does the same. Training the new model
    does not change the other one. An encoder with `trainable = False` stays frozen
    in the copy. Images are augmented by the setting of the new model's input.

    Examples:

    >>> encoder = keras_mm.encoders.Trained(model.encoders["image"])
    >>> other = keras_mm.build_classifier(schema, encoders={"image": encoder})

    Args:
        model: `keras.Model` that returns `[tokens, mask]`, such as an encoder of a
            model that a builder made. If it has a `schema`, the new input must have
            the same settings as its own; mean and standard deviation are replaced
            by those that the encoder was trained with.
    """

    def __init__(self, model):
        self.model = model

    @property
    def augments(self):
        """Whether the copied model contains its own augmentation layer."""
        parts = self.model._flatten_layers(include_self=False)
        return any(isinstance(layer, Augmentation) for layer in parts)

    def prepare(self, value):
        """The input with the mean and deviation of the encoder's training."""
        schema = getattr(self.model, "schema", None)
        if schema is None:
            return value
        (source,) = schema.inputs.values()
        config, trained = value.get_config(), source.get_config()
        differ = [
            key
            for key in config
            if key not in (*_LEARNED, *_IN_TRAINING) and config[key] != trained.get(key)
        ]
        if type(value) is not type(source) or differ:
            raise ValueError(
                f"The encoder was trained on {source.describe()!r}. Give the new "
                "model the same input, or train the encoder on this one. Received: "
                f"{value.describe()!r}, which differs in "
                f"{', '.join(differ) or 'its type'}"
            )
        learned = {key: trained[key] for key in _LEARNED if key in config}
        return type(value).from_config({**config, **learned})

    def encode(self, tensors, inputs, sequences):
        """Applies the copy."""
        expected = [tuple(tensor.shape) for tensor in self.model.inputs]
        received = [tuple(tensor.shape) for tensor in tensors]
        if expected != received:
            raise ValueError(
                f"The encoder reads tensors of shape {expected}; the input's size "
                "or length must be that of its training. "
                f"Received: tensors of shape {received}"
            )
        choice = inputs[0].get_config().get("augmentation")
        config = _augmenting(self.model.get_config(), choice)
        copy = type(self.model).from_config(config)
        freeze_again(copy)
        for weight, source in zip(_learned(copy), _learned(self.model)):
            # A copy: on jax they would share memory, which training overwrites.
            weight.assign(ops.convert_to_numpy(source))
        return copy(tensors)


def _augmenting(config, choice):
    """A model's configuration with its augmentation layers replaced.

    Args:
        config: the configuration, or a part of it.
        choice: `Image.augmentation` as plain data.
    """
    if isinstance(config, list):
        return [_augmenting(part, choice) for part in config]
    if not isinstance(config, dict):
        return config
    if config.get("registered_name") != _AUGMENTATION:
        return {name: _augmenting(part, choice) for name, part in config.items()}
    own = config["config"]
    if choice is not None:
        return {**config, "config": {**own, "layer": choice}}
    layer = layers.Identity(name=own["name"], dtype="float32")
    return {**config, **keras.saving.serialize_keras_object(layer)}


def _learned(model):
    """The weights of a model without those of its augmentation layers."""
    inner = model._flatten_layers(include_self=False)
    augmenting = [layer for layer in inner if isinstance(layer, Augmentation)]
    left_out = {id(weight) for layer in augmenting for weight in layer.weights}
    return [weight for weight in model.weights if id(weight) not in left_out]


def is_encoder(part):
    """Whether a model returns `[tokens, mask]`, and handles missing values itself."""
    return (
        isinstance(part, keras.Model)
        and part.built
        and len(getattr(part, "outputs", None) or []) == 2
        and len(part.outputs[0].shape) == 3
        and part.outputs[1].dtype == "bool"
    )
