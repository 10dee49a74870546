"""Models that take no time, rows for them, and the exports that the tests share.

An export costs some ten seconds: a test that only needs one takes one of these.
"""

import fcntl

import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import encoders

from ..encoders import conformance as made
from ..helpers import make_table, small_encoders


@pytest.fixture(scope="session")
def export_once(tmp_path_factory, worker_id):
    """Exports a model whose seed makes it the same in each process of the tests."""
    root = tmp_path_factory.getbasetemp()
    root = root if worker_id == "master" else root.parent

    def export(model, table, name):
        with open(root / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = root / name / "1"
            if not path.exists():
                keras_mm.export(model, root / name, rows=table, verbose=False)
        return str(path)

    return export


@pytest.fixture(scope="session")
def shop(export_once):
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
        missing=["?", -999],
    ).adapt(table)
    small = small_encoders()
    model = keras_mm.build_multitask(
        schema,
        encoders={"image": small["image"], "product text": small["text"]},
        fusion=keras_mm.fusion.Attention(6, num_heads=2),
        seed=0,
    )
    return table, model, export_once(model, table, "shop")


@pytest.fixture(scope="session")
def sensors(export_once):
    """A model of what has no fixed length: a clip, a sequence, a graph; and a date."""
    table = pd.DataFrame(
        {
            "clip": pd.Series(made.clips(8), dtype=object),
            "sensor": pd.Series(made.signals(8), dtype=object),
            "molecule": pd.Series(made.graphs(8), dtype=object),
            "day": made.dates(8),
            "y": ["no", "yes"] * 4,
        }
    )
    inputs = {
        "clip": keras_mm.Video(4, (8, 8), "random", seed=0),
        "sensor": keras_mm.Sequence(6, channels=2),
        "molecule": keras_mm.Graph(6, 2),
        "day": keras_mm.Date(),
    }
    chosen = {
        "clip": encoders.Frames(temporal="lstm", units=4),
        "sensor": encoders.TemporalCNN((6,), 3),
        "molecule": encoders.GCN(8, num_layers=1),
        "day": encoders.Dense(6),
    }
    schema = keras_mm.Schema(inputs, {"y": keras_mm.ClassLabel()}).adapt(table)
    model = keras_mm.build_classifier(schema, encoders=chosen, seed=0)
    return table, model, export_once(model, table, "sensors")


@pytest.fixture(scope="module")
def retriever():
    table = make_table(30, missing=False)
    schema = keras_mm.Schema(
        {
            "image": keras_mm.Image((12, 12), augmentation=None),
            "text": keras_mm.Text(sequence_length=6),
        }
    ).adapt(table)
    encoders = {name: small_encoders()[name] for name in ("image", "text")}
    return keras_mm.build_retriever(schema, encoders=encoders, units=8, seed=0)


@pytest.fixture(scope="module")
def rows():
    """Two of twelve have no picture."""
    table = make_table(12)
    table["id"] = [f"number {row}" for row in range(12)]
    return table
