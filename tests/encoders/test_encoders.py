"""Encoders: tokens, masks, parameters, and no NaN that gets through."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers, ops

import keras_mm
from keras_mm import encoders as room

SIZE = 16


def image(augmentation=None):
    return keras_mm.Image((SIZE, SIZE), augmentation=augmentation)


def text(tokens="words"):
    """An adapted text, made by hand so that no backend needs TensorFlow."""
    return keras_mm.Text(
        sequence_length=5,
        tokens=tokens,
        vocabulary=["a", "b", "c"],
        ngram_vocabulary=["a", "b", "a b", "#<a>"],
        ngram_weights=[1.0, 1.5, 2.0, 2.5],
        ngram_length=6,
    )


def pictures(rows=4, absent=(1,)):
    x = np.random.default_rng(0).random((rows, SIZE, SIZE, 3)).astype("float32")
    x[list(absent)] = np.nan
    return x


def numpy(result):
    return [ops.convert_to_numpy(value) for value in result]


def run(model, *tensors, training=False):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    return numpy(model(tensors, training=training))


OWN = {
    "layer": lambda: room.Custom(layers.Conv2D(4, 3)),
    "function": lambda: room.Custom(lambda x: layers.Dense(4)(layers.Flatten()(x))),
}


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", OWN)
def test_own_image_encoders(name, sequences):
    model = OWN[name]().build({"image": image()}, "image-encoder", sequences)
    tokens, mask = run(model, pictures())
    assert tokens.ndim == 3 and tokens.shape[:2] == mask.shape
    assert mask.dtype == bool
    assert mask[[0, 2, 3]].all() and not mask[1].any()
    assert np.isfinite(tokens).all()
    # What stands in for an absent picture touches no other row.
    alone, _ = run(model, pictures()[[0, 2, 3]])
    np.testing.assert_allclose(tokens[[0, 2, 3]], alone, atol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda: room.CNN([4, 6]), lambda: room.ResidualCNN((4, 6), 5)]
)
def test_augmented_absent_pictures_are_finite_in_training(make):
    model = make().build({"image": image("light")}, "image-encoder")
    tokens, _ = run(model, pictures(absent=(0, 1, 2, 3)), training=True)
    assert np.isfinite(tokens).all()


def test_cnn_is_the_textbook_stack():
    model = room.CNN([4, 6], kernel_size=3).build({"image": image()}, "e")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert [
        k for k in kinds if k[0].isupper() and k in dir(layers) and k != "InputLayer"
    ] == [
        "Conv2D",
        "MaxPooling2D",
        "Conv2D",
        "MaxPooling2D",
        "Flatten",
    ]
    # 16 -> 14 -> 7 -> 5 -> 2.
    assert model.output_shape[0] == (None, 1, 2 * 2 * 6)
    assert model.count_params() == (27 * 4 + 4) + (9 * 4 * 6 + 6)


def test_residual_cnn_parameters():
    model = room.ResidualCNN((4, 6), units=5, dropout=0.0).build(
        {"image": image()}, "e"
    )
    # Kernels without bias; a normalisation has four weights a channel.
    stem = 27 * 16 + (3 * 16 + 16) + 4 * 32
    blocks, width = 0, 32
    for filters in (4, 6):
        blocks += width * filters + 9 * width * filters + 9 * filters * filters
        blocks += 2 * 4 * filters
        width = filters
    # 16 cells a side are halved by each of the two blocks.
    last = 4 * 4 * 6 * 5 + 4 * 5
    assert model.count_params() == stem + blocks + last


def test_stem_finds_edges_by_direction():
    """A step that rises to the right: cos(angle), where that is positive."""
    kernel = numpy([room.OrientedGradients()((3, 3, 2, 8))])[0]
    assert kernel.shape == (3, 3, 2, 8)
    step = np.zeros((3, 3, 2))
    step[:, 1:] = 1.0
    answer = np.einsum("ijc,ijck->k", step, kernel)
    angles = 2 * np.pi * np.arange(8) / 8
    np.testing.assert_allclose(answer, 0.5 * np.cos(angles), atol=1e-6)
    model = room.ResidualCNN((4,), units=5).build({"image": image()}, "e")
    assert not model.get_layer("oriented_gradients").trainable_weights


# --- text ----------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_parameters(bidirectional):
    encoder = room.LSTM(3, embedding_dim=2, bidirectional=bidirectional)
    model = encoder.build({"text": text()}, "text-encoder")
    assert model.output_shape[0] == (None, 1, 6 if bidirectional else 3)
    one = 4 * (3 * (2 + 3) + 3)
    assert model.count_params() == 5 * 2 + one * (2 if bidirectional else 1)


def test_lstm_in_numpy():
    model = room.LSTM(3, embedding_dim=2).build({"text": text()}, "e")
    table, kernel, recurrent, bias = model.get_weights()

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros(3)
    for word in (2, 4):
        i, f, g, o = np.split(table[word] @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    tokens, _ = run(model, np.array([[2, 4, 0, 0, 0]], "int32"))
    np.testing.assert_allclose(tokens[0, 0], h, atol=1e-5)


def test_ngrams_is_a_weighted_bag():
    value = text("ngrams")
    model = room.NGrams(units=3, dropout=0.0).build({"text": value}, "e")
    table = next(w for w in model.get_weights() if w.shape == (6, 3))
    ids = np.array([[5, 2, 1, 0, 0, 0], [0] * 6, [1, 0, 0, 0, 0, 0]], "int32")
    # Ids 2 to 4 are words, id 5 is a character n-gram: normalised apart.
    expected = np.zeros((3, 3))
    word, character = table[2] * 1.0 / 1.0, table[5] * 2.5 / 2.5
    expected[0] = np.maximum(word + character, 0)
    both = np.hypot(1.0, 1.5)
    expected[2] = np.maximum((table[2] * 1.0 + table[3] * 1.5) / both, 0)
    ids[2] = [3, 2, 1, 0, 0, 0]
    tokens, mask = run(model, ids)
    np.testing.assert_allclose(tokens[:, 0], expected, atol=1e-5)
    assert mask[:, 0].tolist() == [True, False, True]
    # The order of a set is nothing.
    shuffled, _ = run(model, ids[:, ::-1])
    np.testing.assert_allclose(shuffled, tokens, atol=1e-6)


def test_ngrams_weights_are_fixed():
    model = room.NGrams(units=3).build({"text": text("ngrams")}, "e")
    assert [tuple(w.shape) for w in model.non_trainable_weights] == [(6, 2)]
    assert [tuple(w.shape) for w in model.trainable_weights] == [(6, 3)]


# --- numbers and categories ----------------------------------------------------


def test_dense_tells_zero_from_missing():
    model = room.Dense(4, activation=None).build(
        {"a": keras_mm.Number(), "b": keras_mm.Number()}, "e"
    )
    a = np.array([[0.0], [np.nan], [np.nan]], "float32")
    b = np.array([[1.0], [1.0], [np.nan]], "float32")
    tokens, mask = run(model, a, b)
    kernel, bias = model.get_weights()
    expected = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]) @ kernel + bias
    np.testing.assert_allclose(tokens[:, 0], expected, atol=1e-6)
    assert mask[:, 0].tolist() == [True, True, False]
    assert model.count_params() == 4 * 4 + 4


@pytest.mark.parametrize("columns", [1, 3])
def test_embedding_has_a_token_a_column(columns):
    inputs = {f"c{i}": keras_mm.Category(list("xyz"[: i + 1])) for i in range(columns)}
    model = room.Embedding(2).build(inputs, "e")
    ids = [np.array([[2], [0], [1]], "int32") for _ in inputs]
    tokens, mask = run(model, *ids)
    assert tokens.shape == (3, columns, 2)
    assert mask.tolist() == [[True] * columns, [False] * columns, [True] * columns]
    assert model.count_params() == sum((i + 3) * 2 for i in range(columns))


# --- the user's own ------------------------------------------------------------


def test_custom_takes_models_and_pairs():
    backbone = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), layers.Conv2D(4, 3, strides=5)]
    )
    tokens, mask = run(room.Custom(backbone).build({"image": image()}, "e"), pictures())
    assert tokens.shape == (4, 9, 4) and not mask[1].any() and mask[0].all()

    tokens, mask = room.Custom(
        lambda x: (layers.Embedding(9, 2)(x), ops.not_equal(x, 3))
    ).build({"text": text()}, "e")(np.array([[3, 2, 0, 0, 0]]))
    assert numpy([mask])[0].tolist() == [[False, True, True, True, True]]


def test_custom_sees_no_nan():
    seen = room.Custom(layers.Rescaling(1.0)).build({"image": image()}, "e")
    tokens, _ = run(seen, pictures())
    assert (tokens[1] == 0).all()
    np.testing.assert_allclose(tokens[0].reshape(SIZE, SIZE, 3), pictures()[0])


def test_custom_text_keeps_the_words_mask():
    model = room.Custom(layers.Embedding(5, 2)).build({"text": text()}, "e")
    ids = np.array([[2, 3, 0, 0, 0], [0] * 5], "int32")
    _, mask = run(model, ids)
    np.testing.assert_array_equal(mask, ids != 0)
    pooled = room.Custom(lambda x: ops.mean(layers.Embedding(5, 2)(x), 1))
    _, mask = run(pooled.build({"text": text()}, "e"), ids)
    assert mask.tolist() == [[True], [False]]


def test_custom_refuses_what_is_no_token():
    with pytest.raises(ValueError, match=r"Received: \(None,\)$"):
        room.Custom(lambda x: ops.sum(x, axis=(1, 2, 3))).build({"image": image()}, "e")


# --- names ---------------------------------------------------------------------

OF = {
    "image": lambda: image(),
    "text": lambda: text(),
    "number": lambda: keras_mm.Number(),
    "category": lambda: keras_mm.Category(["x"]),
    "graph": lambda: keras_mm.Graph(4, 2),
    "sequence": lambda: keras_mm.Sequence(6, channels=2),
    "vector": lambda: keras_mm.Vector(3),
    "video": lambda: keras_mm.Video(2, (SIZE, SIZE)),
}


@pytest.mark.parametrize("name", room.ENCODERS)
def test_names(name):
    kind = room.ENCODERS[name]
    for reads in kind.reads:
        assert type(room.get(name, [OF[reads]()])) is kind
    for other in set(OF) - set(kind.reads):
        with pytest.raises(ValueError, match=f"Received: encoder='{name}'"):
            room.get(name, [OF[other]()])
        with pytest.raises(ValueError, match="does not read"):
            room.get(kind(), [OF[other]()])


@pytest.mark.parametrize("wrong", [3, room.LSTM, layers.Dense])
def test_no_encoder(wrong):
    with pytest.raises(ValueError, match="Received: encoder="):
        room.get(wrong, [text()])


def test_defaults():
    for kind, make in OF.items():
        value = make()
        encoder = room.get(None, [value])
        assert type(encoder) is room.ENCODERS[value.default_encoder]
        assert kind == value.kind and kind in encoder.reads
    assert keras_mm.Text(tokens="words").default_encoder == "lstm"
    assert text(None).default_encoder == "ngrams"


def test_a_users_encoder_class():
    class Bag(keras_mm.encoders.Encoder):
        tokens = "words"

        def encode(self, tensors, inputs, sequences):
            (ids,) = tensors
            mask = ops.not_equal(ids, 0)
            return layers.Embedding(inputs[0].num_ids, 3)(ids), mask

    assert isinstance(room.get(Bag(), [text()]), Bag)
    tokens, mask = run(Bag().build({"t": text()}, "e"), np.array([[2, 0, 0, 0, 0]]))
    assert tokens.shape == (1, 5, 3) and mask.sum() == 1


def test_adapted_text_fits_its_encoder():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("adapting on TensorFlow is enough")
    value = (
        keras_mm.Text(4)
        .adapt(pd.Series(["a red bird", "a bird"]))
        .with_tokens("ngrams")
    )
    model = room.NGrams(units=3).build({"text": value}, "e")
    tokens, mask = numpy(model(value.preprocess(["a bird", "", "zzz"])))
    assert mask[:, 0].tolist() == [True, False, True] and np.isfinite(tokens).all()
