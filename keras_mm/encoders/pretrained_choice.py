"""`encoders="pretrained"`: a small pretrained backbone for each column that has one."""

import functools
import os
from typing import NamedTuple

from ..inputs import Audio, Forms, Image, Text
from .encoder import Encoder
from .hub import Hub

PRETRAINED = "pretrained"
# Smaller pictures show a backbone too little, see `PRESETS`.
_SMALL = 128


class Choice(NamedTuple):
    """A KerasHub preset, and what is known of it.

    Args:
        preset: string, its name in KerasHub.
        parameters: int, as KerasHub's registry says.
        licence: string.
        good_for: string, what it was trained on.
        score: string, what was measured with it.
        source: string, of licence and score.
        beside: bool, whether it helps beside the column's default encoder; otherwise
            it takes its place.
    """

    preset: str
    parameters: int
    licence: str
    good_for: str
    score: str
    source: str
    beside: bool

    def describe(self):
        """In one line."""
        size = f"{self.parameters / 1e6:.1f} million parameters"
        return f"{self.preset} ({size}, {self.licence}; {self.good_for})"


# The only place that says what is taken. KerasHub's registry
# (`keras_hub.models.Backbone.presets`) has the names and the parameters.
PRESETS = {
    Image: Choice(
        "efficientnet_lite0_ra_imagenet",
        4_652_008,
        "Apache-2.0",
        "photographs of ImageNet",
        "clip art, pictures alone: .617 accuracy with 225 pixels, .43 from scratch; "
        "linear on its vectors .533 with 97 pixels, .580 with 129, .609 with 225 (all "
        "with Google's weights of the same network)",
        "huggingface.co/timm/efficientnet_lite0.ra_in1k; benchmarks/README.md",
        beside=False,
    ),
    Text: Choice(
        "all_minilm_l6_v2_en",
        22_713_216,
        "Apache-2.0",
        "English sentences",
        "clip art, texts alone: .761 accuracy, n-grams .759, both .789",
        "huggingface.co/sentence-transformers/all-MiniLM-L6-v2; benchmarks/README.md",
        beside=True,
    ),
    Audio: Choice(
        "moonshine_tiny_en",
        27_092_736,
        "MIT",
        "English speech; other sounds were not tried",
        "not measured here",
        "huggingface.co/UsefulSensors/moonshine-tiny",
        beside=True,
    ),
}


def is_pretrained(encoders):
    """Whether it is `"pretrained"` or `"pretrained:<folder>"`."""
    return isinstance(encoders, str) and encoders.partition(":")[0] == PRETRAINED


def expanded(encoders, inputs):
    """Encoders by modality, with pretrained ones in place of `"pretrained"`.

    What is taken is printed, with the argument that says the same.

    Args:
        encoders: `"pretrained"`: for each image, text and audio column a frozen
            backbone by `PRESETS`, `"pretrained:<folder>"`: of a folder that holds
            presets by name; a dict whose values may be either, or None.
        inputs: dict from column to `Input`.

    Returns:
        dict from modality or column to an encoder, or to a list of them.
    """
    if encoders is None or isinstance(encoders, dict):
        chosen = dict(encoders or {})
        given = {name: value for name, value in chosen.items() if is_pretrained(value)}
        for name in given:
            if name not in inputs or _choice_of(inputs[name]) is None:
                raise ValueError(
                    "Pretrained encoders are for Image, Text and Audio columns. "
                    f"Received: encoders[{name!r}]={given[name]!r}"
                )
    elif is_pretrained(encoders):
        chosen = {}
        given = {n: encoders for n, v in inputs.items() if _choice_of(v) is not None}
        if not given:
            raise ValueError(
                "No column has a pretrained encoder: they are for Image, Text and "
                "Audio columns. Leave `encoders` out. "
                f"Received: encoders={encoders!r}, columns {list(inputs)}"
            )
    else:
        raise ValueError(
            "`encoders` is a dict from modality or column to encoder, or 'pretrained', "
            f"or 'pretrained:<folder>'. Received: encoders={encoders!r}"
        )
    if given:
        chosen |= {name: _encoders(inputs[name], how) for name, how in given.items()}
        _print({name: chosen[name] for name in given}, inputs)
    return chosen


def _choice_of(value):
    """The `Choice` for an input; None if there is none."""
    value = _plain(value)
    if isinstance(value, Text) and value.tokens not in (None, "ngrams"):
        # Of a language without spaces, or a vocabulary of the user's.
        return None
    kinds = PRESETS.items()
    return next((choice for kind, choice in kinds if isinstance(value, kind)), None)


def _plain(value):
    """An input in the form of the column's default encoder."""
    return next(iter(value.forms.values())) if isinstance(value, Forms) else value


def _encoders(value, how):
    """The encoder of a column, or both of them."""
    choice = _choice_of(value)
    _, _, folder = how.partition(":")
    preset = choice.preset
    if folder:
        preset = os.path.join(folder, choice.preset)
        if not os.path.isdir(preset):
            raise ValueError(
                f"The folder must hold the preset as {choice.preset!r}. On a machine "
                "with a network, kagglehub.model_download(keras_hub.models.Backbone"
                f".presets[{choice.preset!r}]['kaggle_handle'].removeprefix('kaggle://')"
                ") gives a folder to copy there. "
                f"Received: encoders={how!r}"
            )
    return (
        [_plain(value).default_encoder, Hub(preset)] if choice.beside else Hub(preset)
    )


def _print(chosen, inputs):
    """Says what was taken."""
    lines, plain = ["Pretrained encoders, frozen:"], {}
    for name, value in chosen.items():
        several = value if isinstance(value, list) else [value]
        plain[name] = [
            f"hub:{e.preset}" if isinstance(e, Encoder) else e for e in several
        ]
        scratch = [f" beside {e}" for e in several if isinstance(e, str)]
        lines.append(
            f"  {name}: {_choice_of(inputs[name]).describe()}{''.join(scratch)}"
        )
        if min(getattr(inputs[name], "size", [_SMALL])) < _SMALL:
            size = " x ".join(map(str, inputs[name].size))
            lines.append(
                f"    It sees little of {size} pixels: keras_mm.Image((224, 224))."
            )
        if len(several) == 1:
            (plain[name],) = plain[name]
    lines.append(f"  The same, to change: encoders={plain}")
    _print_once("\n".join(lines))


@functools.cache
def _print_once(text):
    # Folds and trials build model after model.
    print(text)
