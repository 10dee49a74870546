"""An objective of one's own: predictions that are less sure of themselves."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_mm

from ..helpers import dense_model, dense_table


@keras.saving.register_keras_serializable(package="tests")
class ConfidencePenalty(keras_mm.objectives.Supervised):
    """The supervised loss less the entropy of the predicted classes.

    Reference:
        Pereyra et al. 2017, "Regularizing Neural Networks by Penalizing Confident
        Output Distributions".
    """

    def __init__(self, strength=0.1):
        self.strength = strength

    def loss(self, model, x, y, outputs, sample_weight, training):
        loss = super().loss(model, x, y, outputs, sample_weight, training)
        if not training:
            return loss
        p = model.predictions(outputs)
        entropy = -ops.sum(p * ops.log(p + 1e-7), axis=-1)
        return loss - self.strength * ops.mean(entropy)

    def get_config(self):
        return {"strength": self.strength}


@pytest.mark.parametrize("fusion", ["gated", "hybrid"])
def test_an_objective_of_ones_own(fusion, tmp_path):
    table = dense_table(12)
    model = dense_model(table, fusion=fusion, optimizer=keras.optimizers.SGD(0.0))
    settings = {"batch_size": 12, "shuffle": False, "verbose": 0}
    (plain,) = model.fit(table, **settings).history["loss"]
    p = model.predict(table, verbose=0)
    entropy = -(p * np.log(p)).sum(axis=1).mean()
    model.objective = ConfidencePenalty(0.5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.objective.strength == 0.5
    (loss,) = again.fit(table, **settings).history["loss"]
    np.testing.assert_allclose(loss, plain - 0.5 * entropy, rtol=1e-4)
