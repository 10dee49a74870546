"""Models that a server answers from: export, proof, and asking."""

from .export import export
from .exported import ExportedModel, load_exported
from .verify import verify
