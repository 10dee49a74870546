"""What fusions can and cannot say, on data of which the truth is known.

    python benchmarks/synthetic_fusion.py xor [--seeds 2]
    python benchmarks/synthetic_fusion.py gate [--seeds 3]
    python benchmarks/synthetic_fusion.py pid [--seeds 2] [--fusions concat gated]

Every model is `build_classifier` over two `Vector` inputs, each with one Dense
layer of its own, and a linear head: modalities meet in the fusion alone. Test
rows are new draws.

xor: each modality is 8 numbers, +1 or -1 in a random direction that carries its
    bit, plus noise of standard deviation .3; the label is the exclusive or of
    the bits. An additive model is right in half of the rows. 2,000 training
    rows, 30 epochs, no modality dropout. Printed are the accuracy on 1,000 rows
    and the EMAP gap on 200 of them: accuracy less that of the closest additive
    model, `f(i) = mean_j logits(a_i, b_j) + mean_j logits(a_j, b_i) - mean`
    (Hessel and Lee 2020). 0 means that the modalities do not interact.

gate: after the synthetic experiment of Arevalo et al. 2017. A latent switch
    decides which modality lies in one of two clusters that tell the label; the
    other modality is drawn around a third centre that tells nothing. Printed
    are accuracy and the correlation, over 1,000 test rows, of the weight that
    the model reports for the first modality with the switch.

pid: the specialised sets of Liang et al. 2023, "Quantifying & Modeling
    Multimodal Interactions", generated anew after their published recipe:
    z1, z2 and zc of 5 entries each, Gaussian of variance 1.5; modality m is
    [z_m T_m; z_c T_c] with the T uniform in (0, 1), 5 to 32 entries. The label
    is whether the mean over the entries of z_c (redundancy), z1 or z2
    (uniqueness), or z1 and z2 (synergy) is above its median, after a fifth of
    the entries are dropped. 20,000 rows: 70% train, 15% test, the rest unused.
    The recipe's labels of "synergy" are additive in the modalities. The oracle
    has the entries before they were dropped. Shapley values of test accuracy,
    the absent modality hidden; models are trained with modality dropout .3.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time

import keras
import numpy as np

import keras_mm
from keras_mm import fusion as room


def build(fusion, size, epochs_rows, modality_dropout=0.0, units=16, seed=0):
    """A compiled classifier of two vectors and two classes."""
    inputs = {"a": keras_mm.Vector(size), "b": keras_mm.Vector(size)}
    model = keras_mm.build_classifier(
        inputs,
        2,
        encoders={name: keras_mm.encoders.Dense(16) for name in inputs},
        fusion=fusion_of(fusion, units),
        modality_dropout=modality_dropout,
        seed=seed,
    )
    # Steps are short: Python's share of them is not.
    model.compile(
        keras.optimizers.Adam(5e-3),
        "sparse_categorical_crossentropy",
        steps_per_execution=max(1, epochs_rows // 64),
    )
    return model


def fusion_of(name, units):
    """The layer; tied co-attention has no name of its own."""
    if name == "co_attention, tied":
        return room.CoAttention(units, tied=True)
    return room.FUSIONS[name](units=units)


def fit(model, rows, epochs):
    a, b, label = rows
    model.fit({"a": a, "b": b}, label, batch_size=64, epochs=epochs, verbose=0)


def logits_of(model, a, b):
    """Log-probabilities less their mean: the logits less theirs."""
    x = {"a": a.astype("float32"), "b": b.astype("float32")}
    # Once only: a graph would take longer to make than to run.
    shares = keras.ops.convert_to_numpy(model(x, training=False))
    logs = np.log(np.maximum(shares, 1e-30))
    return logs - logs.mean(-1, keepdims=True)


def accuracy(logits, label):
    return np.mean(logits.argmax(-1) == label)


def show(values):
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


# --- exclusive or ---------------------------------------------------------------


def xor_rows(count, seed):
    directions = np.linalg.qr(np.random.default_rng(99).normal(size=(8, 2)))[0].T
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, (2, count))
    a, b = (
        (2 * bit - 1)[:, None] * direction + 0.3 * random.normal(size=(count, 8))
        for bit, direction in zip(bits, directions)
    )
    return a, b, bits[0] ^ bits[1]


def additive_projection(model, a, b):
    """Logits of the closest additive model, by all pairs of rows."""
    count = len(a)
    i, j = (part.reshape(-1) for part in np.mgrid[:count, :count])
    pairs = logits_of(model, a[i], b[j]).reshape(count, count, -1)
    return pairs.mean(1) + pairs.mean(0) - pairs.mean((0, 1))


def measure_xor(seeds, fusions):
    print("| fusion | accuracy | EMAP gap |\n|---|---|---|")
    for name in fusions or [*room.FUSIONS, "co_attention, tied"]:
        scores, gaps = [], []
        for seed in range(seeds):
            train, test = xor_rows(2000, seed), xor_rows(1000, 1000 + seed)
            model = build(name, 8, 2000, seed=seed)
            fit(model, train, epochs=30)
            a, b, label = test
            logits = logits_of(model, a, b)
            scores.append(accuracy(logits, label))
            few = additive_projection(model, a[:200], b[:200])
            gaps.append(
                accuracy(logits[:200], label[:200]) - accuracy(few, label[:200])
            )
            keras.backend.clear_session()
        print(f"| `{name}` | {show(scores)} | {show(gaps)} |", flush=True)


# --- the gate -------------------------------------------------------------------


def gate_rows(count, seed):
    centres = np.random.default_rng(98).normal(size=(2, 3, 8))
    random = np.random.default_rng(seed)
    label, switch = random.integers(0, 2, (2, count))
    cluster = [np.where(switch == m, label, 2) for m in range(2)]
    a, b = (
        centres[m][cluster[m]] + 0.5 * random.normal(size=(count, 8)) for m in range(2)
    )
    return (a, b, label), switch == 0


def measure_gate(seeds, fusions):
    print("| fusion | units | accuracy | correlation |\n|---|---|---|---|")
    cases = [("gated", 1)]
    cases += [
        (name, 16)
        for name in (
            "gated",
            "attention_weights",
            "mixture_of_experts",
            "product_of_experts",
            "weighted",
        )
    ]
    for name, units in cases:
        if fusions and name not in fusions:
            continue
        scores, correlations = [], []
        for seed in range(seeds):
            train, _ = gate_rows(2000, seed)
            (a, b, label), first = gate_rows(1000, 1000 + seed)
            model = build(name, 8, 2000, units=units, seed=seed)
            fit(model, train, epochs=30)
            scores.append(accuracy(logits_of(model, a, b), label))
            _, weights = model.get_layer("modality-fusion").output
            shown = keras.Model(model.inputs, weights)({"a": a, "b": b})
            shown = keras.ops.convert_to_numpy(shown)[:, 0]
            flat = shown.std() < 1e-6
            correlations.append(0.0 if flat else np.corrcoef(shown, first)[0, 1])
            keras.backend.clear_session()
        print(
            f"| `{name}` | {units} | {show(scores)} | {show(correlations)} |",
            flush=True,
        )


# --- partial information --------------------------------------------------------

SETS = {
    "redundancy": ["zc"],
    "uniqueness 1": ["z1"],
    "uniqueness 2": ["z2"],
    "synergy": ["z1", "z2"],
}


def pid_rows(kind, seed, count=20_000):
    """Two modalities of 64 entries, labels, and what an oracle would say."""
    random = np.random.default_rng(seed)
    z = {
        name: random.normal(scale=1.5**0.5, size=(count, 5))
        for name in ("z1", "z2", "zc")
    }
    views = {name: z[name] @ random.uniform(size=(5, 32)) for name in z}
    a, b = (np.concatenate([views[m], views["zc"]], axis=1) for m in ("z1", "z2"))
    said = np.concatenate([z[name] for name in SETS[kind]], axis=1)
    clear = said.mean(1) > 0
    score = (said * (random.random(said.shape) > 0.2)).mean(1)
    label = (score > np.median(score)).astype("int64")
    return a / a.std(), b / b.std(), label, clear


def measure_pid(seeds, fusions):
    print("| data | oracle | fusion | accuracy | Shapley a | Shapley b |")
    print("|---|---|---|---|---|---|")
    for kind in SETS:
        for name in fusions or ["concat", "gated", "low_rank", "co_attention"]:
            found = []
            for seed in range(seeds):
                a, b, label, clear = pid_rows(kind, seed)
                train = a[:14_000], b[:14_000], label[:14_000]
                a, b, label = a[17_000:], b[17_000:], label[17_000:]
                model = build(name, 64, 14_000, 0.3, seed=seed)
                fit(model, train, epochs=6)
                absent = np.full_like(a, np.nan)
                value = {
                    key: accuracy(logits_of(model, *pair), label)
                    for key, pair in {
                        "ab": (a, b),
                        "a": (a, absent),
                        "b": (absent, b),
                        "": (absent, absent),
                    }.items()
                }
                first = (value["a"] - value[""] + value["ab"] - value["b"]) / 2
                second = value["ab"] - value[""] - first
                oracle = np.mean(clear[17_000:] == label)
                found.append([oracle, value["ab"], first, second])
                keras.backend.clear_session()
            oracle, *rest = np.transpose(found)
            cells = " | ".join(show(part) for part in rest)
            print(
                f"| {kind} | {np.mean(oracle):.3f} | `{name}` | {cells} |", flush=True
            )


def main():
    parser = argparse.ArgumentParser()
    measures = {"xor": measure_xor, "gate": measure_gate, "pid": measure_pid}
    parser.add_argument("what", choices=measures)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--fusions", nargs="*")
    options = parser.parse_args()
    started = time.time()
    seeds = options.seeds or {"xor": 2, "gate": 3, "pid": 2}[options.what]
    measures[options.what](seeds, options.fusions)
    print(f"{seeds} seeds, {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
