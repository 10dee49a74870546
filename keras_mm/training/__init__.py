"""Learning beyond plain fit."""

from .callbacks import callbacks
from .fit_cached import fit_cached
from .progress import ProgressBar
