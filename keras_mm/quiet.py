"""The `keras-mm` command without TensorFlow's log lines.

They come from C++, the first ones while TensorFlow is imported, where no setting of
its own silences them. So this module is the first one that the package imports, and
does something in the process of the command only. What Python writes, errors and what
is no log line gets through. `TF_CPP_MIN_LOG_LEVEL=0` shows all lines.
"""

import atexit
import contextlib
import os
import re
import signal
import sys
import time

_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+\.(cc|cu|h):\d+\]"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    # No GPU, more than one library for it, an older processor.
    rb"|E\d{4} .*(failed call to cuInit|Unable to register cu\w+ factory|oneDNN supports)"
)


def _is_command():
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    is_module = name == "-m" and "keras_mm.cli" in sys.orig_argv
    return name == "keras-mm" or is_module


def _leave_out_log_lines():
    """Starts a process that filters the standard error.

    A thread would lose the last lines of a crash.
    """
    try:
        terminal = os.dup(2)
    except OSError:
        # No standard error.
        return
    source, target = os.pipe()
    reader = os.fork()
    if not reader:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # The pipe ends only when all copies of its write end are closed.
            os.close(2)
            os.close(target)
            _copy(source, terminal)
        finally:
            os._exit(0)
    os.close(source)
    os.dup2(target, 2)
    os.close(target)
    # Python's own lines stay in order with those of the standard output.
    sys.stderr = open(
        terminal, "w", buffering=1, encoding="utf-8", errors="backslashreplace"
    )
    atexit.register(_wait, reader, terminal)


def _copy(source, terminal):
    with open(source, "rb") as lines, open(terminal, "wb", buffering=0) as output:
        for line in lines:
            if not _NOISE.match(line):
                output.write(line)


def _wait(reader, terminal):
    """Lets it show its last lines; a second at the most, if others still write."""
    os.dup2(terminal, 2)
    with contextlib.suppress(ChildProcessError):
        for _ in range(100):
            if os.waitpid(reader, os.WNOHANG)[0]:
                return
            time.sleep(0.01)


if _is_command() and os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in "23":
    if hasattr(os, "fork"):
        _leave_out_log_lines()
