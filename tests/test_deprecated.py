"""Old names of arguments: they work with a warning, and are seen nowhere."""

import inspect
import warnings

import pytest

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
