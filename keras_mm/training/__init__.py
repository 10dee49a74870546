"""Training strategies beyond plain fit."""

from ..models.training_settings import TrainingSettings, training_settings
from .averaged_weights import AveragedWeights
from .callbacks import callbacks
from .fit_cached import fit_cached
from .fit_ensemble import fit_ensemble
from .fit_gradually import fit_gradually
from .gradient_blending import GradientBlending
from .progress import ProgressBar
from .search import search
from .search_result import SearchResult
from .time_limit import TimeLimit
