import json
import os
import subprocess
import sys
import tempfile

from . import libtensorflow

_ERRORS = {"ValueError": ValueError, "OSError": OSError, "RuntimeError": RuntimeError}


def run_in_libtensorflow(path, signature, inputs, timeout=600.0):
    """Runs one signature of a SavedModel in a process without Python TensorFlow.

    The process opens libtensorflow, the C++ runtime that TF Serving uses, and
    never imports tensorflow. A model that runs in it does not depend on the Python
    process that made it. It runs on the CPU.

    Examples:

    >>> answer = run_in_libtensorflow(
    ...     "saved_models/clipart/1", "serving_default",
    ...     {"image": [png, b""], "text": ["a red bird", ""]})
    >>> answer["image_ok"].tolist()
    [True, False]

    Args:
        path: version directory, which contains `saved_model.pb`.
        signature: string, the signature's name.
        inputs: dict from input name to array or list, all inputs of the
            signature; strings are `str` or bytes.
        timeout: float, seconds after which to give up.

    Returns:
        dict from output name to NumPy array; strings are object arrays of
        bytes.

    Raises:
        ValueError: if the signature is unknown, or the inputs do not match it.
        RuntimeError: if the model does not load or run in libtensorflow, with the
            runtime's own message.
        OSError: if the library or the model is missing.
    """
    path = os.path.abspath(path)
    environment = {
        # Hides information and warnings.
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        # This process may have allocated all GPU memory.
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    with tempfile.TemporaryDirectory() as folder:
        inputs_path = os.path.join(folder, "inputs.npz")
        outputs_path = os.path.join(folder, "outputs.npz")
        libtensorflow.save_arrays(inputs_path, inputs)
        # -P: modules of this folder must not stand in for others.
        command = [sys.executable, "-P", *libtensorflow.__path__]
        try:
            process = subprocess.run(
                [*command, path, signature, inputs_path, outputs_path],
                env=environment,
                capture_output=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"{path} did not answer within {timeout} seconds in libtensorflow. "
                f"Received: signature={signature!r}"
            ) from error
        report = _report(process)
        if "error" in report:
            raise _ERRORS[report["error"]](report["message"])
        if report["tensorflow_imported"]:
            raise RuntimeError(
                "The process must run without Python TensorFlow but has imported it, so "
                f"its result is not valid. Received: report={report}"
            )
        return libtensorflow.load_arrays(outputs_path)


def _report(process):
    """The script's JSON line; an error if it crashed without one."""
    lines = process.stdout.decode("utf-8", "replace").splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError):
        stderr = process.stderr.decode("utf-8", "replace").strip()[-2000:]
        message = (
            "libtensorflow, the C++ runtime that TF Serving uses, exited without a "
            f"result. End of its standard error: {stderr} "
            f"Received: exit status={process.returncode}"
        )
        return {"error": "RuntimeError", "message": message}
