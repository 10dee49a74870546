"""What holds for every kind of target with every head; see conformance.py."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import ops

import keras_mm
from keras_mm.fusion import Fused
from keras_mm.names import answer_name
from keras_mm.targets import as_target

from ..helpers import tensors_of
from .conformance import CASES

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
ROWS = 12
# No case has a label there, but another target has.
MISSING = [0, 4, 7]
ALWAYS = "always"
# The heads behind one fusion, and those of each modality.
FUSIONS = ["gated", "hybrid"]


def make_table():
    """Two vectors, and the column of each case."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({n: list(random.normal(size=(ROWS, 3))) for n in ("x", "z")})
    table[ALWAYS] = random.normal(size=ROWS)
    for name, case in CASES.items():
        table[name] = pd.Series(case.cells * (ROWS // len(case.cells)), dtype=object)
    for name in CASES:
        table.loc[MISSING, name] = None
    return table


def build(fusion):
    schema = keras_mm.Schema(
        {name: keras_mm.Vector(3) for name in ("x", "z")},
        {name: case.target() for name, case in CASES.items()}
        | {ALWAYS: keras_mm.Number()},
    ).adapt(make_table())
    return keras_mm.build_model(
        schema,
        {name: keras_mm.encoders.Dense(8, dropout=0.0) for name in ("x", "z")},
        fusion,
        modality_dropout=0.0,
        hidden_units=None,
        heads={name: case.head for name, case in CASES.items()},
        seed=0,
    )


def rows_of(schema):
    """Tensors and labels of the table."""
    table = make_table()
    labels = keras_mm.data.raw.encode_targets(table, schema)
    return tensors_of(table, schema), labels


def take(values, rows):
    return type(values)({name: value[rows] for name, value in values.items()})


def weights_of(model, name):
    """The trainable weights of one target's head, or of the experts it has."""
    head, target = model.heads[name], model.schema.targets[name]
    fusion = model.fusion_layers()[name]
    if getattr(fusion, "has_experts", False):
        return fusion.trainable_weights
    x = keras.Input(keras.tree.flatten(fusion.output)[0].shape[1:])
    alone = keras.Model(x, head.build(Fused(x), target, name))
    layers = [model.get_layer(layer.name) for layer in alone.layers[1:]]
    weights = [weight for layer in layers for weight in layer.trainable_weights]
    assert len(weights) == len(alone.trainable_weights)
    return weights


# For tests that leave the model as it is.
@pytest.fixture(scope="module", params=FUSIONS)
def model(request):
    return build(request.param)


def test_every_head_and_kind_has_a_case():
    rows = {(type(case.head), case.target().kind) for case in CASES.values()}
    assert rows >= {
        (h, kind) for h in keras_mm.heads.HEADS.values() for kind in h.reads
    }


@pytest.mark.parametrize("name", CASES)
def test_perfect_predictions_give_the_cells_back(name):
    case = CASES[name]
    column = pd.Series(case.cells, dtype=object)
    target = as_target(case.target()).adapt(column, name)
    labels = target.encode(column, name)
    perfect = case.perfect(labels)
    assert list(target.to_columns(perfect, name)[name]) == case.cells
    others = np.roll(perfect, 1, axis=0)
    best, worse = target.score(labels, perfect), target.score(labels, others)
    for metric in target.metrics:
        sign = -1 if metric in target.lower_is_better else 1
        assert sign * best[metric] > sign * worse[metric]
    loss = case.head.loss(target)
    assert float(loss(labels, perfect)) < float(loss(labels, others))


@pytest.mark.usefixtures("eagerly")
def test_rows_without_a_label_do_not_count(model):
    """Losses and metrics are those of the rows that have one."""
    inputs, labels = rows_of(model.schema)
    known = np.delete(np.arange(ROWS), MISSING)
    found = model.test_on_batch(inputs, labels, return_dict=True)
    expected = model.test_on_batch(
        take(inputs, known), take(labels, known), return_dict=True
    )
    for name, case in CASES.items():
        metrics = case.head.metrics(model.schema.targets[name])
        for metric in ("loss", *(metric.name for metric in metrics)):
            key = f"{name}_{metric}"
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-4)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    "fusion", [pytest.param("gated", marks=pytest.mark.backends), "hybrid"]
)
def test_a_step_trains_every_weight_by_rows_with_a_label(fusion):
    """Whatever stands in the inputs of the others."""
    names, steps, model = [*CASES, ALWAYS], [], build(fusion)
    # Without metrics, which do not train.
    model.compile(keras.optimizers.SGD(0.1), model.loss)
    inputs, labels = rows_of(model.schema)
    weights = {name: weights_of(model, name) for name in names}
    # Of dropout, too, the state.
    start = keras.tree.map_structure(ops.convert_to_numpy, model.variables)
    before = keras.tree.map_structure(ops.convert_to_numpy, weights)
    for garbage in (0.0, 1e4):
        for values in inputs.values():
            values[MISSING] += garbage
        for variable, value in zip(model.variables, start):
            variable.assign(value)
        keras.utils.set_random_seed(0)
        model.train_on_batch(inputs, labels)
        after = keras.tree.map_structure(ops.convert_to_numpy, weights)
        steps.append(keras.tree.map_structure(np.subtract, after, before))
    for name in names:
        assert steps[0][name]
        for step in steps[0][name]:
            assert np.isfinite(step).all() and np.abs(step).max() > 0, name
    for name in CASES:
        for step, other in zip(steps[0][name], steps[1][name]):
            np.testing.assert_allclose(other, step, rtol=1e-3, atol=1e-6, err_msg=name)
    # The target that has labels there learns something else.
    changed = [np.abs(a - b).max() > 1e-3 for a, b in zip(*(s[ALWAYS] for s in steps))]
    assert any(changed)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    "fusion, policy",
    [
        ("gated", "mixed_float16"),
        ("hybrid", "mixed_float16"),
        ("gated", "mixed_bfloat16"),
    ],
)
def test_half_precision(fusion, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = build(fusion)
    finally:
        keras.config.set_dtype_policy("float32")
    inputs, labels = rows_of(model.schema)
    assert "16" in model.encoders["x"].outputs[0].dtype
    assert np.isfinite(model.train_on_batch(inputs, labels)).all()
    for name, values in model.predict_on_batch(inputs).items():
        assert values.dtype == "float32" and np.isfinite(values).all(), name


@pytest.mark.usefixtures("eagerly")
def test_a_file_holds_every_head(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    inputs, labels = rows_of(model.schema)
    expected, found = (one.predict_on_batch(inputs) for one in (model, again))
    assert set(found) == {*CASES, ALWAYS}
    for name, case in CASES.items():
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
        assert type(again.heads[name]) is type(case.head)
        assert again.heads[name].get_config() == case.head.get_config()
    one, other = (
        m.test_on_batch(inputs, labels, return_dict=True) for m in (model, again)
    )
    assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_the_mean_of_equal_predictions_is_these(model):
    """In an ensemble, on whatever scale a head averages; so is the loss."""
    weights = dict.fromkeys([*CASES, ALWAYS], [0.25, 0.75])
    ensemble = keras_mm.models.Ensemble.of([model, model], weights)
    inputs, labels = rows_of(model.schema)
    expected, found = (one.predict_on_batch(inputs) for one in (model, ensemble))
    for name in weights:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)
    one, other = (m.test_on_batch(inputs, labels) for m in (model, ensemble))
    np.testing.assert_allclose(one[0], other[0], rtol=1e-4)


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports are written by TensorFlow")
def test_all_of_them_in_one_export(tmp_path):
    table, model = make_table(), build("hybrid")
    predictions = model.predict(table, verbose=0)
    path = keras_mm.export(model, tmp_path / "heads", rows=table, verbose=False)
    exported = keras_mm.load_exported(path)
    targets = model.schema.targets
    answers = {n: targets[n].answers(answer_name(n)) for n in targets}
    keys = {key for each in answers.values() for key in each}
    assert set(exported.outputs("serving_tensors")) == keys
    assert set(exported.outputs()) == keys
    served = exported(table)
    served = {key: np.array(served[key].tolist()) for key in keys}
    for name, target in targets.items():
        expected = target.expected_answers(predictions[name], answer_name(name), served)
        assert set(expected) == set(answers[name])
        for key, values in expected.items():
            if served[key].dtype.kind == "f":
                np.testing.assert_allclose(served[key], values, atol=1e-5, rtol=1e-5)
            else:
                np.testing.assert_array_equal(served[key], values)
