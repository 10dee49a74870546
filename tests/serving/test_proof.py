"""The proof of an export can fail: a fault in any kind of output is found."""

import keras
import numpy as np
import pytest

import keras_mm
from keras_mm.serving import ExportedModel, verify

from ..helpers import make_table, small_encoders

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A model that answers with every kind of target, and columns of any name."""
    table = make_table(24, missing=False).rename(
        columns={"text": "product text", "price": "2nd price (EUR)"}
    )
    table["best of"] = ["cat", "dog", "eel"] * 8
    table["tags"] = ["red|round", "red", "", "round"] * 6
    table["sum"] = np.arange(24.0)
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12), augmentation=None),
            "product text": keras_mm.Text(sequence_length=6),
            "2nd price (EUR)": keras_mm.Number(),
        },
        {
            "best of": keras_mm.ClassLabel(),
            "tags": keras_mm.MultiLabel(),
            "sum": keras_mm.Number(),
        },
    ).adapt(table)
    made = small_encoders()
    encoders = {"image": made["image"], "product text": made["text"]}
    model = keras_mm.build_multitask(schema, encoders=encoders, seed=0)
    path = keras_mm.export(
        model, tmp_path_factory.mktemp("export") / "shop", rows=table, verbose=False
    )
    return table, model, path


def swapped(values):
    """Rows in another order, in which no row is itself."""
    return values[::-1].copy()


def shifted(values):
    """Each row's list begins with what was its second item."""
    return np.roll(values, 1, axis=1)


def negated(values):
    return ~values


FAULTS = [
    ("serving_default", "best_of", swapped),
    ("serving_default", "best_of_classes", shifted),
    ("serving_default", "best_of_probabilities", shifted),
    ("serving_default", "tags", swapped),
    ("serving_default", "tags_classes", shifted),
    ("serving_default", "tags_probabilities", shifted),
    ("serving_default", "sum", swapped),
    ("serving_default", "image_ok", negated),
    ("serving_tensors", "best_of", swapped),
    ("serving_tensors", "tags_classes", shifted),
    ("embed", "embedding", shifted),
    ("embed_product_text", "embedding", swapped),
    ("explain", "column_2nd_price_EUR", negated),
]


def plant(monkeypatch, signature, output, fault):
    run = ExportedModel.run

    def wrong(self, name, inputs):
        answer = run(self, name, inputs)
        if name == signature:
            change = fault if fault is not negated else _negate
            answer[output] = change(answer[output])
        return answer

    monkeypatch.setattr(ExportedModel, "run", wrong)


def _negate(values):
    return ~values if values.dtype == bool else 1 - values


@pytest.mark.parametrize("signature, output, fault", FAULTS)
def test_faults_are_found(several, monkeypatch, signature, output, fault):
    table, model, path = several
    plant(monkeypatch, signature, output, fault)
    with pytest.raises(RuntimeError, match=f"output '{output}' of '{signature}' is"):
        verify(path, model, table.head(4))


def test_lost_answers_are_found(several, monkeypatch):
    _, model, path = several
    run = ExportedModel.run

    def lose(self, name, inputs):
        answer = run(self, name, inputs)
        answer.pop("tags_classes", None)
        return answer

    monkeypatch.setattr(ExportedModel, "run", lose)
    with pytest.raises(RuntimeError, match="must answer with.*tags_classes"):
        verify(path, model)


def test_every_output_is_listed(several):
    _, model, path = several
    exported = ExportedModel(path)
    planted = {(signature, output) for signature, output, _ in FAULTS}
    here = {("serving_default", name) for name in exported.outputs()}
    assert here <= planted
    assert {signature for signature, _ in planted} | {"embed_image"} <= set(
        exported.signatures
    )


@pytest.mark.parametrize("names", ["of columns", "served"])
def test_columns_of_any_name(several, names):
    table, model, path = several
    expected = model.predict(table, verbose=0)
    exported = keras_mm.load_exported(path)
    assert set(exported.inputs()) == {"image", "product_text", "column_2nd_price_EUR"}
    if names == "served":
        table = table.rename(columns=model.schema.served_names)
    answer = exported(table)
    np.testing.assert_allclose(
        np.stack(answer["best_of_probabilities"]), expected["best of"], atol=1e-5
    )
    np.testing.assert_allclose(answer["sum"], expected["sum"][:, 0], atol=1e-5)


def test_two_columns_of_one_served_name_are_refused(several):
    table, _, path = several
    table = table.assign(**{"product-text": "x"})
    with pytest.raises(ValueError, match="would both be read as 'product_text'"):
        keras_mm.load_exported(path)(table)
