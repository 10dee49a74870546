"""Several pictures, or several texts, in one cell."""

import json

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.data import dataset
from keras_mm.serving.client import Client

from ..helpers import encode_picture, random_pixels, tensors_of
from ..serving.test_client import NAME, Stub, no_proxy, rest_server  # noqa: F401

PNGS = [encode_picture(random_pixels(seed)) for seed in range(4)]
TEXTS = ["a red bird", "green tree", "blue house", "tall bird"]
BROKEN = b"no picture at all"


def read(value, cells, **kwargs):
    return value.to_raw(pd.Series(cells, dtype=object), "photos", **kwargs)


def photos(**kwargs):
    return keras_mm.Image((8, 8), augmentation=None, num_images=3, **kwargs)


def make_table():
    """Lists of all lengths, items that are not there, whole cells that are not."""
    images = [
        PNGS[:1],
        PNGS[:3],
        [None, PNGS[1]],
        PNGS[2],
        None,
        [],
        [None, ""],
        PNGS[1:3],
    ]
    texts = [
        TEXTS[:2],
        None,
        "tall house",
        ["", TEXTS[3]],
        [],
        TEXTS[1:4],
        [None],
        TEXTS[:1],
    ]
    table = pd.DataFrame({"photos": images, "reviews": texts, "y": ["no", "yes"] * 4})
    return table.astype({"photos": object, "reviews": object})  # fmt: skip


def make_model(table, encoders=None, **kwargs):
    schema = keras_mm.Schema(
        {"photos": photos(), "reviews": keras_mm.Text(5, num_texts=3)},
        {"y": keras_mm.ClassLabel()},
    ).adapt(table)
    encoders = encoders or {
        "photos": keras_mm.encoders.CNN(4),
        "reviews": keras_mm.encoders.NGrams(6),
    }
    return keras_mm.build_classifier(schema, encoders=encoders, seed=0, **kwargs)


def test_cells(tmp_path):
    for number, png in enumerate(PNGS):
        (tmp_path / f"{number}.png").write_bytes(png)
    pixels = random_pixels(0)
    cells = [
        PNGS[:2],
        (PNGS[0], None, PNGS[2]),
        np.array([PNGS[3], None], dtype=object),
        ["0.png", "1.png"],
        '["0.png", null, "2.png"]',
        "1.png",
        PNGS[1],
        [pixels, pixels],
        np.stack([pixels] * 3),
        pixels,
        *[None, [], [None, ""], np.nan, "[]"],
    ]
    raw = read(photos(), cells, base_dir=tmp_path)
    assert raw.shape == (15, 3)
    there = "110 101 100 110 101 100 100 110 111 100".split() + ["000"] * 5
    assert ["".join("01"[int(bool(item))] for item in row) for row in raw] == there
    assert raw[4, 2] == raw[1, 2] == PNGS[2] and raw[3, 1] == raw[5, 0] == PNGS[1]
    tensor = photos().preprocess(raw.tolist()).numpy()
    assert tensor.shape == (15, 3, 8, 8, 3)
    known = ~np.isnan(tensor).any(axis=(2, 3, 4))
    assert ["".join("01"[int(item)] for item in row) for row in known] == there
    one = keras_mm.Image((8, 8)).preprocess([PNGS[2]]).numpy()
    np.testing.assert_array_equal(tensor[1, 2], one[0])
    # Nothing but paths stays paths.
    raw = read(photos(), [["0.png"], "1.png", None], base_dir=tmp_path)
    assert raw[0, 0] == str(tmp_path / "0.png") and raw[2].tolist() == [b""] * 3

    texts = [
        ["a", "b"],
        "a [b]",
        '["a", "b\\u00fc"]',
        "[not JSON]",
        ("", "b"),
        None,
        3.0,
    ]
    raw = read(keras_mm.Text(num_texts=2), texts)
    assert [[item.decode() for item in row] for row in raw] == [
        ["a", "b"], ["a [b]", ""], ["a", "bü"], ["[not JSON]", ""], ["", "b"], ["", ""],
        ["3", ""],
    ]  # fmt: skip


def test_cells_that_are_refused():
    match = "'photos': more than 3 items in rows 1, 3 .*num_images=5.*str\\[:3\\]"
    cells = [PNGS[:3], PNGS[:1] * 5, None, PNGS]
    for on_unreadable in ("error", "missing"):
        with pytest.raises(ValueError, match=match):
            read(photos(), cells, on_unreadable=on_unreadable)
    # Nothing behind the last one is no item.
    assert read(photos(), [[*PNGS[:3], None, ""]]).all()
    with pytest.raises(ValueError, match="more than 2 items in row 0.*num_texts=3"):
        read(keras_mm.Text(num_texts=2), [["a", "b", "c"]])
    cells = [PNGS[:2], [PNGS[0], BROKEN, BROKEN], None, BROKEN]
    with pytest.raises(ValueError, match=r"no readable image .*rows 1, 3 \(2 in"):
        read(photos(), cells)
    # A broken picture costs itself alone.
    raw = read(photos(), cells, on_unreadable="missing")
    assert (raw != b"").tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="not UTF-8 in row 1 "):
        read(keras_mm.Text(num_texts=2), ["a", ["b", b"\xff"]])
    with pytest.raises(ValueError, match=r"Image\(num_images=\.\.\.\) reads several"):
        read(keras_mm.Image(), [PNGS[:2]])
    with pytest.raises(ValueError, match="`num_images` must be a positive int"):
        keras_mm.Image(num_images=0)
    with pytest.raises(ValueError, match="`num_texts` must be a positive int"):
        keras_mm.Text(num_texts=1.5)
    with pytest.raises(ValueError, match="list of strings for each row"):
        photos().decode(PNGS)
    assert keras_mm.Image((8, 8), num_images=1).shape == (8, 8, 3)
    for value in (photos(), keras_mm.Text(num_texts=3)):
        again = type(value).from_config(value.get_config())
        assert again.shape == value.shape and "up to 3 of" in value.describe()


def test_the_mean_of_the_items():
    """Pooled fusions see the mean of what one encoder gives for each item."""
    table = make_table()
    model = make_model(table)
    tensors = tensors_of(table, model.schema)
    for name, value in model.schema.inputs.items():
        encoder = model.get_layer(f"{name}-encoder")
        one = value.one_item()
        (item_encoder,) = [x for x in encoder.layers if isinstance(x, keras.Model)]
        alone = type(model.schema)({name: one})
        tokens, mask = (np.asarray(x) for x in encoder.predict([tensors[name]]))
        assert tokens.shape[1] == 1 and mask.shape == (8, 1)
        for row, items in enumerate(value.to_raw(table[name], name)):
            items = pd.DataFrame(
                {name: pd.Series([x for x in items if x], dtype=object)}
            )
            assert mask[row, 0] == (len(items) > 0)
            if len(items):
                expected = item_encoder.predict([tensors_of(items, alone)[name]])[0]
                np.testing.assert_allclose(tokens[row], expected.mean(0), atol=1e-5)
    # No weight more than one picture or text has.
    single = {n: v.one_item() for n, v in model.schema.inputs.items()}
    single = keras_mm.Schema(single, model.schema.targets)
    encoders = {"photos": keras_mm.encoders.CNN(4)}
    encoders["reviews"] = keras_mm.encoders.NGrams(6)
    single = keras_mm.build_classifier(single, encoders=encoders)
    assert single.count_params() == model.count_params()


@pytest.mark.parametrize("fusion", ["gated", "attention"])
def test_order_and_absent_items_change_nothing(fusion):
    table = make_table()
    if fusion == "gated":
        # The default encoder of pictures, with augmentation.
        encoders = {"reviews": keras_mm.encoders.LSTM(6, 5)}
        model = make_model(table, encoders, fusion=fusion)
    else:
        model = make_model(table, fusion=keras_mm.fusion.Attention(8, num_heads=2))
    model.fit(table, epochs=1, verbose=0)
    expected = model.predict(table, verbose=0)
    assert np.isfinite(expected).all()
    other = table.copy()
    for name in ("photos", "reviews"):
        for row, cell in enumerate(table[name]):
            if isinstance(cell, list):
                there = [item for item in cell if item]
                gap = [None] * (len(there) < 3)
                other.at[row, name] = [*gap, *there[::-1]]
    np.testing.assert_allclose(model.predict(other, verbose=0), expected, atol=1e-5)


def test_a_table_that_is_too_large_for_memory(tmp_path, monkeypatch):
    table = make_table()
    model = make_model(table)
    expected = model.predict(table, verbose=0)
    for number, png in enumerate(PNGS):
        (tmp_path / f"{number}.png").write_bytes(png)
    paths = table.copy()
    names = {png: f"{number}.png" for number, png in enumerate(PNGS)}
    paths["photos"] = [
        [names.get(item) for item in keras_mm.inputs.items.items_of(cell)]
        for cell in table["photos"]
    ]
    for limit in (dataset.MEMORY_LIMIT, 0):
        monkeypatch.setattr(dataset, "MEMORY_LIMIT", limit)
        for rows, folder in ((table, None), (paths, tmp_path)):
            again = model.predict(rows, base_dir=folder, verbose=0)
            np.testing.assert_allclose(again, expected, atol=1e-5)
    # Damage that only decoding shows: a chunk of the pixels is gone.
    broken = PNGS[1][:60] + bytes(20) + PNGS[1][80:]
    damaged, mended = table.copy(), table.copy()
    damaged.at[1, "photos"] = [PNGS[0], broken]
    mended.at[1, "photos"] = PNGS[:1]
    expected = model.predict(mended, verbose=0)
    for limit in (0, 2**28):
        monkeypatch.setattr(dataset, "MEMORY_LIMIT", limit)
        again = model.predict(damaged, on_unreadable="missing", verbose=0)
        np.testing.assert_allclose(again, expected, atol=1e-5)
        with pytest.raises(ValueError, match="cannot be decoded in row 1 "):
            model.fit(damaged, verbose=0)
    # Rows of a dataset hold lists, too.
    monkeypatch.setattr(dataset, "MEMORY_LIMIT", 2**28)
    import tensorflow as tf

    rows = tf.data.Dataset.from_generator(
        lambda: iter([{"photos": PNGS[:2], "reviews": ["a bird"]}]),
        output_signature={
            name: tf.TensorSpec([None], tf.string) for name in ("photos", "reviews")
        },
    )
    expected = model.predict({"photos": [PNGS[:2]], "reviews": ["a bird"]}, verbose=0)
    np.testing.assert_allclose(model.predict(rows, verbose=0), expected, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exports")
@pytest.mark.large
def test_exported(tmp_path):
    table = make_table()
    model = make_model(table)
    path = keras_mm.export(model, tmp_path / NAME, rows=table, verbose=False)
    exported = keras_mm.load_exported(path)
    expected = model.predict(table, verbose=0)
    answer = exported(table, batch_size=3)
    np.testing.assert_allclose(
        np.array(answer["y_probabilities"].tolist()), expected, atol=1e-5
    )
    # Each picture has its own answer.
    there = "100 111 010 100 000 000 000 110".split()
    shown = ["".join("01"[int(item)] for item in row) for row in answer["photos_ok"]]
    assert shown == there
    damaged, mended = table.copy(), table.copy()
    damaged.at[1, "photos"] = [PNGS[0], BROKEN, PNGS[2]]
    mended.at[1, "photos"] = [PNGS[0], PNGS[2]]
    answer = exported(damaged)
    assert answer["photos_ok"][1] == [True, False, True]
    np.testing.assert_allclose(
        np.array(answer["y_probabilities"].tolist()),
        model.predict(mended, verbose=0),
        atol=1e-5,
    )
    # As a REST client sends them: rows filled up to the longest.
    raw = {"photos": [[PNGS[0], b""], PNGS[1:3]], "reviews": [["a bird"], [""]]}
    answer = keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
    columns = {"photos": [PNGS[:1], PNGS[1:3]], "reviews": ["a bird", None]}
    np.testing.assert_allclose(
        answer["y_probabilities"], model.predict(columns, verbose=0), atol=1e-5
    )
    assert answer["photos_ok"].tolist() == [[True, False, False], [True, True, False]]
    # More than there is room for is no request of this model.
    with pytest.raises(RuntimeError, match="a row of more than 3 items"):
        raw = {"photos": [PNGS], "reviews": [["a"]]}
        keras_mm.serving.run_in_libtensorflow(path, "serving_default", raw)
    assert exported.run("serving_default", {"photos": [[*PNGS[:3], b""]], "reviews": [["a"]]})  # fmt: skip

    stub = Stub(path)
    request = json.loads((tmp_path / NAME / "request.json").read_text())
    assert stub.predict(request)["predictions"]
    schema = json.loads((tmp_path / NAME / "request.schema.json").read_text())
    jsonschema = pytest.importorskip("jsonschema")
    rows = [{"photos": [{"b64": "eA=="}] * count, "reviews": ["a"]} for count in (3, 4)]
    jsonschema.validate({"instances": rows[:1]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"instances": rows}, schema)
    with rest_server(stub) as address:
        answer = Client(address, NAME)(damaged)
        assert answer["photos_ok"][1] == [True, False, True]
        assert answer["y"].tolist() == exported(damaged)["y"].tolist()
    assert "for each of 3" in (tmp_path / NAME / "SERVING.md").read_text()


def test_inferred(tmp_path):
    paths = [["a.jpg"], ["b.jpg", "c.png"], None] * 8
    many = [[PNGS[0]] * 17, [PNGS[1]], None] * 8
    table = pd.DataFrame(
        {
            "bytes": pd.Series([PNGS[:1], PNGS[:3], None] * 8),
            "clip": pd.Series(many),
            "tags": pd.Series([["red", "tall"], ["small"], ["a", "b", "c", "d"]] * 8),
            "from_csv": pd.Series(['["good bird", "bad"]', '["none"]', None] * 8),
            "single": pd.Series([PNGS[:1], PNGS[1:2], None] * 8),
            "signal": pd.Series([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] * 8),
            "plain": [
                "[sic] a bird on a tree",
                "a tree in a wood",
                "some more words here",
            ]
            * 8,
            "y": ["no", "yes"] * 12,
        }
    )
    schema = keras_mm.infer_schema(table, "y", verbose=False)
    assert [type(value).__name__ for value in schema.inputs.values()] == [
        "Image", "Video", "Text", "Text", "Image", "Vector", "Text",
    ]  # fmt: skip
    counts = [value.num_items for value in schema.inputs.values()]
    assert counts == [3, None, 4, 2, 2, None, None]
    table = pd.DataFrame({"photos": pd.Series(paths), "y": ["no", "yes"] * 12})
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(PNGS[0])
    (tmp_path / "c.png").write_bytes(PNGS[0])
    value = keras_mm.infer_schema(table, "y", base_dir=tmp_path, verbose=False)
    assert value.inputs["photos"].num_images == 2
