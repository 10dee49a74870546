# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sound and sensors: two clocks, gaps, and a microphone that may be off
#
# Somebody wears a smart watch with an accelerometer and a gyroscope, and carries a telephone that records sound. Is this person
# standing, walking, running or playing badminton? Three things stand between these recordings and a model: watch and telephone
# have clocks of their own, they measure at different rates, and now and then one of them fails.
#
# **What is real here:** the motion. BasicMotions holds 80 recordings, ten seconds each, of students wearing a smart watch; the
# package `aeon` brings it along. **What is not:** the sound. We make it from the real motion below: each jolt a thud, and cloth that
# rustles as the wrist turns. The clocks and the failures are made up, too, and so we know the truth about both.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import glob
import io
import logging
import subprocess
import sys
import tempfile
import zipfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.io import wavfile

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The motion
#
# Only two text files of the package are wanted, so it is downloaded and not installed.

# %%
folder = tempfile.mkdtemp()
download = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder]
subprocess.run([*download, "aeon"], check=True, capture_output=True)
package = zipfile.ZipFile(glob.glob(f"{folder}/aeon*")[0])


def read_motions(part):
    """dict from activity to recordings `(100, 6)`: acceleration, turning."""
    name = f"aeon/datasets/data/BasicMotions/BasicMotions_{part}.ts"
    recordings = {}
    for line in package.read(name).decode().splitlines():
        if line and line[0] not in "#@":
            *channels, activity = line.split(":")
            motion = np.array([channel.split(",") for channel in channels], float).T
            recordings.setdefault(activity.lower(), []).append(motion)
    return recordings


motions = {"train": read_motions("TRAIN"), "test": read_motions("TEST")}
{part: {name: len(each) for name, each in of.items()} for part, of in motions.items()}

# %% [markdown]
# ## The sound, made from the motion
#
# 8,000 samples a second against the watch's ten. The telephone lies in some bag or pocket, which makes every session louder or
# softer than the last one, and its microphone hisses.

# %%
RATE = 8000  # samples of sound a second; the watch has 10
random = np.random.default_rng(0)


def listen(motion):
    """What a microphone would hear: `(samples,)` from -1 to 1."""
    seconds = np.arange(len(motion) * RATE // 10) / RATE
    force, turning = (
        np.linalg.norm(motion[:, axes], axis=1) for axes in ([0, 1, 2], [3, 4, 5])
    )
    rustle = np.interp(seconds, np.arange(len(motion)) / 10, turning)
    sound = 0.004 * rustle * np.diff(random.normal(size=len(seconds)), prepend=0)
    after = np.arange(RATE // 4) / RATE
    thud = np.exp(-after / 0.03) * np.sin(2 * np.pi * 110 * after)
    for step in range(1, len(motion) - 1):
        if force[step - 1] <= force[step] > force[step + 1]:
            place = sound[step * RATE // 10 :][: len(thud)]
            place += force[step] / 25 * thud[: len(place)]
    sound *= 10 ** random.uniform(-0.7, 0)
    sound += random.normal(scale=0.01, size=len(sound))
    return np.clip(sound, -1, 1)


# %% [markdown]
# A session is a recording of each activity, one after the other. The watch writes down its seconds and the telephone its own, which
# are up to three seconds ahead or behind. For nobody knows how long, the watch sends nothing now and then.

# %%
ACTIVITIES = ["standing", "walking", "badminton", "running"]


def record(part, number):
    """One session of 40 s, as two devices would write it down."""
    motion = np.concatenate([motions[part][name][number] for name in ACTIVITIES])
    sound = listen(motion)
    ahead = random.uniform(-3, 3)
    watch = np.arange(len(motion)) / 10
    kept = np.ones(len(motion), bool)
    for start in random.choice(len(motion), 6):
        kept[start : start + random.integers(8, 20)] = False
    kept[[0, -1]] = True
    return {
        "watch": watch[kept],
        "accelerometer": motion[kept, :3],
        "gyroscope": motion[kept, 3:],
        "sound": sound,
        "telephone": np.arange(len(sound)) / RATE + ahead,
        "ahead": ahead,
    }


sessions = {part: [record(part, n) for n in range(10)] for part in motions}

# %% [markdown]
# ## One clock
#
# A jolt is felt and heard at the same moment. So we reduce the sound to its loudness, 50 values a second, and ask
# `keras_mm.data.estimate_offset` by how much its clock must be moved for both curves to rise and fall together.

# %%
HOP = RATE // 50


def loudness(session):
    """`(times, values)` on the telephone's clock: 50 a second."""
    pieces = session["sound"].reshape(-1, HOP)
    middle = session["telephone"][::HOP] + HOP / 2 / RATE
    return middle, np.sqrt(np.square(pieces).mean(axis=1))


def estimate(session):
    """Seconds by which the telephone's clock is ahead of the watch's."""
    return keras_mm.data.estimate_offset(
        (session["watch"], session["accelerometer"]), loudness(session), max_offset=5
    )


session = sessions["train"][0]
print(f"truth {session['ahead']:.2f} s, estimate {estimate(session):.2f} s")

# %% [markdown]
# `keras_mm.data.align` takes the offset off and puts both curves on one regular clock. Where a device was silent for too long it
# leaves NaN, a gap that is not filled up with guesses.

# %%
felt = np.linalg.norm(session["accelerometer"], axis=1)
signals = {"felt": (session["watch"], felt), "heard": loudness(session)}
figure, axes = plt.subplots(2, 1, figsize=(10, 4.5), sharex=True, layout="constrained")
for axis, offset, title in (
    (axes[0], 0.0, "as recorded: the same jolts at different times"),
    (axes[1], estimate(session), "the estimated offset taken off"),
):
    aligned = keras_mm.data.align(signals, offsets={"heard": offset})
    felt, heard = aligned.values["felt"], aligned.values["heard"]
    axis.plot(aligned.times, felt / 40, lw=1.2, label="acceleration, watch")
    axis.plot(aligned.times, heard / heard.max(), lw=1, label="loudness, telephone")
    axis.set_title(title, loc="left", fontsize=10)
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)
axes[0].set_xlim(19, 31)
axes[1].set_xlabel("seconds on the watch; badminton until 30, then running")
axes[0].legend(fontsize=8, loc="upper right")
plt.show()

# %%
errors = [abs(estimate(s) - s["ahead"]) for part in sessions.values() for s in part]
print(
    f"{len(errors)} sessions: median error {np.median(errors) * 1000:.0f} ms,", end=" "
)
print(f"largest {max(errors) * 1000:.0f} ms; the watch ticks every 100 ms")

# %% [markdown]
# ## Rows
#
# Each session is aligned and cut into windows of 2.5 s. A row of our table is a window: two arrays with the numbers of the watch's
# sensors, one sound as the bytes of a WAV file, the activity. Then things fail: each time in a fifth of the rows, the telephone was
# off, the gyroscope was, to save power, or the watch lay on its charger.

# %%
STEPS = 25  # of the watch, 2.5 s


def to_wav(samples):
    """Samples -> bytes of a WAV file."""
    file = io.BytesIO()
    wavfile.write(file, RATE, (samples * 32767).astype("int16"))
    return file.getvalue()


def windows(session, number):
    """One session -> rows."""
    aligned = keras_mm.data.align(
        {name: (session["watch"], session[name])
         for name in ("accelerometer", "gyroscope")},
        sampling_rate=10,
    )  # fmt: skip
    shift = estimate(session)
    for start in range(0, len(aligned.times) - STEPS + 1, STEPS):
        begin = aligned.times[start] + shift - session["telephone"][0]
        begin = round(begin * RATE)
        heard = session["sound"][max(begin, 0) : max(begin + STEPS * RATE // 10, 0)]
        row = {n: v[start : start + STEPS] for n, v in aligned.values.items()}
        row["sound"] = to_wav(heard) if len(heard) > RATE / 2 else None
        yield {**row, "activity": ACTIVITIES[start // 100], "session": number}


def fail(table):
    """Takes cells away."""
    for names in (["sound"], ["gyroscope"], ["accelerometer", "gyroscope"]):
        gone = random.random(len(table)) < 0.2
        table.loc[gone, names] = None
    return table


tables = {
    part: fail(pd.DataFrame([row for n, s in enumerate(of) for row in windows(s, n)]))
    for part, of in sessions.items()
}
test = tables["test"]
# Windows of one session are much alike: they stay together.
is_validation = tables["train"].session >= 8
train, validation = tables["train"][~is_validation], tables["train"][is_validation]
rows = len(train) + len(validation) + len(test)
print(f"{rows} rows: {len(train)} + {len(validation)} to train, {len(test)} to test")
shares = train[["sound", "accelerometer", "gyroscope"]].isna().mean()
print("missing:", ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
gaps = [np.isnan(cell).any() for cell in train.accelerometer.dropna()]
print(f"with a gap, of the accelerometer's cells: {np.mean(gaps):.0%}")

# %% [markdown]
# ## The schema
#
# `Audio` reads the WAV files and makes log-mel features of them: how loud each band of pitch is, every 20 ms.

# %%
schema = keras_mm.Schema(
    inputs={
        "accelerometer": keras_mm.Sequence(STEPS, channels=3, sampling_rate=10),
        "gyroscope": keras_mm.Sequence(STEPS, channels=3, sampling_rate=10),
        "sound": keras_mm.Audio(
            2.5, sampling_rate=RATE, num_mels=40, frame_length=0.04, frame_step=0.02
        ),
    },
    targets={"activity": keras_mm.ClassLabel()},
).adapt(train)
schema

# %% [markdown]
# What the model will see and hear, one window of each activity. White is a gap of the watch.

# %%
complete = train[train.sound.notna() & train.gyroscope.notna()]
shown = complete.groupby("activity").nth(1).set_index("activity").loc[ACTIVITIES]
figure, axes = plt.subplots(2, 4, figsize=(11, 4.6), layout="constrained", sharex=True)
mels = schema.inputs["sound"].preprocess(shown.sound)
for column, (name, row) in enumerate(shown.iterrows()):
    axes[0, column].plot(np.arange(STEPS) / 10, row.accelerometer, ".-", ms=3, lw=1)
    axes[0, column].set(title=name, ylim=(-25, 35))
    image = axes[1, column].imshow(
        np.transpose(mels[column]), origin="lower", aspect="auto", cmap="magma",
        extent=(0, 2.5, 0, 40), vmin=0.2, vmax=1,
    )  # fmt: skip
    axes[1, column].set_xlabel("seconds")
axes[0, 0].set_ylabel("acceleration, three axes")
axes[1, 0].set_ylabel("sound, mel band")
figure.colorbar(image, ax=axes[1], label="0 silence, 1 loudest sine")
plt.show()

# %% [markdown]
# The badminton above, to listen to:

# %%
from IPython.display import Audio

Audio(data=shown.sound["badminton"])

# %% [markdown]
# ## The model
#
# One encoder for each column: temporal convolutions for the two sensors, a small convolutional network over the log-mel picture.
# Gaps and missing cells are masked. Each column predicts by itself, and so do all that are there together; the validation rows say
# how much each of these counts (`hybrid`, the default fusion). `modality_dropout` hides columns at random while the model trains, so
# that it learns to do without.

# %%
model = keras_mm.build_classifier(schema, modality_dropout=0.4, seed=0)
history = model.fit(
    train,
    validation_data=validation,
    epochs=40,
    verbose=0,
    callbacks=keras_mm.training.callbacks(patience=12),
)
keras_mm.evaluation.plot_history(history)

# %%
keras_mm.evaluation.plot_confusion(model, test)

# %% [markdown]
# ## What does it still know without the microphone?
#
# `withhold` treats inputs as missing in every row. All scores are of the same model and the same test rows, which have their own
# gaps and missing cells; where everything is missing that a row had, the model can only guess.

# %%
inputs = list(schema.inputs)
cases = {"everything that is there": []}
cases |= {f"without {name}": [name] for name in inputs}
cases |= {f"{name} only": [n for n in inputs if n != name] for name in inputs}
scores = {
    name: keras_mm.evaluation.score(model, test, withhold=withhold)["accuracy"]
    for name, withhold in cases.items()
}
figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
bars = axis.barh(list(scores), list(scores.values()), color="C0")
axis.bar_label(bars, [f"{value:.2f}" for value in scores.values()], padding=3)
axis.axvline(0.25, color="black", lw=1, ls=":")
axis.text(0.255, 6.75, "chance", fontsize=8)
axis.set(xlim=(0, 1.08), ylim=(7, -0.6), xlabel="accuracy on the test rows")
axis.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Export, and a request with a WAV file in it
#
# The export takes raw numbers and raw WAV files of any length and rate; resampling, log-mel features and standardisation are inside.

# %%
path = keras_mm.export(model, f"{folder}/activity", rows=test, verbose=False)
exported = keras_mm.load_exported(path)
for name, spec in exported.inputs().items():
    print(f"{name:<14} {spec.dtype.name:<8} {spec.shape}")

# %% [markdown]
# This is how a row travels to TF Serving's REST interface: the WAV file in base64, numbers as lists, a gap as NaN. (The client,
# `keras_mm.serving.Client(url, "activity")(table)`, writes this for you.)

# %%
import base64
import json

row = shown.loc["walking"]
request = {
    "signature_name": "serving_default",
    "instances": [
        {
            "accelerometer": row.accelerometer.astype(float).round(2).tolist(),
            "gyroscope": row.gyroscope.astype(float).round(2).tolist(),
            "sound": {"b64": base64.b64encode(row.sound).decode()},
        }
    ],
}
text = json.dumps(request)
print(
    text[:170],
    "...\n...",
    text[text.index('"sound"') :][:70],
    f"... ({len(text):,} characters)",
)

# %% [markdown]
# And this is what comes back for four such rows: as recorded; the same sound from another microphone, at 44,100 Hz; a sound that
# is broken, which costs only itself; and no sound at all.

# %%
from scipy.signal import resample

samples = wavfile.read(io.BytesIO(row.sound))[1]
better = io.BytesIO()
wavfile.write(
    better, 44100, resample(samples, len(samples) * 441 // 80).astype("int16")
)
requests = pd.DataFrame([row.drop("session")] * 4).reset_index(drop=True)
requests["sound"] = [row.sound, better.getvalue(), b"not a sound", None]
answers = exported(requests)
answers["probability"] = answers.activity_probabilities.map(max).round(3)
answers.index = ["as recorded", "44,100 Hz", "broken", "no sound"]
answers[["sound_ok", "activity", "probability"]]

# %% [markdown]
# The weights of the fusion say what the model relied on, row by row. What is absent weighs nothing.

# %%
exported(requests, signature="explain").set_index(answers.index).round(2)
