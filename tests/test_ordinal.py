"""A target of one's own: ordered classes. Is a row above the first, the second, ...?"""

import keras
import numpy as np

import keras_mm
from keras_mm.names import layer_name

from .helpers import dense_table

register = keras.saving.register_keras_serializable(package="tests")


@register
class OrdinalHead(keras_mm.heads.Head):
    reads = ("ordinal",)

    def logits(self, fused, target, name):
        dense = keras.layers.Dense(target.units, name=layer_name("logits", name))
        return dense(fused.vector)

    def predictions(self, logits, target, name):
        return keras.layers.Activation(
            "sigmoid", dtype="float32", name=self.layer_name(name)
        )(logits)

    def loss(self, target):
        return keras.losses.BinaryCrossentropy()


@register
class Ordinal(keras_mm.targets.Target):
    kind, default_head = "ordinal", OrdinalHead()
    metrics = lower_is_better = ("levels_off",)

    def __init__(self, levels):
        self.levels, self.units = list(levels), len(levels) - 1

    def encode(self, column, name="target", allow_missing=False):
        levels = np.array([[self.levels.index(cell)] for cell in column])
        return (levels > np.arange(self.units)).astype("float32")

    def scores(self, labels, predictions, weights):
        off = np.abs((predictions > 0.5).sum(axis=1) - labels.sum(axis=1))
        return {"levels_off": weights @ off / weights.sum(axis=1)}

    def to_columns(self, predictions, name):
        return {name: np.take(self.levels, (predictions > 0.5).sum(axis=1))}

    def to_answers(self, predictions, name):
        import tensorflow as tf

        above = tf.reduce_sum(tf.cast(predictions > 0.5, "int32"), axis=1)
        return {name: tf.gather(tf.constant(self.levels), above)}

    def draw(self, axes, labels, predictions):
        axes.scatter(labels.sum(axis=1), predictions.sum(axis=1))

    def get_config(self):
        return {"levels": self.levels}


def test_ordered_classes(tmp_path):
    table = dense_table(60)
    table["category"] = table["category"].map({"x": "low", "y": "mid", "z": "high"})
    schema = keras_mm.Schema(
        {name: keras_mm.Vector(len(table[name][0])) for name in ("good", "bad")},
        {"category": Ordinal(["low", "mid", "high"])},
    ).adapt(table)
    model = keras_mm.build_model(schema, seed=0)
    model.fit(table, validation_data=table, epochs=30, verbose=0)
    assert keras_mm.evaluation.score(model, table)["levels_off"] < 0.3
    frame = keras_mm.evaluation.to_frame(model.predict(table), model.schema)
    keras_mm.evaluation.plot_targets(model, table).savefig(tmp_path / "levels.png")
    model.save(tmp_path / "levels.keras")
    model = keras.models.load_model(tmp_path / "levels.keras")
    path = keras_mm.export(model, tmp_path / "levels", rows=table, verbose=False)
    served = keras_mm.load_exported(path)(table)
    assert served["category"].tolist() == frame["category"].tolist()
