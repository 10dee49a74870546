"""Target columns: their labels, scores, served outputs and plots."""

from .as_target import as_target
from .class_label import ClassLabel
from .multi_label import MultiLabel
from .number_target import NumberTarget
from .target import Target
