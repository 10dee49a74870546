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
# # Clips: when no single picture tells
#
# At night a camera watches a gate. Does the thing in front of it come closer or go away, does it pass to the left or to the right? On a
# photograph nobody could say: what happened is in the order of the pictures. We train three models on clips, one of which looks at
# every frame and ignores their order, and see what that costs; add a second column, the notes of a guard who writes down what he
# saw, if he was awake; feed GIF, MP4 and WebM files to the result; and export it.
#
# **What is real here:** the pictures, 1,409 pieces of clip art that are bundled. **What is not:** their motion and the guard, both
# of which we make up.

# %% tags=["remove_output"]
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import io
import logging
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image

import keras_mm

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# %matplotlib inline

# %% [markdown]
# ## The clips
#
# Each piece of clip art moves through the dark for 16 frames. It starts and ends anywhere, at any size and speed, and the two
# directions are equally frequent: a clip run backwards is a clip of the other class. Pictures of the test rows are never seen in
# training.

# %%
random = np.random.default_rng(0)
SIDE, FRAMES = 48, 16
MOTIONS = ["closer", "away", "left", "right"]


def film(picture, motion):
    """A piece of clip art in motion: `(frames, height, width, 3)` of `uint8`."""
    art = Image.open(io.BytesIO(picture)).convert("RGB")
    # White paper is see-through.
    mask = Image.fromarray(np.uint8(np.min(art, axis=2) < 245) * 255)
    half = SIDE / 2
    if motion in ("closer", "away"):
        sizes = np.linspace(random.uniform(10, 18), random.uniform(26, 40), FRAMES)
        x = np.full(FRAMES, half + random.uniform(-8, 8))
    else:
        sizes = np.full(FRAMES, random.uniform(14, 34))
        x = np.linspace(random.uniform(4, 18), random.uniform(30, 44), FRAMES)
    y = np.full(FRAMES, half + random.uniform(-8, 8))
    frames = []
    for size, *middle in zip(sizes.astype(int), x, y):
        frame = Image.new("RGB", (SIDE, SIDE), (20, 24, 40))
        place = tuple(int(value - size / 2) for value in middle)
        frame.paste(art.resize((size, size)), place, mask.resize((size, size)))
        frames.append(np.asarray(frame))
    # Backwards, the other way.
    step = -1 if motion in ("away", "left") else 1
    return np.stack(frames)[::step]


def make_clips(table):
    """Clip art -> rows of clips."""
    motion = random.choice(MOTIONS, len(table))
    return pd.DataFrame(
        {
            "video": [film(image, name) for image, name in zip(table.image, motion)],
            "thing": table.category.str.rstrip("s").to_numpy(),
            "motion": motion,
        }
    )


parts = keras_mm.data.split(keras_mm.data.clipart(), by="split")
train, validation, test = (make_clips(part) for part in parts)
print(len(train), len(validation), len(test), "clips")

# %%
figure, axes = plt.subplots(4, 1, figsize=(10, 5.2), layout="constrained")
for axis, name in zip(axes, MOTIONS):
    clip = test.video[test.motion == name].iloc[0]
    axis.imshow(np.hstack(np.pad(clip[1::2], ((0, 0), (0, 0), (0, 2), (0, 0)))))
    axis.set_ylabel(name, fontsize=11)
    axis.set(xticks=[], yticks=[])
figure.suptitle("time →", fontsize=10)
plt.show()

# %% [markdown]
# ## Three models
#
# `Video` keeps eight frames of each clip, spread evenly, of 32 x 32 pixels. The encoders differ in what they make of time:
#
# - `frames`: the same small CNN for each frame, and the **mean** over time. It sees everything, in no order.
# - `frames` with an **LSTM**, which reads what the CNN saw in order.
# - **`conv3d`**, whose filters reach over three frames at a time: for it, motion is a feature like an edge.

# %%
schema = keras_mm.Schema(
    inputs={"video": keras_mm.Video(num_frames=8, size=(32, 32))},
    targets={"motion": keras_mm.ClassLabel()},
).adapt(train)

encoders = {
    "mean over time": keras_mm.encoders.Frames(),
    "LSTM over time": keras_mm.encoders.Frames(temporal="lstm"),
    "Conv3D": keras_mm.encoders.Conv3D(filters=(16, 32, 32)),
}
models, histories = {}, {}
for name, encoder in encoders.items():
    models[name] = keras_mm.build_classifier(
        schema, encoders={"video": encoder}, seed=0
    )
    histories[name] = models[name].fit(
        train, validation_data=validation, epochs=3, batch_size=16, verbose=0
    )
keras_mm.evaluation.plot_history(histories)

# %% [markdown]
# Where does each of them err? Rows are the truth.

# %%
keras_mm.evaluation.plot_confusion(models, test)

# %% [markdown]
# The mean over time can know at best whether a thing changed its size or its place, never which way. The other two see the order.
# Run every test clip backwards, and a model that sees it must give the opposite answer:

# %%
opposite = dict(zip(MOTIONS, ["away", "closer", "right", "left"]))
backwards = test.assign(
    video=[clip[::-1] for clip in test.video], motion=test.motion.map(opposite)
)
pd.DataFrame(
    {
        direction: {
            name: keras_mm.evaluation.score(model, table)["accuracy"]
            for name, model in models.items()
        }
        for direction, table in (("forwards", test), ("backwards", backwards))
    }
).round(3)

# %% [markdown]
# ## Clips and notes, and some of either missing
#
# The guard writes a note for most clips: what he saw, sometimes which way it went, in words of his own. And sometimes the camera
# fails.

# %%
PHRASES = {
    "closer": ["came closer", "drove up to the gate", "arrived", "heading for us"],
    "away": ["went away", "left for good", "is leaving", "getting smaller"],
    "left": ["passed to the left", "going left", "from right to left"],
    "right": ["passed to the right", "going right", "from left to right"],
}


def add_notes(table):
    """Notes that tell the motion in half of the rows; cells that are missing."""
    notes = []
    for thing, motion in zip(table.thing, table.motion):
        words = random.choice(PHRASES[motion]) if random.random() < 0.5 else ""
        notes.append(f"something of {thing} kind {words}".strip())
    table = table.assign(note=notes)
    table.loc[random.random(len(table)) < 0.2, "note"] = None
    table.loc[random.random(len(table)) < 0.3, "video"] = None
    return table


train, validation, test = (add_notes(part) for part in (train, validation, test))
print(
    test[["video", "note"]].isna().mean().round(2).to_dict(), "missing in the test rows"
)
test[["note", "motion"]].head(6)

# %%
schema = keras_mm.Schema(
    inputs={
        "video": keras_mm.Video(num_frames=8, size=(32, 32)),
        "note": keras_mm.Text(sequence_length=12),
    },
    targets={"motion": keras_mm.ClassLabel()},
).adapt(train)
model = keras_mm.build_classifier(
    schema, encoders={"video": encoders["Conv3D"]}, seed=0
)
history = model.fit(
    train, validation_data=validation, epochs=6, batch_size=16, verbose=0
)

both = test.video.notna() & test.note.notna()
groups = {
    "clip and note": test[both],
    "clip, no note": test[test.video.notna() & test.note.isna()],
    "note, no clip": test[test.video.isna() & test.note.notna()],
    "neither": test[test.video.isna() & test.note.isna()],
}
pd.DataFrame(
    {
        name: {
            "rows": len(rows),
            "accuracy": keras_mm.evaluation.score(model, rows)["accuracy"],
        }
        for name, rows in groups.items()
    }
).T.round(2)

# %% [markdown]
# One model for all four kinds of rows. A note alone helps where the guard says which way; a row with neither can only be guessed.

# %% [markdown]
# ## Files: GIF, MP4, WebM
#
# Clips usually come as files. Animated GIFs are read as they are, MP4, WebM and AVI with the extra `video`
# (`pip install "keras_mm[video]"`, which brings FFmpeg along). We write one test clip in each format and ask the model.

# %%
import av

folder = tempfile.mkdtemp()
row = groups["clip and note"].iloc[0]
frames = [Image.fromarray(frame) for frame in row.video]
frames[0].save(f"{folder}/clip.gif", save_all=True, append_images=frames[1:])
for path, codec in ((f"{folder}/clip.mp4", "mpeg4"), (f"{folder}/clip.webm", "vp9")):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=16)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())

files = pd.DataFrame(
    {"video": sorted(os.listdir(folder)), "note": None, "motion": row.motion}
)
predicted = model.predict(files, base_dir=folder, verbose=0)
answer = keras_mm.evaluation.to_frame(predicted, schema)
sizes = [os.path.getsize(f"{folder}/{name}") for name in files.video]
pd.DataFrame(
    {
        "file": files.video,
        "bytes": sizes,
        "truth": files.motion,
        "predicted": answer.motion,
        "probability": predicted.max(axis=1).round(3),
    }
)

# %% [markdown]
# What the model saw of each file. GIF has few colours and MP4 blurs small ones: none of that is motion.

# %%
reader = schema.inputs["video"]
tensors = reader.preprocess(reader.to_raw(files.video, base_dir=folder))
figure, axes = plt.subplots(3, 1, figsize=(10, 4.2), layout="constrained")
for axis, name, clip in zip(axes, files.video, np.asarray(tensors)):
    axis.imshow(np.hstack(clip))
    axis.set_ylabel(name, fontsize=9)
    axis.set(xticks=[], yticks=[])

# %% [markdown]
# ## Export, and ask with raw frames
#
# A server should not have to decode whatever video somebody sends. So a request holds a list of frames, JPEG or PNG, of any size and
# number: the export samples, resizes and pads them.

# %%
path = keras_mm.export(model, f"{folder}/gate", rows=test.head(64), verbose=False)
exported = keras_mm.load_exported(path)
for name, spec in exported.inputs().items():
    print(f"{name:<5} {spec.dtype.name} {spec.shape}")


def to_jpeg(frame):
    """Pixels -> bytes of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=90)
    return file.getvalue()


jpegs = [to_jpeg(frame) for frame in row.video]
requests = pd.DataFrame(
    {
        "video": [jpegs, jpegs[::-1], jpegs[::2], [*jpegs[:5], b"broken", *jpegs[6:]], None],
        "note": [None, None, None, None, row.note],
    },
    index=["16 frames", "backwards", "every other frame", "one frame broken", "the note alone"],
)  # fmt: skip
answers = exported(requests)
answers["probability"] = answers.motion_probabilities.map(max).round(3)
answers.index = requests.index
print(f"truth: {row.motion}")
answers[["video_ok", "motion", "probability"]]

# %% [markdown]
# As JSON, for TF Serving's REST interface, such a row looks like this (`keras_mm.serving.Client` writes it for you):

# %%
import base64
import json

instance = {
    "video": [{"b64": base64.b64encode(frame).decode()} for frame in jpegs[::2]],
    "note": "",
}
text = json.dumps({"signature_name": "serving_default", "instances": [instance]})
print(text[:110], "...\n...", text[-100:], f"({len(text):,} characters)")
