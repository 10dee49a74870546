"""Every example in a docstring runs, and gives what it says."""

import doctest
import functools
import importlib
import inspect
import os
import pathlib
import pkgutil

import keras
import numpy as np
import pandas
import pytest

import keras_mm

from .helpers import encode_picture, make_table, random_pixels, small_encoders

# Examples about numbers and categories.
TABULAR = {"Dense", "Embedding", "FeatureTransformer", "Tabular"}
# Examples that need a server, a download, a process without TensorFlow, or
# minutes (the gate runs the demo).
ELSEWHERE = {"Client", "demo", "from_tfds", "Hub", "run_saved_model"}


class _Checker(doctest.OutputChecker):
    """Compares the output of those examples only that show one."""

    def check_output(self, want, got, flags):
        return not want or super().check_output(want, got, flags)


def _documented():
    """Name -> object, for each class, method and function with an example."""
    found = {}
    for module in pkgutil.walk_packages(keras_mm.__path__, "keras_mm."):
        module = importlib.import_module(module.name)
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            # Encoders and heads may have one name.
            name = name if name not in found else f"{module.__name__}.{name}"
            found[name] = value
            if inspect.isclass(value):
                members = vars(value).items()
                found.update({f"{name}.{key}": member for key, member in members})
    return {
        name: value
        for name, value in sorted(found.items())
        if (callable(value) or isinstance(value, property))
        and ">>>" in (inspect.getdoc(value) or "")
        and name not in ELSEWHERE
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the examples find on disk."""
    folder = tmp_path_factory.mktemp("examples")
    for path in ("bird.jpg", "flowers/rose/1.jpg", "flowers/tulip/2.jpg"):
        os.makedirs((folder / path).parent, exist_ok=True)
        (folder / path).write_bytes(encode_picture(random_pixels(), "JPEG"))
    (folder / "bird.wav").write_bytes(keras_mm.Audio().sample(np.random.default_rng(0)))
    encoders = {name: small_encoders()[name] for name in ("image", "text")}
    model = keras_mm.build_classifier(_schema(), encoders=encoders)
    keras_mm.export(model, folder / "saved_models/clipart")
    model.save(folder / "clipart.keras")
    return folder


def _table():
    table = make_table(rows=30, missing=False)
    table["split"] = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    table["author"] = table["group"] = [f"number {row // 2}" for row in range(30)]
    table["id"] = [f"row {row}" for row in range(30)]
    return table.rename(columns={"shop": "city", "weight": "rooms"})


_TABULAR = {
    "price": keras_mm.Number(),
    "rooms": keras_mm.Number(),
    "city": keras_mm.Category(),
}


@functools.cache
def _schema(tabular=False):
    table = _table()
    return keras_mm.Schema(
        {
            "image": keras_mm.Image((96, 96)),
            "text": keras_mm.Text(sequence_length=8),
            **(_TABULAR if tabular else {}),
        },
        {"category": keras_mm.ClassLabel()},
    ).adapt(table)


@functools.cache
def _shared():
    """What the examples take as given, made once."""
    table = _table()
    train, validation, test = keras_mm.data.split(table, by="split")
    history = keras.callbacks.History()
    history.history = {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}
    images = [encode_picture(random_pixels())] * 2
    random = np.random.default_rng(0)
    tokens = [random.normal(size=(2, 3, 8)), random.normal(size=(2, 5, 8))]
    masks = [np.ones((2, 3), bool), np.ones((2, 5), bool)]
    return {
        "keras": keras,
        "keras_mm": keras_mm,
        "numpy": np,
        "np": np,
        "pandas": pandas,
        "table": table,
        "train": train,
        "validation": validation,
        "test": test,
        "history": history,
        "pixels": np.zeros((2, 96, 96, 3), "float32"),
        "ids": np.ones((2, 8), "int32"),
        "labels": np.array([0, 1]),
        "images": images,
        "png": images[0],
        "texts": ["a red bird", ""],
        "tokens": tokens,
        "masks": masks,
        "image_tokens": tokens[0],
        "text_tokens": tokens[1],
        "image_mask": masks[0],
        "text_mask": masks[1],
    }


def _retriever():
    encoders = {name: small_encoders()[name] for name in ("image", "text")}
    return keras_mm.build_retriever(_schema(), encoders=encoders, units=4)


def _reranker(retriever):
    encoders = {name: small_encoders()[name] for name in ("image", "text")}
    return keras_mm.build_reranker(
        retriever, "text", "image", encoders, fusion="concat"
    )


DOCUMENTED = _documented()


def test_examples_are_found():
    """Not an empty harvest."""
    assert len(DOCUMENTED) > 40


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_run(name, folder, monkeypatch, capsys, request):
    documentation = inspect.getdoc(DOCUMENTED[name])
    if "export" not in documentation and "saved_model" not in documentation:
        request.getfixturevalue("eagerly")
    monkeypatch.chdir(folder)
    # No example is about the default one, which takes long to trace.
    monkeypatch.setattr(keras_mm.Image, "default_encoder", keras_mm.encoders.CNN(4))
    value = DOCUMENTED[name]
    names = {**vars(inspect.getmodule(value)), **_shared()}
    names["schema"] = _schema(name in TABULAR)
    # Made where it is asked for: an example may change it.
    if "model" in documentation:
        names["model"] = keras.models.load_model("clipart.keras")
        names["ids"] = np.ones(
            (2, names["model"].schema.inputs["text"].length), "int32"
        )
    if "retriever" in documentation:
        names["retriever"] = _retriever()
    if "reranker" in documentation:
        names["reranker"] = _reranker(names["retriever"])
    examples = doctest.DocTestParser().get_doctest(
        documentation, names, name, None, None
    )
    runner = doctest.DocTestRunner(_Checker(), verbose=False)
    failed, attempted = runner.run(examples)
    assert attempted and not failed, capsys.readouterr().out


def test_the_guide_quotes_what_runs():
    """Each line of code in CONTRIBUTING.md is one of the tests that it names."""
    root = pathlib.Path(__file__).parents[1]
    guide = (root / "CONTRIBUTING.md").read_text().split("```python\n")[1:]
    files = ("tests/test_ordinal.py", "tests/objectives/test_objective.py")
    known = "".join((root / file).read_text() for file in files)
    known = set(map(str.strip, known.splitlines()))
    quoted = [line for part in guide for line in part.split("```")[0].splitlines()]
    assert len(quoted) > 30
    assert {line.split("  #")[0].strip() for line in quoted} <= known
