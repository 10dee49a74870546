"""The proof of an export can fail: a fault in any kind of output is found."""

import functools
import json
import os
import shutil
import types

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.serving import ExportedModel, verify
from keras_mm.serving.expected import Expected
from keras_mm.serving.libtensorflow import read_signatures
from keras_mm.serving.verify import _rehearse
from keras_mm.serving.warmup import read_warmup, write_warmup

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)


def swapped(values):
    """Rows in another order, in which no row is itself."""
    return values[::-1].copy()


def shifted(values):
    """Each row's list begins with what was its second item."""
    return np.roll(values, 1, axis=1)


def negated(values):
    return ~values if values.dtype == bool else 1 - values


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
    ("explain", "image_to_product_text", negated),
]


def recorded(path, model, *args):
    """What `verify` compares, as arguments of `Expected.check`: `{signature: ...}`."""
    calls, check = {}, Expected.check

    def record(self, signature, *args):
        # Of many rows: the written requests, which come last, have two.
        calls.setdefault(signature, (self, args))
        return check(self, signature, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Expected, "check", record)
        verify(path, model, *args)
    return calls


def check_with_fault(calls, signature, output, fault):
    """Compares again, with one output changed; None loses it."""
    expected, (answer, *others) = calls[signature]
    answer = dict(answer)
    if fault is None:
        del answer[output]
    else:
        answer[output] = fault(answer[output])
    expected.check(signature, answer, *others)


@pytest.fixture(scope="module")
def calls(shop):
    table, model, path = shop
    return recorded(path, model, table)


@pytest.mark.parametrize("signature, output, fault", FAULTS)
def test_faults_are_found(calls, signature, output, fault):
    with pytest.raises(RuntimeError, match=f"output '{output}' of '{signature}' is"):
        check_with_fault(calls, signature, output, fault)
    with pytest.raises(RuntimeError, match=f"must answer with.*'{output}'"):
        check_with_fault(calls, signature, output, None)


def test_every_output_is_listed(shop):
    _, model, path = shop
    exported = ExportedModel(path)
    planted = {(signature, output) for signature, output, _ in FAULTS}
    here = {("serving_default", name) for name in exported.outputs()}
    assert here <= planted
    assert {signature for signature, _ in planted} | {"embed_image"} <= set(
        exported.signatures
    )


@pytest.mark.parametrize("names", ["of columns", "served"])
def test_columns_of_any_name(shop, names):
    table, model, path = shop
    expected = model.predict(table, verbose=0)
    exported = keras_mm.load_exported(path)
    assert set(exported.inputs()) == {"image", "product_text", "column_2nd_price_EUR"}
    if names == "served":
        table = table.rename(columns=model.schema.served_names)
    answer = exported(table)
    np.testing.assert_allclose(
        np.stack(answer["best_of_probabilities"]), expected["best of"], atol=1e-5
    )
    frame = keras_mm.evaluation.to_frame(expected, model.schema)
    np.testing.assert_allclose(answer["sum"], frame["sum"], rtol=1e-5)
    assert answer["best_of"].tolist() == frame["best of"].tolist()
    assert answer["tags"].tolist() == frame["tags"].tolist()


def test_explanations_are_of_their_own_rows(shop):
    """Each attention map is one of the row itself, alone or among others."""
    table, model, path = shop
    exported = keras_mm.load_exported(path)
    together = exported(table.head(20), "explain")
    assert len(together.columns) == 6
    for row in (0, 13):
        alone = exported(table.iloc[[row]], "explain")
        for name in together:
            got = np.array(together[name][row])
            np.testing.assert_allclose(got, alone[name][0], atol=1e-6)
            # Over tokens of what is looked at; the mean of heads.
            np.testing.assert_allclose(got.sum(axis=-1), 1.0, atol=1e-5)


def test_two_columns_of_one_served_name(shop):
    """The one of the training counts, if it is there."""
    table, _, path = shop
    table = table.head(2)
    more = table.assign(**{"product-text": "x"})
    exported = keras_mm.load_exported(path)
    pd.testing.assert_frame_equal(exported(more), exported(table))
    table = more.rename(columns={"product text": "product.text"})
    with pytest.raises(ValueError, match="would both be read as 'product_text'"):
        keras_mm.load_exported(path)(table)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_numbers_are_compared_in_their_own_unit(unit):
    target = keras_mm.Number(mean=unit, std=unit)
    schema = keras_mm.Schema({"x": keras_mm.Number()}, {"mass": target})
    expected = Expected(types.SimpleNamespace(schema=schema))
    right = np.array([[-1.0], [0.0], [2.0]]) * unit
    check = functools.partial(
        expected.check, "serving_tensors", predictions={"mass": right}, tensors={}
    )
    # Rounding, also of what is near 0.
    assert check({"mass": right[:, 0] + 1e-6 * unit}, readable={}) < 1e-5
    with pytest.raises(RuntimeError, match="output 'mass' of 'serving_tensors'"):
        check({"mass": right[:, 0] + 1e-3 * unit}, readable={})


def test_numbers_far_from_zero_are_compared_in_their_spread():
    target = keras_mm.Number(mean=1e6, std=1.0)
    schema = keras_mm.Schema({"x": keras_mm.Number()}, {"mass": target})
    expected = Expected(types.SimpleNamespace(schema=schema))
    right = np.array([[1e6 - 1], [1e6]])
    with pytest.raises(RuntimeError, match="output 'mass' of 'serving_tensors'"):
        # The constant answer of a model that has lost its weights.
        answer = {"mass": np.array([1e6, 1e6])}
        expected.check("serving_tensors", answer, {"mass": right}, {}, {})


def test_written_requests_are_run(shop, tmp_path):
    """What the server replays, and what people try first, is answered rightly."""
    _, model, path = shop
    folder = shutil.copytree(os.path.dirname(path), tmp_path / "shop")
    exported, expected = ExportedModel(path), Expected(model)
    moved = str(folder / "1")

    def rehearse():
        return list(_rehearse(moved, exported, expected))

    assert max(rehearse()) < 1e-5
    # Whoever writes other rows asks for their answers.
    example = json.loads((folder / "request.json").read_text())
    example["instances"][0]["column_2nd_price_EUR"] = 1e6
    (folder / "request.json").write_text(json.dumps(example))
    assert max(rehearse()) < 1e-5
    row = example["instances"][0]
    for other in (
        {"instances": [row | {"more": 1.0}]},
        {"instances": [row | {"column_2nd_price_EUR": "dear"}]},
        {"inputs": {name: [value] for name, value in row.items()}},
        [],
    ):
        (folder / "request.json").write_text(json.dumps(other))
        with pytest.raises(ValueError, match=r"Received: .*request\.json"):
            rehearse()
    # It belongs to the newest version.
    (folder / "2").mkdir()
    assert rehearse()
    (folder / "2").rmdir()
    (folder / "request.json").unlink()
    file = folder / "1" / "assets.extra" / "tf_serving_warmup_requests"
    requests = {name: rows for name, rows in read_warmup(file)}
    assert set(requests) == set(exported.signatures) - {"serving_tensors"}
    requests["embed_product_text"]["product_text"][1] = b"red"
    write_warmup(file, "shop", read_signatures(path), requests)
    with pytest.raises(RuntimeError, match="'embedding' of 'embed_product_text' is"):
        rehearse()


def test_a_lost_signature_is_found(shop, monkeypatch):
    _, model, path = shop
    monkeypatch.setattr(ExportedModel, "signatures", ["serving_default"])
    with pytest.raises(
        RuntimeError, match=r"Received: signatures=\['serving_default'\]"
    ):
        verify(path, model)
