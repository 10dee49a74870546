"""Small tables, pictures and models that the tests share."""

import io

import numpy as np
import pandas as pd

import keras_mm


def encode_picture(pixels, format="PNG", mode="RGB", **kwargs):
    """Pixels -> bytes of an encoded picture."""
    from PIL import Image as Pillow

    stream = io.BytesIO()
    Pillow.fromarray(np.asarray(pixels, "uint8")).convert(mode).save(
        stream, format, **kwargs
    )
    return stream.getvalue()


def random_pixels(seed=0, size=(12, 10)):
    """Smooth random pixels `(height, width, 3)`."""
    from PIL import Image as Pillow

    small = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype="uint8")
    return np.asarray(Pillow.fromarray(small).resize(size[::-1], Pillow.BILINEAR))


def make_table(rows=24, missing=True, seed=0):
    """Pictures, texts, numbers and a category that tell a class of three."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    colours = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220]])
    pictures = []
    for row, label in enumerate(labels):
        noise = random.integers(-20, 20, (12, 12, 3))
        pixels = np.clip(colours[label] + noise, 0, 255)
        pictures.append(encode_picture(pixels, ["PNG", "JPEG"][row % 2]))
    words = ["red tomato", "green leaf", "blue sky"]
    table = pd.DataFrame(
        {
            "image": pictures,
            "text": [f"{words[label]} {row}" for row, label in enumerate(labels)],
            "price": labels * 10.0 + random.normal(size=rows),
            "weight": random.normal(size=rows),
            "shop": [["north", "south"][value] for value in labels % 2],
            "category": [["apple", "basil", "cloud"][label] for label in labels],
        }
    )
    if missing:
        table["image"] = table["image"].astype(object)
        table.loc[0, ["image", "price"]] = None
        table.loc[1, ["text", "shop"]] = None
        table.loc[2, ["image", "text", "price", "weight", "shop"]] = None
    return table


def small_schema(table, **inputs):
    """An adapted schema of pictures, texts, numbers and a category."""
    inputs = inputs or {
        "image": keras_mm.Image((16, 16), augmentation=None),
        "text": keras_mm.Text(sequence_length=4, vocabulary_size=200),
        "price": keras_mm.Number(),
        "weight": keras_mm.Number(),
        "shop": keras_mm.Category(),
    }
    return keras_mm.Schema(inputs, {"category": keras_mm.ClassLabel()}).adapt(table)


def small_encoders():
    """Encoders that take no time."""
    return {
        "image": keras_mm.encoders.CNN(4),
        "text": keras_mm.encoders.NGrams(units=6, dropout=0.0),
        "numbers": keras_mm.encoders.Dense(5),
        "shop": keras_mm.encoders.Embedding(3),
    }


def small_model(schema, **kwargs):
    """A classifier of `small_schema` that takes no time."""
    kwargs.setdefault("encoders", small_encoders())
    kwargs.setdefault("seed", 0)
    return keras_mm.build_classifier(schema, **kwargs)


def tensors_of(table, schema):
    """Table -> `Tensors` of NumPy arrays for the model."""
    dataset = keras_mm.data.to_dataset(
        table, schema, batch_size=len(table), with_target=False
    )
    (inputs,) = next(iter(dataset))
    return keras_mm.Tensors({n: value.numpy() for n, value in inputs.items()})


def dense_table(rows=90, seed=0):
    """A class of three that the vector `good` tells nearly, and `bad` does not."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    good = np.eye(3)[labels] * 2 + random.normal(size=(rows, 3))
    bad = random.normal(size=(rows, 8))
    table = pd.DataFrame({"good": list(good), "bad": list(bad)})
    table["category"] = [["x", "y", "z"][label] for label in labels]
    table["both"] = [["x", "", "x y"][label] for label in labels]
    table["price"] = good[:, 0] * 100 + 1000
    return table


def dense_model(table, target=None, columns=("good", "bad"), **kwargs):
    target = target or {"category": keras_mm.ClassLabel()}
    schema = keras_mm.Schema(
        {name: keras_mm.Vector(len(table[name][0])) for name in columns}, target
    ).adapt(table)
    encoders = {name: keras_mm.encoders.Dense(4, dropout=0.0) for name in columns}
    build = keras_mm.build_classifier
    if isinstance(next(iter(target.values())), keras_mm.Number):
        build = keras_mm.build_regressor
        kwargs.setdefault("hidden_units", None)
    kwargs.setdefault("seed", 0)
    return build(schema, encoders=encoders, modality_dropout=0.0, **kwargs)
