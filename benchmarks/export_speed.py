"""The exported raw signature against decoding plus the tensor signature.

    python benchmarks/export_speed.py

At batch 32: one call of `serving_default` on JPEG bytes and texts, against the
same decoding and tokenising in a bare `tf.function` followed by
`serving_tensors`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

import keras_mm

BATCH = 32


def main(rounds=40):
    table = keras_mm.data.clipart().sample(256, random_state=0)
    schema = keras_mm.Schema(
        {"image": keras_mm.Image((96, 96)), "text": keras_mm.Text(sequence_length=32)},
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)
    model = keras_mm.build_classifier(schema, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        keras_mm.export(model, os.path.join(folder, "clipart"), verbose=False)
        exported = keras_mm.load_exported(os.path.join(folder, "clipart"))
    batch = table.head(BATCH)
    raw = {
        "image": tf.constant(batch.image.tolist()),
        "text": tf.constant(batch.text.tolist()),
    }
    text = model.schema.inputs["text"]

    @tf.function
    def decode(raw):
        def one(encoded):
            pixels = tf.io.decode_jpeg(encoded, channels=3)
            return tf.ensure_shape(tf.image.resize(pixels, (96, 96)), (96, 96, 3))

        pixels = tf.map_fn(one, raw["image"], fn_output_signature=tf.float32)
        return {"image": pixels / 255.0, "text": text.preprocess(raw["text"])}

    served = exported._loaded.signatures["serving_default"]
    tensors = exported._loaded.signatures["serving_tensors"]
    rivals = {
        "serving_default": lambda: served(**raw),
        "decode + serving_tensors": lambda: tensors(**decode(raw)),
    }
    times = {name: [] for name in rivals}
    for call in rivals.values():
        for _ in range(5):
            call()
    for _ in range(rounds):
        for name, call in rivals.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    for name, values in times.items():
        print(f"{name}: {1000 * statistics.median(values):.1f} ms for {BATCH} rows")
    ratios = np.array(times["serving_default"]) / times["decode + serving_tensors"]
    print(
        f"ratio of times: {np.median(ratios):.3f} (quartiles "
        f"{np.quantile(ratios, 0.25):.3f} to {np.quantile(ratios, 0.75):.3f}, "
        f"{rounds} pairs)"
    )


if __name__ == "__main__":
    main()
