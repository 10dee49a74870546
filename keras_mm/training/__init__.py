"""Learning beyond plain fit."""

from .callbacks import callbacks
from .progress import ProgressBar
