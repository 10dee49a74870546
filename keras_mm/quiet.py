"""The `keras-mm` command without TensorFlow's log lines.

They come from C++, the first ones while TensorFlow is imported, where no setting of
its own silences them. So this module is the first one that the package imports, and
does something in the process of the command only. What Python writes, errors and what
is no log line gets through. `TF_CPP_MIN_LOG_LEVEL=0` shows all lines.
"""

import os
import re
import signal
import sys

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
    """Has a process of its own read what is written to the file of errors.

    A thread would be gone with what a crash says last.
    """
    try:
        terminal = os.dup(2)
    except OSError:
        # There is nowhere to write to.
        return
    source, target = os.pipe()
    if not os.fork():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for file in (0, 1, 2, target):
            os.close(file)
        with open(source, "rb") as lines, open(terminal, "wb", buffering=0) as shown:
            for line in lines:
                if not _NOISE.match(line):
                    shown.write(line)
        os._exit(0)
    os.close(source)
    os.dup2(target, 2)
    os.close(target)
    # Python's own lines keep their place among those of standard output.
    sys.stderr = open(
        terminal, "w", buffering=1, encoding="utf-8", errors="backslashreplace"
    )


if _is_command() and os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") in "23":
    if hasattr(os, "fork"):
        _leave_out_log_lines()
