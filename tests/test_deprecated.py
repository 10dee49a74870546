"""Old names of arguments: they work with a warning, and are seen nowhere."""

import importlib
import inspect
import itertools
import pkgutil
import types
import warnings

import pandas as pd
import pytest

import keras_mm
from keras_mm.cli import main
from keras_mm.deprecated import renamed


class Paint:
    """A colour."""

    @renamed(colour="color")
    def __init__(self, color="red"):
        """Made of its name."""
        self.color = color

    @renamed(colour="color")
    def mixed(self, *others, color="blue", **kwargs):
        """All the colours."""
        return self.color, *others, color, kwargs


class Gloss(Paint):
    """It shines."""

    @renamed(colour="color")
    def mixed(self, *others, color="white", **kwargs):
        """And the shine."""
        return "gloss", *super().mixed(*others, color=color, **kwargs)


@pytest.mark.parametrize(
    "call, name, expected",
    [
        (lambda: Paint(colour="green").color, "Paint", "green"),
        (lambda: Paint().mixed(1, colour=2), "Paint.mixed", ("red", 1, 2, {})),
        (
            lambda: Gloss().mixed(1, colour=2, n=3),
            "Gloss.mixed",
            ("gloss", "red", 1, 2, {"n": 3}),
        ),
    ],
)
def test_old_name_warns_once_where_it_is_written(call, name, expected):
    text = f"`colour` of `{name}` is now called `color`; the old"
    with pytest.warns(FutureWarning, match=text) as caught:
        assert call() == expected
    assert [warning.filename for warning in caught] == [__file__]


def test_new_name_and_place_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Paint("green").color == Paint(color="green").color == "green"
        assert Gloss().mixed() == ("gloss", "red", "white", {})


def test_both_names_are_refused():
    with pytest.raises(
        ValueError, match="alone to `Paint`. Received: colour=1, color=2"
    ):
        Paint(colour=1, color=2)


def test_only_the_new_name_is_seen():
    assert str(inspect.signature(Paint)) == "(color='red')"
    assert list(inspect.signature(Gloss.mixed).parameters) == [
        "self",
        "others",
        "color",
        "kwargs",
    ]
    assert Gloss.mixed.__doc__ == "And the shine."
    assert Gloss.mixed.__qualname__ == "Gloss.mixed"


# Newer than the name `bad`.
NEWER = {"Forms.to_raw", "fit_ensemble", "search"}
# Functions that hand the option on by `**kwargs`.
BY_KWARGS = {"Retriever.classify", "predict_without", "fit_gradually"}


def _public():
    """Name -> function or method, of all that the rooms show."""
    rooms = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(keras_mm.__path__, "keras_mm.")
        if module.ispkg
    ]
    found = {}
    for name, value in itertools.chain(*(vars(room).items() for room in rooms)):
        if inspect.isclass(value):
            members = inspect.getmembers(value, inspect.isroutine)
            found.update({f"{name}.{key}": member for key, member in members})
        else:
            found[name] = value
    return {
        name: value
        for name, value in found.items()
        if inspect.isroutine(value)
        and (getattr(value, "__module__", None) or "").startswith("keras_mm.")
        and (not value.__name__.startswith("_") or value.__name__.endswith("__"))
    }


PUBLIC = _public()
READING = [
    name
    for name, value in PUBLIC.items()
    if ("on_unreadable" in inspect.signature(value).parameters and name not in NEWER)
    or value.__qualname__ in BY_KWARGS
]


def test_all_that_read_cells_are_found():
    for name in (
        "to_dataset",
        "Schema.adapt",
        "Image.to_raw",
        "MultimodalModel.fit",
        "Autoencoder.predict",
        "ModalityCurves.__init__",
        "Client.__call__",
    ):
        assert name in READING
    assert BY_KWARGS <= {PUBLIC[name].__qualname__ for name in READING}


@pytest.mark.parametrize("name", READING)
def test_bad_is_called_on_unreadable(name):
    """Both names are refused before anything is read, so nothing need be there."""
    with pytest.raises(ValueError, match="`bad` is the old name of `on_unreadable`"):
        PUBLIC[name](bad="missing", on_unreadable="missing")


def test_bad_is_in_no_signature_but_that_of_samples():
    found = {
        value.__name__
        for value in PUBLIC.values()
        if "bad" in inspect.signature(value).parameters
    }
    assert found == {"sample"}


def test_bad_still_works():
    table = pd.DataFrame({"x": pd.Series([1.0, "?", 3.0], dtype=object)})
    schema = keras_mm.Schema({"x": keras_mm.Number()})
    text = "`bad` of `{}` is now called `on_unreadable`"
    with pytest.warns(FutureWarning, match=text.format("Schema.adapt")) as caught:
        schema.adapt(table, bad="missing")
    assert schema.inputs["x"].mean == 2.0
    model = types.SimpleNamespace(predict=lambda table, **kwargs: kwargs)
    with pytest.warns(FutureWarning, match=text.format("predict_without")) as more:
        kwargs = keras_mm.evaluation.predict_without(model, table, bad="missing")
    assert kwargs == {"verbose": 0, "on_unreadable": "missing"}
    assert [one.filename for one in [*caught, *more]] == [__file__] * 2
    with pytest.raises(ValueError, match="row 1 .*on_unreadable='missing'"):
        schema.to_raw(table["x"], "x")


def test_bad_on_the_command_line(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        "keras_mm.cli._predict", lambda options: seen.append(options.on_unreadable)
    )
    command = ["predict", "m.keras", "rows.csv"]
    for options in [[], ["--on-unreadable", "missing"]]:
        assert main([*command, *options]) == 0
    assert not capsys.readouterr().err
    assert main([*command, "--bad", "missing"]) == 0
    assert "--bad is now called --on-unreadable" in capsys.readouterr().err
    assert seen == ["error", "missing", "missing"]
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    said = capsys.readouterr().out
    assert "--on-unreadable" in said and "--bad" not in said
