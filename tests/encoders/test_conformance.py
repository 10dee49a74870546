"""What holds for every input with every encoder; see conformance.py."""

import functools

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm import encoders

from ..helpers import tensors_of
from .conformance import CASES, ON_BACKENDS, text, texts

ROWS = 8
ABSENT = 2
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ON_JAX = keras.backend.backend() == "jax"


def cases(names=CASES):
    """Parameters of a test; some cases stand for all on the other backends."""
    marks = {name: [pytest.mark.backends] for name in ON_BACKENDS}
    return [pytest.param(name, marks=marks.get(name, ())) for name in names]


@functools.cache
def table_of(name):
    """Cells, the third one missing, and two classes."""
    cells = CASES[name][2](ROWS)
    cells[ABSENT] = None
    column = pd.Series(cells, dtype=object)
    return pd.DataFrame({name: column, "y": ["no", "yes"] * (ROWS // 2)})


def build(name, make_input=None, **kwargs):
    """A classifier of the case's column alone."""
    make_encoder = CASES[name][0]
    schema = keras_mm.Schema(
        {name: (make_input or CASES[name][1])()}, {"y": keras_mm.ClassLabel()}
    ).adapt(table_of(name))
    return keras_mm.build_classifier(
        schema, encoders={name: make_encoder()}, seed=0, **kwargs
    )


# For tests that leave the model as it is.
model_of = functools.cache(build)


@functools.cache
def tensors_of_case(name, longer):
    model = longer_of(name) if longer else model_of(name)
    return tensors_of(table_of(name), model.schema)[name]


def inputs_of(name, rows=slice(None), longer=False):
    return [ops.convert_to_tensor(tensors_of_case(name, longer)[rows])]


def encode(name, encoder, rows=slice(None), training=False, longer=False):
    half = "16" in encoder.outputs[0].dtype
    inputs = inputs_of(name, rows, longer)
    # (Of attention in half precision XLA has none for CPUs.)
    if ON_JAX and not half:
        variables = encoder.trainable_variables, encoder.non_trainable_variables
        values = [[one.value for one in part] for part in variables]
        outputs, _ = jitted(encoder)(*values, inputs, training=training)
    else:
        outputs = encoder(inputs, training=training)
    return [ops.convert_to_numpy(ops.cast(value, "float32")) for value in outputs]


def steps_of(tensor):
    """Which words, steps or frames of a tensor are there: `(rows, steps)`."""
    if "int" in str(tensor.dtype):
        return tensor != 0
    return ~np.isnan(tensor.reshape(*tensor.shape[:2], -1)).all(axis=2)


@functools.cache
def jitted(encoder):
    """On jax: one compilation instead of one for each operation."""
    import jax

    return jax.jit(encoder.stateless_call, static_argnames="training")


@functools.cache
def longer_of(name):
    return build(name, CASES[name][3])


@functools.cache
def encoder_of(name, sequences, longer=False):
    model = longer_of(name) if longer else model_of(name)
    return CASES[name][0]().build({name: model.schema.inputs[name]}, "e", sequences)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", cases())
def test_tokens_and_mask(name, sequences):
    encoder = encoder_of(name, sequences)
    tokens, mask = encode(name, encoder)
    symbolic, symbolic_mask = encoder.outputs
    assert keras.backend.standardize_dtype(symbolic_mask.dtype) == "bool"
    assert tokens.shape == (ROWS, *symbolic.shape[1:])
    assert mask.shape == tokens.shape[:2] == (ROWS, symbolic_mask.shape[1])
    assert np.isfinite(tokens).all()
    present = np.arange(ROWS) != ABSENT
    np.testing.assert_array_equal(mask.any(axis=1), present)
    steps = steps_of(tensors_of_case(name, False))
    if sequences and steps.shape == mask.shape:
        np.testing.assert_array_equal(mask, steps)
    # Different cells give different tokens.
    shown = (tokens * mask[..., None]).reshape(ROWS, -1)[present]
    assert len(np.unique(shown.round(6), axis=0)) > ROWS // 2
    # A row does not depend on the others.
    for rows in ([0], [0, ABSENT, 0, 3, ABSENT, 3, 3, ROWS - 1]):
        moved, moved_mask = encode(name, encoder, rows)
        np.testing.assert_allclose(moved, tokens[rows], atol=2e-5)
        np.testing.assert_array_equal(moved_mask, mask[rows])
    # Nothing but missing rows, as a batch of the training may be.
    tokens, mask = encode(name, encoder, [ABSENT], training=True)
    assert np.isfinite(tokens).all() and not mask.any()


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize(
    "name", cases([name for name in CASES if len(CASES[name]) == 4])
)
def test_more_padding_changes_nothing(name, sequences):
    encoders = [encoder_of(name, sequences), encoder_of(name, sequences, True)]
    encoders[1].set_weights(encoders[0].get_weights())
    tokens, mask = encode(name, encoders[0])
    padded, padded_mask = encode(name, encoders[1], longer=True)
    if sequences:
        assert padded.shape[1] > tokens.shape[1]
    length = tokens.shape[1]
    assert not padded_mask[:, length:].any()
    np.testing.assert_array_equal(padded_mask[:, :length], mask)
    np.testing.assert_allclose(
        padded[:, :length] * mask[..., None], tokens * mask[..., None], atol=2e-5
    )


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", cases())
def test_every_weight_is_trained(name):
    # jax compiles the step.
    check_step(name, "auto")


@pytest.mark.large
@pytest.mark.usefixtures("compiled")
@pytest.mark.skipif(ON_JAX, reason="jax always compiles")
@pytest.mark.parametrize("name", CASES if ON_TENSORFLOW else ON_BACKENDS)
def test_every_weight_is_trained_compiled(name):
    """Under XLA; on torch, whose compiler takes a minute, a case of each layer."""
    check_step(name, True)


def check_step(name, jit_compile):
    """A step moves each weight, and makes none NaN."""
    model = build(name)
    model.compile(keras.optimizers.Adam(3e-3), model.loss, jit_compile=jit_compile)
    # Else TensorFlow traces the step twice.
    model.optimizer.build(model.trainable_variables)
    inputs = inputs_of(name)
    before = [ops.convert_to_numpy(weight) for weight in model.trainable_weights]
    model.train_on_batch(inputs, np.arange(ROWS) % 2)
    for weight, old in zip(model.trainable_weights, before):
        if weight.path.endswith("key/bias"):
            # A softmax does not see what is added to all its entries.
            continue
        new = ops.convert_to_numpy(weight)
        assert np.abs(new - old).max() > 0, weight.path
        assert np.isfinite(new).all(), weight.path


@pytest.mark.parametrize("name", CASES)
def test_half_precision(name):
    model = model_of(name)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    encoders = [one.get_layer(f"{name}-encoder") for one in (model, half)]
    tokens, _ = encode(name, encoders[0])
    assert "16" in encoders[1].outputs[0].dtype
    rounded, _ = encode(name, encoders[1])
    assert np.isfinite(rounded).all()
    scale = np.abs(tokens).max() + 1e-3
    assert np.abs(rounded - tokens).max() < 0.03 * scale


def all_in_one(names):
    """Table and model of several cases' columns, some cell missing in each row."""
    parts = [table_of(name) for name in names]
    table = pd.concat([part.drop(columns="y") for part in parts], axis=1)
    table["y"] = parts[0]["y"]
    table["twice"] = texts(ROWS)
    for row, name in enumerate(names):
        table.at[row % ROWS, name] = None
    schema = keras_mm.Schema(
        {**{name: CASES[name][1]() for name in names}, "twice": text()},
        {"y": keras_mm.ClassLabel()},
    ).adapt(table)
    # And one column with two encoders.
    twice = [encoders.NGrams(6), encoders.LSTM(6, 5)]
    model = keras_mm.build_classifier(
        schema,
        encoders={**{name: CASES[name][0]() for name in names}, "twice": twice},
        fusion="concat",
        seed=0,
    )
    return table, model


@pytest.mark.usefixtures("eagerly")
def test_all_of_them_in_one_keras_file(tmp_path):
    table, model = all_in_one(list(CASES))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    # Each encoder by itself: the sum of all would hide one of them.
    dataset = keras_mm.data.to_dataset(
        table, model.schema, batch_size=ROWS, with_target=False
    )
    ((tensors,),) = dataset
    assert len(model.modalities) == len(CASES) + 2
    for name, (column,) in model.modalities.items():
        x = [ops.convert_to_tensor(tensors[column].numpy())]
        for one, other in zip(model.encoders[name](x), again.encoders[name](x)):
            np.testing.assert_allclose(
                *map(ops.convert_to_numpy, (one, other)), atol=1e-6, err_msg=name
            )


@pytest.mark.large
@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports are written by TensorFlow")
@pytest.mark.parametrize("part", [0, 1])
def test_all_of_them_in_one_export(part, tmp_path):
    """Table -> model -> SavedModel -> answers of the C library, any cell missing."""
    table, model = all_in_one(list(CASES)[part::2])
    schema = model.schema
    expected = model.predict(table, verbose=0)
    # Verifies itself, on generated rows and on these.
    path = keras_mm.export(model, tmp_path / "all", rows=table, verbose=False)
    raw = keras_mm.data.raw.to_raw(table, schema)
    raw = {
        name: value.raw_array(list(keras_mm.data.raw.read_files(raw[name])))
        for name, value in schema.inputs.items()
    }
    answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
    np.testing.assert_allclose(answer["y_probabilities"], expected, atol=1e-5)
