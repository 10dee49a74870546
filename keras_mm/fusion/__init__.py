"""The tokens and masks of all modalities -> one vector."""

from .attention import Attention
from .concat import Concat
from .fusion import Fusion
from .gated import Gated
from .mean import Mean
from .missing_token import MissingToken
from .modality_dropout import ModalityDropout
from .weighted import Weighted

FUSIONS = {
    "concat": Concat,
    "mean": Mean,
    "weighted": Weighted,
    "gated": Gated,
    "attention": Attention,
}


def get(fusion):
    """A name of the table above, or a layer of the user's, as a layer."""
    if isinstance(fusion, str):
        if fusion not in FUSIONS:
            raise ValueError(
                f"`fusion` must be one of {sorted(FUSIONS)}, or a layer that "
                f"takes tokens and masks. Received: fusion={fusion!r}"
            )
        return FUSIONS[fusion](name="fusion")
    if not callable(fusion) or isinstance(fusion, type):
        raise ValueError(
            "`fusion` must be a name or a layer object, such as "
            f"keras_mm.fusion.Gated(units=64). Received: fusion={fusion!r}"
        )
    if isinstance(fusion, Fusion) and not fusion.built:
        # The model's parts are found by name.
        return type(fusion).from_config({**fusion.get_config(), "name": "fusion"})
    return fusion
