"""TensorFlow Datasets: a mocked set, and a real folder."""

import numpy as np
import pytest

import keras_mm

from ..helpers import encode_picture, random_pixels

tfds = pytest.importorskip("tensorflow_datasets")


def builder_of(features, tmp_path, rows=({},)):
    class Sample(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            yield from enumerate(rows)

    return Sample(data_dir=tmp_path)


def test_mocked_set(tmp_path, capsys):
    features = {
        "image": tfds.features.Image(shape=(None, None, 3)),
        "sound": tfds.features.Audio(sample_rate=2000),
        "text": tfds.features.Text(),
        "title": tfds.features.Tensor(shape=(), dtype=np.str_),
        "price": tfds.features.Scalar(np.float32),
        "colour": tfds.features.ClassLabel(names=["red", "green"]),
        "vector": tfds.features.Tensor(shape=(3,), dtype=np.float32),
        "flag": np.bool_,
        "label": tfds.features.ClassLabel(names=["cat", "dog", "owl"]),
    }
    with tfds.testing.mock_data(num_examples=12):
        builder = builder_of(features, tmp_path)
        rows, schema = keras_mm.data.from_tfds(builder, target="label", image_size=16)
        kinds = {name: type(value).__name__ for name, value in schema.inputs.items()}
        assert kinds == {
            "image": "Image", "sound": "Audio", "text": "Text", "title": "Text",
            "price": "Number", "colour": "Category", "flag": "Category",
        }  # fmt: skip
        assert "left out: vector\n" in capsys.readouterr().out
        schema.adapt(rows)
        assert schema.target.class_names == ["cat", "dog", "owl"]
        model = keras_mm.build_classifier(
            schema,
            encoders={
                "image": keras_mm.encoders.CNN(2),
                "sound": keras_mm.encoders.SpectrogramCNN((2,), units=2),
            },
            seed=0,
        )
        history = model.fit(rows, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert model.predict(rows, verbose=0).shape == (12, 3)
        with pytest.raises(
            ValueError, match="exactly one ClassLabel otherwise. Received: features="
        ):
            keras_mm.data.from_tfds(builder)
        with pytest.raises(ValueError, match="no feature 'mood'"):
            keras_mm.data.from_tfds(builder, target="mood")


def test_targets(tmp_path):
    labels = tfds.features.ClassLabel(names=["cat", "dog"])
    features = {
        "n": np.float32,
        "flag": np.bool_,
        "text": tfds.features.Text(),
        "words": tfds.features.Sequence(tfds.features.Text()),
        "classes": tfds.features.Sequence(labels),
        "vector": tfds.features.Tensor(shape=(3,), dtype=np.float32),
    }
    rows = [
        {"n": row, "flag": row > 1, "text": "ab"[row % 2], "words": ["u", "v"][: row + 1],
         "classes": [row % 2], "vector": [row] * 3}
        for row in range(3)
    ]  # fmt: skip
    builder = builder_of(features, tmp_path, rows)
    builder.download_and_prepare()
    kinds, labels = {}, {}
    for target in list(features)[:-1]:
        rows, schema = keras_mm.data.from_tfds(builder, target=target)
        kinds[target] = type(schema.adapt(rows).target).__name__
        _, found = next(iter(keras_mm.data.to_dataset(rows, schema)))
        labels[target] = sorted(found.numpy().tolist())
    assert schema.target.names == ["cat", "dog"]
    assert labels["flag"] == [0, 0, 1] and labels["words"] == [[1, 0], [1, 1], [1, 1]]
    assert labels["classes"] == [[0, 1], [1, 0], [1, 0]]
    with pytest.raises(ValueError, match="Received: target='vector'"):
        keras_mm.data.from_tfds(builder, target="vector")
    assert kinds == {
        "n": "NumberTarget", "flag": "ClassLabel", "text": "ClassLabel",
        "words": "MultiLabel", "classes": "MultiLabel",
    }  # fmt: skip


def test_folder(tmp_path):
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = random_pixels(i) // 2 + 127 * (label == "dog")
                (folder / f"{i}.png").write_bytes(encode_picture(pixels))
    builder = tfds.folder_dataset.ImageFolder(str(tmp_path))
    rows, schema = keras_mm.data.from_tfds(builder, image_size=(12, 10))
    # The file's name holds the class: it must not be an input.
    assert list(schema.inputs) == ["image"]
    assert schema.target.class_names == ["cat", "dog"]
    batch, labels = next(iter(keras_mm.data.to_dataset(rows, schema.adapt(rows))))
    assert batch["image"].shape == (8, 12, 10, 3)
    bright = batch["image"].numpy().mean((1, 2, 3)) > 0.5
    assert schema.target.class_names == ["cat", "dog"]
    np.testing.assert_array_equal(bright, labels.numpy() == 1)
    model = keras_mm.build_classifier(
        schema, encoders={"image": keras_mm.encoders.CNN(2)}
    )
    model.fit(rows, verbose=0)
    tests, _ = keras_mm.data.from_tfds(builder, split="test", image_size=(12, 10))
    assert len(model.evaluate(tests, verbose=0)) == 2
