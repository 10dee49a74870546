"""The search for settings: counted, resumed, stopped in time, compared fairly."""

import json
import sys

import numpy as np
import pytest

import keras_mm
from keras_mm.training import search

from ..helpers import dense_table

pytestmark = pytest.mark.usefixtures("eagerly")
SPACE = {"learning_rate": (1e-3, 0.3), "hidden_units": [2, 4]}
ENCODERS = {"good": keras_mm.encoders.Dense(3)}


@pytest.fixture(scope="module")
def rows():
    table, held = dense_table(30), dense_table(24, seed=1)
    targets = {"category": keras_mm.ClassLabel()}
    return (
        keras_mm.Schema({"good": keras_mm.Vector(3)}, targets).adapt(table),
        table,
        held,
    )


def run(rows, trials, **kwargs):
    kwargs.setdefault("space", SPACE)
    kwargs.setdefault("epochs", 2)
    return search(*rows, trials, encoders=ENCODERS, verbose=False, **kwargs)


def test_trials_are_kept_and_the_best_settings_build_that_model(rows, tmp_path):
    path = tmp_path / "runs" / "search.db"
    first = run(rows, 2, storage=path)
    assert [trial["trial"] for trial in first.trials] == [0, 1]
    # The defaults, then proposals.
    assert set(first.trials[0]) == {"trial", "state", "loss", "epochs", "seconds"}
    assert 1e-3 <= first.trials[1]["learning_rate"] <= 0.3
    found = run(rows, 5, storage=path)
    assert found.trials[:2] == first.trials and len(found.trials) == 5
    rates = {trial.get("learning_rate") for trial in found.trials}
    assert len(rates) == 5, "the same settings were proposed again"
    again = run(rows, 5, storage=path)
    assert again.trials == found.trials
    assert found.loss == min(trial["loss"] or np.inf for trial in found.trials)
    assert "5 trials" in str(found) and found.to_frame()["loss"].is_monotonic_increasing
    # Plain data, but for what all trials share.
    plain = {name: v for name, v in found.settings.items() if name != "encoders"}
    assert json.loads(json.dumps(plain)) == plain
    schema, table, held = rows
    model = keras_mm.build_model(schema, seed=0, **found.settings)
    callbacks = keras_mm.training.callbacks()
    model.fit(table, validation_data=held, epochs=2, verbose=0, callbacks=callbacks)
    loss = model.evaluate(held, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, found.loss, rtol=1e-4)
    keras_mm.build_model(schema, **found.settings)
    with pytest.raises(ValueError, match="other rows.*holds 5 trials"):
        search(schema, table.head(20), held, 5, storage=path, space=SPACE, epochs=2)


def test_a_trial_that_falls_behind_is_pruned(rows, monkeypatch):
    """Also counted, but its loss is not compared."""
    monkeypatch.setattr("optuna.Trial.should_prune", lambda self: True)
    found = run(rows, 2)
    assert [trial["state"] for trial in found.trials] == ["complete", "pruned"]
    assert found.trials[1]["epochs"] == 1 and found.trials[1]["loss"] is None
    assert list(found.settings) == ["encoders"]
    assert "2 trials: 1 complete, 1 pruned" in found.summary()


def test_without_time_the_defaults_are_tried(rows):
    found = run(rows, 9, time_limit=1e-6, epochs=30)
    assert len(found.trials) == 1 and found.trials[0]["epochs"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": {"heads": ["dense"]}},
        {"space": {"dropout": (0.5, 0.1)}},
        {"space": {"dropout": []}},
        {"space": {"dropout": [0.1]}, "dropout": 0.2},
        {"optimizer": "sgd"},
    ],
)
def test_what_cannot_be_searched_is_refused(rows, wrong):
    with pytest.raises(ValueError, match="Received"):
        run(rows, 1, **wrong)


def test_optuna_is_an_extra(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"keras_mm\[tune\]"):
        run(rows, 1)
