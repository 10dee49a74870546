"""Training steps/s of a built model against the same network by hand.

    python benchmarks/training_speed.py

Both get the same tensors. The network by hand is wired with Keras alone, layer
by layer like the built one for pictures and ids (residual CNN, LSTM, gated
fusion), with as many weights, but without masks for missing modalities and
without modality dropout.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time

import keras
import numpy as np
from keras import layers

import keras_mm

ROWS, SIZE, LENGTH, VOCABULARY, CLASSES, BATCH = 640, 96, 32, 2000, 9, 32


def built():
    words = [f"word{index}" for index in range(VOCABULARY - 2)]
    image = keras_mm.Image((SIZE, SIZE), augmentation=None)
    text = keras_mm.Text(sequence_length=LENGTH, tokens="words", vocabulary=words)
    return keras_mm.build_classifier(
        {"image": image, "text": text},
        num_classes=CLASSES,
        fusion="gated",
    )


def by_hand():
    image = keras.Input((SIZE, SIZE, 3), name="image")
    text = keras.Input((LENGTH,), dtype="int32", name="text")
    x = layers.AveragePooling2D(2)(1.0 - image)
    edges = layers.Conv2D(16, 3, padding="same", use_bias=False, activation="relu")
    edges.trainable = False
    edges = layers.AveragePooling2D(4)(edges(x))
    colours = layers.Conv2D(16, 1, activation="relu")(x)
    colours = layers.AveragePooling2D(4)(colours)
    x = layers.Concatenate()([keras.ops.sqrt(edges + 1e-4), colours])
    x = layers.BatchNormalization()(x)
    shortcut = layers.Conv2D(64, 1, use_bias=False)(x)
    x = layers.Conv2D(64, 3, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Conv2D(64, 3, padding="same", use_bias=False)(x)
    x = layers.Add()([layers.BatchNormalization()(x), shortcut])
    x = layers.AveragePooling2D(2)(layers.Activation("relu")(x))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    x = layers.Dense(128, use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    z = layers.Embedding(VOCABULARY, 64, mask_zero=True)(text)
    z = layers.LSTM(64, use_cudnn=False)(z)
    gate = layers.Dense(64, activation="sigmoid", use_bias=False)(
        layers.Concatenate()([x, z])
    )
    hidden_x = layers.Dense(64, activation="tanh", use_bias=False)(x)
    hidden_z = layers.Dense(64, activation="tanh", use_bias=False)(z)
    fused = gate * hidden_x + (1 - gate) * hidden_z
    output = layers.Dense(CLASSES, activation="softmax")(fused)
    model = keras.Model([image, text], output)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(rounds=45):
    random = np.random.default_rng(0)
    inputs = {
        "image": random.random((ROWS, SIZE, SIZE, 3), dtype="float32"),
        "text": random.integers(2, VOCABULARY, (ROWS, LENGTH)).astype("int32"),
    }
    labels = random.integers(0, CLASSES, ROWS)
    models = {"built": built(), "by hand": by_hand()}
    counts = {model.count_params() for model in models.values()}
    assert len(counts) == 1, f"the networks differ: {counts} parameters"
    for name, model in models.items():
        model.fit(inputs, labels, batch_size=BATCH, epochs=1, verbose=0)
        print(f"{name}: {model.count_params():,} parameters")
    speeds = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            started = time.perf_counter()
            model.fit(inputs, labels, batch_size=BATCH, epochs=1, verbose=0)
            speeds[name].append(ROWS / BATCH / (time.perf_counter() - started))
    ratios = [a / b for a, b in zip(speeds["built"], speeds["by hand"])]
    for name, values in speeds.items():
        print(f"{name}: {statistics.median(values):.2f} steps/s")
    print(
        f"built / by hand: {statistics.median(ratios):.3f} (lowest {min(ratios):.3f},"
        f" highest {max(ratios):.3f}, {rounds} pairs); Keras on "
        f"{keras.backend.backend()}"
    )


if __name__ == "__main__":
    main()
