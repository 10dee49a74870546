"""Models that a server answers from: export, proof, and asking."""

from .client import Client
from .companions import serving_commands
from .export import export
from .exported import ExportedModel, load_exported
from .runtime import run_in_libtensorflow
from .search_index import SearchIndex
from .vector_file import embed_to_parquet
from .verify import verify
