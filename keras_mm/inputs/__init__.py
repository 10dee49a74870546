"""Input columns: raw form, tensor form, and the conversion between the two."""

from .audio import Audio
from .category import Category
from .date import Date
from .forms import Forms
from .graph import Graph
from .image import Image
from .input import Input
from .number import Number
from .sequence import Sequence
from .text import Text
from .vector import Vector
from .video import Video
