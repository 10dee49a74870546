"""The command line; see the package."""

import argparse
import json
import sys

from .arrays import load_arrays, save_arrays
from .session import require_clean_process, run_saved_model
from .signatures import read_signatures


def main(arguments=None):
    """Runs the command line; see the package. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Runs one signature of a SavedModel in libtensorflow."
    )
    parser.add_argument("path", help="version directory with saved_model.pb")
    parser.add_argument("signature", nargs="?", help="the signature's name")
    parser.add_argument("inputs", nargs="?", help=".npz file to feed")
    parser.add_argument("outputs", nargs="?", help=".npz file to write")
    parser.add_argument("--list", action="store_true", help="print the signatures")
    options = parser.parse_args(arguments)
    if not options.list and options.outputs is None:
        parser.error("give SIGNATURE INPUTS.npz OUTPUTS.npz, or --list")
    try:
        if options.list:
            report = read_signatures(options.path)
        else:
            arrays = run_saved_model(
                options.path, options.signature, load_arrays(options.inputs)
            )
            save_arrays(options.outputs, arrays)
            # Nothing may have imported tensorflow in the meantime.
            require_clean_process()
            report = {
                "outputs": {
                    name: {"dtype": str(array.dtype), "shape": list(array.shape)}
                    for name, array in arrays.items()
                },
                "tensorflow_imported": "tensorflow" in sys.modules,
            }
    except (ValueError, RuntimeError, OSError) as error:
        kinds = (ValueError, RuntimeError, OSError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        report = {"error": kind.__name__, "message": str(error)}
    print(json.dumps(report))
    return int("error" in report)
