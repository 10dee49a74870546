"""Tables: reading, splitting, checking, and turning them into `tf.data` batches."""

from .align import Aligned, align, estimate_offset
from .clipart import clipart
from .dataset import to_dataset
from .folder import from_folder
from .infer import infer_schema
from .overlap import overlap
from .schema import Schema
from .split import split
from .tensors import Tensors
from .tfds import from_tfds
from .to_table import to_table
