"""Parameters, training speed and memory of every fusion, against `concat`.

    python benchmarks/fusion_cost.py [--modalities 2 3 5] [--fusions mult tensor]

Tokens are made up: each modality has 16 tokens of 64 numbers, batches of 64 rows;
fusions have their defaults (64 units), and one Dense output behind them. Encoders
would cost the same beside each fusion, and are left out, which makes the ratios
as large as they get.

Each fusion runs in a process of its own, forked where libraries are loaded and
nothing has run. Memory is the peak of the process after some training steps, less
what it had before the model was built. Then `concat` is built beside it, and the
two train in turn: the ratio of steps/s is the median of pairs, with the lowest
and the highest. Parameters are those of the fusion layer. `refused` means that
the layer says that it would grow too large. Linux only.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import resource
import time

import keras
import numpy as np

from keras_mm import fusion as room

LENGTH, DIM, ROWS = 16, 64, 64
PAIRS, SECONDS = 3, 0.2


def layer_of(name):
    """The layer; tied co-attention has no name of its own."""
    if name == "co_attention, tied":
        return room.CoAttention(tied=True)
    return room.FUSIONS[name](**({"units": 64} if name == "concat" else {}))


def model_of(name, modalities):
    """A compiled model of tokens and masks."""
    tokens = [keras.Input((LENGTH, DIM)) for _ in range(modalities)]
    masks = [keras.Input((LENGTH,), dtype="bool") for _ in range(modalities)]
    layer = layer_of(name)
    output = keras.layers.Dense(1)(layer(tokens, masks))
    model = keras.Model([*tokens, *masks], output)
    model.compile("adam", "mse", jit_compile=False)
    return model, layer.count_params()


def batch_of(modalities):
    random = np.random.default_rng(0)
    shape = (ROWS, LENGTH)
    x = [random.normal(size=(*shape, DIM)).astype("float32") for _ in range(modalities)]
    x += [random.random(shape) < 0.8 for _ in range(modalities)]
    y = random.normal(size=(ROWS, 1)).astype("float32")
    return [keras.ops.convert_to_tensor(value) for value in x], y


def steps_a_second(model, batch):
    """After a fifth of a second, or one step if that takes longer."""
    started, steps = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < SECONDS:
        model.train_on_batch(*batch)
        steps += 1
    return steps / passed


def resident():
    """MB that the process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def measure(name, modalities):
    """What a child process says about one fusion."""
    before = resident()
    try:
        model, parameters = model_of(name, modalities)
    except ValueError as error:
        return {"refused": str(error)}
    batch = batch_of(modalities)
    for _ in range(3):
        model.train_on_batch(*batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    rival, _ = model_of("concat", modalities)
    rival.train_on_batch(*batch)
    pairs = [
        (steps_a_second(model, batch), steps_a_second(rival, batch))
        for _ in range(PAIRS)
    ]
    return {
        "parameters": parameters,
        "memory": peak - before,
        "ratios": [one / two for one, two in pairs],
        "steps": np.median([one for one, _ in pairs]),
    }


def in_child(*args):
    """`measure` in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        with os.fdopen(write, "w") as file:
            json.dump(measure(*args), file)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modalities", nargs="*", type=int, default=[2, 3, 5])
    parser.add_argument("--fusions", nargs="*")
    options = parser.parse_args()
    started = time.time()
    names = options.fusions or [*room.FUSIONS, "co_attention, tied"]
    for modalities in options.modalities:
        concat = in_child("concat", modalities)
        print(
            f"\n{modalities} modalities; concat: {concat['parameters']:,} parameters, "
            f"{concat['steps']:.0f} steps/s, {concat['memory']:.0f} MB\n\n"
            "| fusion | parameters | / concat | steps/s / concat | memory / concat |\n"
            "|---|---|---|---|---|",
            flush=True,
        )
        for name in names:
            found = concat if name == "concat" else in_child(name, modalities)
            if "refused" in found:
                print(f"| `{name}` | refused | | | |", flush=True)
                continue
            ratios = found["ratios"]
            print(
                f"| `{name}` | {found['parameters']:,} "
                f"| {found['parameters'] / concat['parameters']:.2f} "
                f"| {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                f"| {found['memory'] / concat['memory']:.2f} |",
                flush=True,
            )
    print(f"\n{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
