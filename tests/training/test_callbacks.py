"""Training stops in time and keeps the best weights."""

import keras
import numpy as np

import keras_mm


def model_of_one_weight():
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def test_best_weights_come_back(capsys):
    """Training pulls the weight to 1, validation wants 0.4."""
    model = model_of_one_weight()
    ones = np.ones((8, 1), "float32")
    history = model.fit(
        ones,
        ones,
        validation_data=(ones, 0.4 * ones),
        epochs=60,
        verbose=0,
        callbacks=keras_mm.training.callbacks("weight", patience=3),
    )
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 4 < 60
    loss = model.evaluate(ones, 0.4 * ones, verbose=0)
    assert abs(loss - losses[best]) < 1e-6
    assert "weight" in capsys.readouterr().out


def test_no_bar_without_a_description():
    kinds = [type(c).__name__ for c in keras_mm.training.callbacks()]
    assert kinds == ["AveragedWeights", "EarlyStopping", "TerminateOnNaN"]
