"""The tokens and masks of all modalities -> one vector, and `Fused`."""

from ..names import layer_name
from .attention import Attention
from .attention_weights import AttentionWeights
from .bilinear import Bilinear
from .bottleneck import Bottleneck
from .co_attention import CoAttention
from .concat import Concat
from .ensemble_dense import EnsembleDense
from .film import FiLM
from .fused import Fused, fuse
from .fusion import Fusion
from .gated import Gated
from .hybrid import Hybrid
from .imputation import Imputation
from .late_mean import LateMean
from .late_weighted import LateWeighted
from .low_rank import LowRank
from .max import Max
from .mean import Mean
from .mfb import MFB
from .missing_token import MissingToken
from .mixture_of_experts import MixtureOfExperts
from .mlb import MLB
from .modality_dropout import ModalityDropout
from .mult import MulT
from .perceiver import Perceiver
from .product_of_experts import ProductOfExperts
from .stacking import Stacking
from .sum import Sum
from .tensor import Tensor
from .transformer import Transformer
from .weighted import Weighted

_NAME = layer_name("fusion")

FUSIONS = {
    "concat": Concat,
    "sum": Sum,
    "mean": Mean,
    "max": Max,
    "weighted": Weighted,
    "attention_weights": AttentionWeights,
    "gated": Gated,
    "mixture_of_experts": MixtureOfExperts,
    "film": FiLM,
    "bilinear": Bilinear,
    "mlb": MLB,
    "mfb": MFB,
    "tensor": Tensor,
    "low_rank": LowRank,
    "product_of_experts": ProductOfExperts,
    "attention": Attention,
    "co_attention": CoAttention,
    "transformer": Transformer,
    "mult": MulT,
    "bottleneck": Bottleneck,
    "perceiver": Perceiver,
    "late_mean": LateMean,
    "late_weighted": LateWeighted,
    "stacking": Stacking,
    "hybrid": Hybrid,
}


def get(fusion, name=_NAME):
    """A name in `FUSIONS`, a layer, or a function of the user's -> a layer or function."""
    if isinstance(fusion, str):
        if fusion not in FUSIONS:
            raise ValueError(
                f"`fusion` must be one of {sorted(FUSIONS)}, or a layer that "
                f"takes tokens and masks. Received: fusion={fusion!r}"
            )
        return FUSIONS[fusion](name=name)
    if not callable(fusion) or isinstance(fusion, type):
        raise ValueError(
            "`fusion` must be a name or a layer object, such as "
            f"keras_mm.fusion.Gated(units=64). Received: fusion={fusion!r}"
        )
    if isinstance(fusion, Fusion) and not fusion.built:
        # The model's parts are found by name.
        return type(fusion).from_config({**fusion.get_config(), "name": name})
    return fusion


def has_experts(fusion):
    """Whether a fusion is a late one, whose experts each predict a target.

    Args:
        fusion: `Fusion`, other layer, or function.
    """
    return getattr(fusion, "has_experts", False)
