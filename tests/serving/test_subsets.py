"""Table -> fit -> export -> raw requests, with every subset of inputs missing."""

import itertools
import json
import os

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm import encoders

from .test_client import Stub

# Real data beside the repository, which nothing depends on.
STAMPS = os.path.join(*[os.path.dirname(__file__), *[".."] * 3, "shared", "data"])
STAMPS = os.path.join(STAMPS, "stamps.parquet")

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are written by TensorFlow"
)


def subsets_of(table, names):
    """A row for each subset of the columns, which is missing from it."""
    rows = []
    for size in range(len(names) + 1):
        for absent in itertools.combinations(names, size):
            row = table.iloc[len(rows) % len(table)].to_dict()
            rows.append(row | dict.fromkeys(absent))
    columns = {name: [row[name] for row in rows] for name in names}
    # A column of numbers has NaN where one is missing.
    return pd.DataFrame(
        {
            name: pd.Series(cells, dtype=None if name in NUMBERS else object)
            for name, cells in columns.items()
        }
    )


NUMBERS = ("price", "weight", "2nd price (EUR)")


def check(table, model, path, target="y"):
    """Asks an export for rows from which each subset of the inputs is missing."""
    schema, served = model.schema, model.schema.served_names
    inputs, output = schema.inputs, f"{served[target]}_probabilities"
    rows = subsets_of(table, list(inputs))
    assert len(rows) == 2 ** len(inputs)
    expected = model.predict(rows, verbose=0)
    expected = expected[target] if isinstance(expected, dict) else expected
    assert np.isfinite(expected).all()
    # What a client without TensorFlow sends, to the runtime of TF Serving.
    raw = keras_mm.data.raw.to_raw(rows, schema)
    raw = {
        served[name]: value.raw_array(list(keras_mm.data.raw.read_files(raw[name])))
        for name, value in schema.inputs.items()
    }
    answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
    np.testing.assert_allclose(answer[output], expected, atol=1e-5)
    for name, value in inputs.items():
        for ok in value.answers(served[name]) if value.ok_suffix else ():
            present = rows[name].notna().to_numpy()
            np.testing.assert_array_equal(answer[ok], present)
    # The same as JSON, as REST has it.
    instances = [
        {n: inputs[name].to_json(raw[n][row]) for name, n in served.items() if n in raw}
        for row in range(len(rows))
    ]
    body = json.loads(json.dumps({"instances": instances}))
    predictions = Stub(path).predict(body)["predictions"]
    got = [prediction[output] for prediction in predictions]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    # What is there counts: a row of nothing is answered as any other one of
    # nothing, and not as one of everything.
    assert np.abs(expected[0] - expected[-1]).max() > 1e-6


@pytest.mark.large
@pytest.mark.skipif(not os.path.exists(STAMPS), reason=f"{STAMPS} is not there")
def test_stamps(tmp_path):
    """Real pictures, sentences, speech and sound effects."""
    table = pd.read_parquet(STAMPS)
    table = (
        table[table["effect"].notna() & table["speech_fr"].notna()].iloc[::4].head(24)
    )
    table = table.rename(columns={"category": "y"}).reset_index(drop=True)
    inputs = {
        "image": keras_mm.Image((16, 16), augmentation=None),
        "text_en": keras_mm.Text(8),
        "speech_fr": keras_mm.Audio(1, 8000, num_mels=24, frame_step=0.03),
        "effect": keras_mm.Audio(1, 8000, num_mels=24, frame_step=0.03),
    }
    chosen = {
        "image": encoders.CNN(4),
        "text_en": encoders.NGrams(6),
        "speech_fr": encoders.SpectrogramCNN((4,), units=6),
        "effect": encoders.SpectrogramCNN((4,), units=6),
    }
    schema = keras_mm.Schema(inputs, {"y": keras_mm.ClassLabel()}).adapt(table)
    model = keras_mm.build_classifier(schema, encoders=chosen, seed=0)
    model.fit(table, epochs=1, verbose=0)
    path = keras_mm.export(model, tmp_path / "model", rows=table, verbose=False)
    check(table, model, path)


def test_picture_number_and_text(shop):
    check(*shop, target="best of")


def test_clip_sensor_graph_and_date(sensors):
    check(*sensors)
