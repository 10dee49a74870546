"""Video files to batches, against bare PyAV; and whether order is learned.

    python benchmarks/video_pipeline.py [--learn]

60 clips of 10 seconds (320 x 240, 25 frames a second, H.264, a keyframe every
second) become batches of 8 frames of 64 pixels. The rivals decode with PyAV
alone, by one thread: all frames of each clip, or the same frames after the same
seeks; nothing is shrunk, kept or checked there. `--learn` trains on clips of a
square that moves left, right, up or down, of which no single frame tells where
to.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import sys
import tempfile
import time

import av
import numpy as np
import pandas as pd

import keras_mm

CLIPS, SECONDS, RATE, FRAMES, SIZE, BATCH = 60, 10, 25, 8, (64, 64), 16


def write_clip(path, seed):
    """A square that moves over a smooth background."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:240, :320] / 50
    noise = random.random(3)[None, None] * 2 + np.stack([rows, columns, rows], -1)
    background = (128 + 100 * np.sin(noise)).astype("uint8")
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", rate=RATE, options={"preset": "fast"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.gop_size = RATE
        for number in range(SECONDS * RATE):
            pixels = background.copy()
            pixels[100:140, number : number + 40] = (250, 20, 20)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            file.mux(video.encode(frame))
        file.mux(video.encode())


def decode_all(path):
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def decode_with_seeks(path):
    """What is wanted is known beforehand: keyframes at every second."""
    found = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        step = int(1 / RATE / stream.time_base)
        for index in range(FRAMES):
            number = (2 * index + 1) * SECONDS * RATE // (2 * FRAMES)
            container.seek(number * step, stream=stream)
            for frame in container.decode(stream):
                if frame.pts >= number * step:
                    found += 1
                    break
    return found


def pipeline(rounds=5):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, f"{index}.mp4") for index in range(CLIPS)]
        for index, path in enumerate(paths):
            write_clip(path, index)
        size = sum(map(os.path.getsize, paths)) / CLIPS
        table = pd.DataFrame({"clip": paths, "label": np.arange(CLIPS) % 2})
        video = keras_mm.Video(FRAMES, SIZE)
        schema = keras_mm.Schema({"clip": video}, {"label": keras_mm.ClassLabel()})
        schema.adapt(table)

        def ours():
            rows = 0
            for inputs, _ in keras_mm.data.to_dataset(table, schema, BATCH):
                rows += len(inputs["clip"])
            assert rows == CLIPS

        rivals = {
            "Video.to_raw": lambda: video.to_raw(table["clip"]),
            "to_dataset, first epoch": ours,
            "PyAV, all frames": lambda: list(map(decode_all, paths)),
            "PyAV, same seeks": lambda: list(map(decode_with_seeks, paths)),
        }
        speeds = {name: [] for name in rivals}
        for call in rivals.values():
            call()
        for _ in range(rounds):
            for name, call in rivals.items():
                started = time.perf_counter()
                call()
                speeds[name].append(CLIPS / (time.perf_counter() - started))
        kept = sum(map(len, np.ravel(video.to_raw(table["clip"])))) / CLIPS
    print(
        f"{CLIPS} clips of {size / 1e3:.0f} kB; kept in memory: {kept / 1e3:.1f} kB each"
    )
    for name, values in speeds.items():
        print(f"{name}: {statistics.median(values):.0f} clips/s")
    for name in list(rivals)[:2]:
        for rival in list(rivals)[2:]:
            ratios = [a / b for a, b in zip(speeds[name], speeds[rival])]
            print(
                f"{name} / {rival}: {statistics.median(ratios):.2f} (lowest "
                f"{min(ratios):.2f}, highest {max(ratios):.2f}, {rounds} pairs)"
            )


DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}


def moving_squares(count, seed, side=24):
    """Clips `(8, side, side, 3)`; the square goes round at the border."""
    random = np.random.default_rng(seed)
    names = random.choice(list(DIRECTIONS), count)
    clips = []
    for name in names:
        start, speed = random.integers(0, side, 2), random.integers(1, 4)
        square, colour = random.integers(4, 8), random.random(3) * 0.5 + 0.5
        clip = random.random((FRAMES, side, side, 3)) * 0.2
        for number in range(FRAMES):
            place = start + number * speed * np.array(DIRECTIONS[name])
            rows, columns = (np.arange(square) + place[:, None]) % side
            clip[number, rows[:, None], columns] = colour
        clips.append((clip * 255).astype("uint8"))
    return pd.DataFrame({"clip": clips, "direction": names})


def learning(epochs=12):
    train, test = moving_squares(1600, 0), moving_squares(400, 1)
    schema = keras_mm.Schema(
        {"clip": keras_mm.Video(FRAMES, (24, 24))},
        {"direction": keras_mm.ClassLabel()},
    ).adapt(train)
    data = keras_mm.data.to_dataset(train, schema, 32, shuffle=True, seed=0)
    held_out = keras_mm.data.to_dataset(test, schema, 100, with_target=False)
    frames = keras_mm.encoders.Frames
    rivals = {
        name: frames(temporal=name) for name in ("mean", "lstm", "gru", "transformer")
    }
    rivals["conv3d"] = keras_mm.encoders.Conv3D()
    chosen = [name for name in rivals if name in sys.argv] or list(rivals)
    for name in chosen:
        started = time.perf_counter()
        model = keras_mm.build_classifier(
            schema, encoders={"clip": rivals[name]}, seed=0
        )
        model.fit(data, epochs=epochs, verbose=0)
        scores = model.predict(held_out, verbose=0)
        classes = np.array(schema.target.names)
        right = classes[scores.argmax(1)] == test.direction
        # Of the clips that go left or right: which of the two is likelier?
        sides = test.direction.isin(["left", "right"]).to_numpy()
        pair = [schema.target.names.index(side) for side in ("left", "right")]
        said = np.array(["left", "right"])[scores[sides][:, pair].argmax(1)]
        print(
            f"{name}: accuracy {right.mean():.3f} of four directions, "
            f"{(said == test.direction[sides]).mean():.3f} of left and right; "
            f"{model.count_params()} weights, "
            f"{time.perf_counter() - started:.0f} s for {epochs} epochs",
            flush=True,
        )


if __name__ == "__main__":
    learning() if "--learn" in sys.argv else pipeline()
