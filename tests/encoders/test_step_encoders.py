"""Encoders of words and of measured steps."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import encoders as room

# Small ones, as pairs of a maker and the length of the token.
MAKERS = {
    "average": (lambda: room.Average(6, dropout=0.2), 6),
    "rnn": (lambda: room.RNN(5, 4), 5),
    "rnn, both ways": (lambda: room.RNN(5, 4, bidirectional=True), 10),
    "lstm": (lambda: room.LSTM(5, 4, dropout=0.2), 5),
    "lstm, both ways": (lambda: room.LSTM(5, 4, bidirectional=True), 10),
    "gru": (lambda: room.GRU(5, 4), 5),
    "gru, both ways": (lambda: room.GRU(5, 4, bidirectional=True), 10),
    "temporal_cnn": (lambda: room.TemporalCNN((4, 4, 6), 3, 4, dropout=0.2), 6),
    "transformer": (lambda: room.Transformer(8, 2, 2, dropout=0.2), 8),
}
CHANNELS, LENGTH = 2, 7


def make_input(kind, length=LENGTH):
    """Adapted by hand, so that no backend needs TensorFlow."""
    if kind == "text":
        return keras_mm.Text(length, tokens="words", vocabulary=["a", "b", "c"])
    return keras_mm.Sequence(length, CHANNELS, mean=[0.0] * 2, std=[1.0] * 2)


def make_tensor(kind, seed=0):
    """Rows: short, full, absent, with a gap in the middle, one step."""
    random = np.random.default_rng(seed)
    if kind == "text":
        x = random.integers(1, 5, (5, LENGTH)).astype("int32")
        x[0, 4:] = x[2] = x[4, 1:] = 0
    else:
        x = random.normal(size=(5, LENGTH, CHANNELS)).astype("float32")
        x[0, 4:] = x[2] = x[4, 1:] = np.nan
        x[3, 2, 1] = np.nan
        x[3, 4] = np.nan
    return x


def build(name, kind, sequences=False, length=LENGTH):
    return MAKERS[name][0]().build({"x": make_input(kind, length)}, "e", sequences)


def run(model, x, training=False):
    found = model([ops.convert_to_tensor(x)], training=training)
    return [ops.convert_to_numpy(value) for value in found]


@pytest.mark.parametrize(
    "name, kind, weights",
    [
        ("average", "text", 5 * 6),
        ("average", "sequence", 2 * 6 + 6),
        ("rnn", "text", 5 * 4 + 5 * (4 + 5 + 1)),
        ("rnn, both ways", "sequence", 2 * 5 * (2 + 5 + 1)),
        ("lstm", "sequence", 4 * 5 * (2 + 5 + 1)),
        ("gru", "sequence", 3 * 5 * (2 + 5 + 2)),
        ("gru, both ways", "text", 5 * 4 + 2 * 3 * 5 * (4 + 5 + 2)),
        (
            "temporal_cnn",
            "sequence",
            # Kernels, biases and normalisation; shortcuts where widths change.
            (3 * 2 * 4 + 12) + 3 * (3 * 4 * 4 + 12) + (3 * 4 * 6 + 18)
            + (3 * 6 * 6 + 18) + (2 * 4 + 4) + (4 * 6 + 6),
        ),
        (
            "transformer",
            "sequence",
            (2 * 8 + 8)
            + 2 * (2 * 16 + 4 * (8 * 8 + 8) + 8 * 32 + 32 + 32 * 8 + 8)
            + 16,
        ),
    ],
)  # fmt: skip
def test_parameters(name, kind, weights):
    assert build(name, kind).count_params() == weights


# --- against formulas, row by row, step by step ----------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def steps_of(row):
    """The steps that are there; gaps in a channel are 0."""
    return np.nan_to_num(row[~np.isnan(row).all(axis=1)])


def normalised(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3) * gamma + beta


def test_rnn_in_numpy():
    model = build("rnn", "sequence")
    kernel, recurrent, bias = model.get_weights()
    x = make_tensor("sequence")
    tokens, _ = run(model, x)
    for row in range(5):
        h = np.zeros(5)
        for step in steps_of(x[row]):
            h = np.tanh(step @ kernel + h @ recurrent + bias)
        np.testing.assert_allclose(tokens[row, 0], h, atol=1e-5)


def test_gru_in_numpy():
    model = build("gru, both ways", "sequence")
    weights = model.get_weights()
    x = make_tensor("sequence")
    tokens, _ = run(model, x)
    for row in range(5):
        ends = []
        for direction in (1, -1):
            kernel, recurrent, bias = weights[:3] if direction > 0 else weights[3:]
            h = np.zeros(5)
            for step in steps_of(x[row])[::direction]:
                z, r, new = np.split(step @ kernel + bias[0], 3)
                hz, hr, hn = np.split(h @ recurrent + bias[1], 3)
                z, r = sigmoid(z + hz), sigmoid(r + hr)
                h = z * h + (1 - z) * np.tanh(new + r * hn)
            ends.append(h)
        np.testing.assert_allclose(tokens[row, 0], np.concatenate(ends), atol=1e-5)


def test_temporal_cnn_in_numpy():
    encoder = room.TemporalCNN((3, 4), kernel_size=3, dropout=0.0)
    model = encoder.build({"x": make_input("sequence")}, "e", True)
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    weights = {w.path: ops.convert_to_numpy(w) for w in model.weights}
    convolutions = [v for k, v in weights.items() if v.ndim == 3]
    vectors = {k: v for k, v in weights.items() if v.ndim == 1}
    dense = [v for k, v in weights.items() if v.ndim == 2]
    biases = [v for k, v in vectors.items() if "conv" in k]
    dense_biases = [v for k, v in vectors.items() if "dense" in k]
    gammas = [v for k, v in vectors.items() if "gamma" in k]
    betas = [v for k, v in vectors.items() if "beta" in k]
    x = make_tensor("sequence")
    tokens, mask = run(model, x)
    for row in range(5):
        there = mask[row][:, None]
        y = np.nan_to_num(x[row])
        for block in range(2):
            shortcut = y @ dense[block] + dense_biases[block]
            for index in (2 * block, 2 * block + 1):
                far = 2**block
                padded = np.pad(np.where(there, y, 0), ((far, far), (0, 0)))
                y = biases[index] + sum(
                    padded[far * k : far * k + LENGTH] @ convolutions[index][k]
                    for k in range(3)
                )
                y = np.maximum(normalised(y, gammas[index], betas[index]), 0)
            y = y + shortcut
        np.testing.assert_allclose(tokens[row][mask[row]], y[mask[row]], atol=1e-3)


def test_transformer_in_numpy():
    encoder = room.Transformer(8, num_layers=1, num_heads=2, dropout=0.0)
    model = encoder.build({"x": make_input("sequence")}, "e")
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    w, b = model.get_weights()[:2]
    rest = iter(model.get_weights()[2:])
    gamma, beta, qk, qb, kk, kb, vk, vb, ok, ob = [next(rest) for _ in range(10)]
    gamma2, beta2, fk, fb, gk, gb, gamma3, beta3 = rest
    rates = 10_000.0 ** (-np.arange(4) / 4)
    angles = np.arange(LENGTH)[:, None] * rates
    positions = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    x = make_tensor("sequence")
    tokens, _ = run(model, x)
    for row in (0, 1, 3, 4):
        # Only steps that are there, each at its own place.
        there = ~np.isnan(x[row]).all(axis=1)
        y = np.nan_to_num(x[row])[there] @ w + b + positions[there]
        h = normalised(y, gamma, beta)
        q, k, v = [
            np.einsum("td,dhe->hte", h, kernel) + bias[:, None]
            for kernel, bias in ((qk, qb), (kk, kb), (vk, vb))
        ]
        logits = q @ k.transpose(0, 2, 1) / np.sqrt(4)
        attention = np.exp(logits - logits.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
        y = y + np.einsum("hte,hed->td", attention @ v, ok) + ob
        h = normalised(y, gamma2, beta2) @ fk + fb
        h = h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        y = normalised(y + h @ gk + gb, gamma3, beta3)
        np.testing.assert_allclose(tokens[row, 0], y.mean(axis=0), atol=1e-3)


def test_average_in_numpy():
    model = build("average", "text")
    (table,) = model.get_weights()
    x = make_tensor("text")
    tokens, _ = run(model, x)
    for row in (0, 1, 3, 4):
        ids = x[row][x[row] != 0]
        np.testing.assert_allclose(tokens[row, 0], table[ids].mean(0), atol=1e-6)
    assert (tokens[2] == 0).all()


def test_positions():
    x = np.zeros((2, 50, 7), "float32")
    got = ops.convert_to_numpy(room.SinusoidalPositions()(x))
    angles = np.arange(50)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :7]
    np.testing.assert_allclose(got, np.stack([expected] * 2), atol=1e-4)
    layer = room.SinusoidalPositions(name="p")
    assert type(layer).from_config(layer.get_config()).name == "p"


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: room.TemporalCNN(kernel_size=4), "kernel_size=4"),
        (lambda: room.Transformer(units=10, num_heads=4), "units=10, num_heads=4"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        make()


def make_rows(rows=24):
    """Two sensors, a text, a date and an embedding that tell a class of two."""
    random = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    table = pd.DataFrame(
        {
            "motion": [
                random.normal(label * 3, 1, (3 + row % 5, 2)).tolist()
                for row, label in enumerate(labels)
            ],
            "pulse": [random.normal(label, 1, 4 + row % 3) for row, label in enumerate(labels)],
            "note": [["calm day", "long run"][label] for label in labels],
            "day": [f"2024-{1 + row % 12:02d}-11T10:00" for row in range(rows)],
            "age": random.normal(size=rows),
            "profile": [random.normal(label, 1, 3) for label in labels],
            "label": [["rest", "sport"][label] for label in labels],
        }
    )  # fmt: skip
    for column in ("motion", "pulse", "profile", "note", "day"):
        table[column] = table[column].astype(object)
    table.loc[0, ["motion", "pulse", "note", "day", "age", "profile"]] = None
    table.loc[1, ["motion", "day"]] = None
    table.loc[2, ["pulse", "profile"]] = None
    return table


@pytest.mark.large
def test_from_table_to_served_model(tmp_path):
    """All new inputs in one model: training, file, export."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made with TensorFlow")
    table = make_rows()
    schema = keras_mm.Schema(
        {
            "motion": keras_mm.Sequence(6, channels=2),
            "pulse": keras_mm.Sequence(5, sampling_rate=2.0),
            "note": keras_mm.Text(4),
            "day": keras_mm.Date(),
            "age": keras_mm.Number(),
            "profile": keras_mm.Vector(3),
        },
        {"label": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(
        schema,
        encoders={
            "motion": room.Transformer(8, 1, 2),
            "pulse": room.TemporalCNN(4, 3),
            "note": room.Average(4),
        },
        fusion="concat",
        seed=0,
    )
    model.fit(table, verbose=0)
    expected = model.predict(table, verbose=0)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.predict(table, verbose=0), expected, atol=1e-6)
    keras_mm.export(model, tmp_path / "served", rows=table)
    exported = keras_mm.load_exported(tmp_path / "served")
    answer = exported(table.drop(columns="label"))
    np.testing.assert_allclose(
        np.stack(answer["label_probabilities"]), expected, atol=1e-5
    )
    # A column that is missing altogether, dates that are objects, Parquet.
    other = table.drop(columns="label").assign(
        pulse=None, day=pd.to_datetime(table["day"])
    )
    other.to_parquet(tmp_path / "t.parquet")
    other = pd.read_parquet(tmp_path / "t.parquet")
    np.testing.assert_allclose(
        np.stack(exported(other)["label_probabilities"]),
        model.predict(other, verbose=0),
        atol=1e-5,
    )
