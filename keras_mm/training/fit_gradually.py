import keras

from ..deprecated import renamed
from ..encoders.pretrained import pretrained_parts


@renamed(bad="on_unreadable")
def fit_gradually(
    model, x, unfreeze=(0, 1, None), epochs=2, decay=2.6, encoders=None, **kwargs
):
    """Gradual unfreezing: trains the new layers, then the encoders from the top down.

    Each stage compiles the model again, with more encoder layers trainable and smaller
    learning rates, so that the randomly initialised layers do not spoil the pretrained
    ones. Batch normalisation keeps its pretrained statistics. The model remains in the
    state of the last stage.

    Examples:

    >>> history = keras_mm.training.fit_gradually(
    ...     model, train, unfreeze=(0, 1), epochs=1, encoders=["text"])

    Args:
        model: a compiled model made by a builder, whose optimizer has a number
            as its learning rate.
        x: rows with the target, or anything else that `model.fit` takes.
        unfreeze: sequence with one entry per stage: number of topmost layers (blocks)
            of each encoder to train; None: all.
        epochs: int, or one for each stage.
        decay: float; every stage divides all learning rates by it.
        encoders: list of modalities; None: those with a pretrained model inside.
        **kwargs: other arguments of `model.fit`: `validation_data`...

    Returns:
        `keras.callbacks.History` of all stages, one after the other.

    Raises:
        ValueError: if there is nothing to unfreeze.

    Reference:
        Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
        Classification": gradual unfreezing, and rates that fall by 2.6.
    """
    stages = list(unfreeze)
    counts = [epochs] * len(stages) if isinstance(epochs, int) else list(epochs)
    if len(counts) != len(stages):
        raise ValueError(
            "`epochs` must be a number, or one for each stage. "
            f"Received: epochs={epochs}, unfreeze={unfreeze}"
        )
    parts = _parts_of(model, encoders)
    config, rates = model.compile_settings(), model.learning_rates
    rate = config["optimizer"]["config"]["learning_rate"]
    if not isinstance(rate, (int, float)):
        raise ValueError(
            "The optimizer's learning rate must be a number; each stage divides "
            f"it by `decay`. Received: learning_rate={rate}"
        )
    history = keras.callbacks.History()
    history.set_model(model)
    history.on_train_begin()
    for stage, (count, epochs) in enumerate(zip(stages, counts)):
        for part in parts:
            _unfreeze(part, count)
        again = keras.saving.deserialize_keras_object(config)
        again["optimizer"].learning_rate = rate / decay**stage
        model.learning_rates = {
            name: value / decay**stage for name, value in rates.items()
        }
        model.compile(**again)
        done = len(history.epoch)
        stage_history = model.fit(x, epochs=done + epochs, initial_epoch=done, **kwargs)
        history.epoch += stage_history.epoch
        for name, values in stage_history.history.items():
            history.history.setdefault(name, []).extend(values)
    return history


def _parts_of(model, encoders):
    """The pretrained models of some encoders."""
    available = model.encoders
    unknown = set(encoders or ()) - set(available)
    if unknown:
        raise ValueError(
            f"The model's encoders are {sorted(available)}. "
            f"Received: encoders={encoders}"
        )
    parts = []
    for name, encoder in available.items():
        inside = pretrained_parts(encoder)
        if name in encoders if encoders is not None else inside != [encoder]:
            parts += inside
    if not parts:
        raise ValueError(
            "No encoder of the model has a pretrained model inside. Name those to "
            f"unfreeze: encoders=['text']. Received: encoders={encoders}"
        )
    return parts


def _unfreeze(part, count):
    """Makes the topmost `count` layers with weights trainable, and no other."""
    blocks = [layer for layer in part.layers if layer.weights]
    first = 0 if count is None else max(0, len(blocks) - count)
    part.trainable = True
    for layer in part.layers:
        layer.trainable = False
    for layer in blocks[first:]:
        layer.trainable = True
        for inner in [layer, *layer._flatten_layers(include_self=False)]:
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = False
