"""Averaged weights are what is validated, what stays, and not what training goes on from."""

import keras
import numpy as np
import pytest

from keras_mm.training import AveragedWeights


class Track(keras.callbacks.Callback):
    """Keeps the weights that other callbacks see."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs, self.tests = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(weights_of(self.model))

    def on_test_begin(self, logs=None):
        self.tests.append(weights_of(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(weights_of(self.model))


def weights_of(model):
    return [np.array(keras.ops.convert_to_numpy(w)) for w in model.weights]


def noisy_model():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, trainable=False),
            keras.layers.Dense(3, kernel_initializer="zeros"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.2), "mse")
    return model


def expected(batches, epochs, steps):
    """The averages at the end of each epoch, of weights after each step."""
    average, ends = None, []
    for n, values in enumerate(batches, start=1):
        if average is None:
            average = values
        else:
            decay = min(1 - 1 / (epochs * steps), (1 + n) / (10 + n))
            average = [decay * a + (1 - decay) * v for a, v in zip(average, values)]
        if n % steps == 0:
            ends.append(average)
    return ends


@pytest.mark.backends
def test_validation_and_later_callbacks_get_the_average():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 2)) + 3.0, random.normal(size=(40, 3))
    keras.utils.set_random_seed(0)
    model, track = noisy_model(), Track()
    rows = {"validation_data": (x, y), "shuffle": False, "verbose": 0}
    model.fit(
        x, y, batch_size=5, epochs=4, callbacks=[AveragedWeights(2), track], **rows
    )
    ends = expected(track.batches, 2, 8)
    for seen in (track.tests, track.epochs):
        for got, want in zip(seen, ends, strict=True):
            for a, b in zip(got, want, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-5)
    for got, want in zip(weights_of(model), ends[-1], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    # Training itself is as without.
    keras.utils.set_random_seed(0)
    other, plain = noisy_model(), Track()
    other.fit(x, y, batch_size=5, epochs=4, callbacks=[plain], **rows)
    for got, want in zip(track.batches, plain.batches, strict=True):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert not np.allclose(weights_of(other)[-2], weights_of(model)[-2], atol=1e-3)


def test_no_epochs_are_refused():
    with pytest.raises(ValueError, match="Received: epochs=0"):
        AveragedWeights(0)
