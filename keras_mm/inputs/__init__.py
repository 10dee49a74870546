"""What one column is: its raw form, its tensor form, and the way between."""

from .audio import Audio
from .category import Category
from .class_label import ClassLabel
from .image import Image
from .input import Input
from .multi_label import MultiLabel
from .number import Number
from .text import Text
