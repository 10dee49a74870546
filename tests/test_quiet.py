"""The command without TensorFlow's log lines, and everybody else with them."""

import os
import subprocess
import sys

import pytest

from keras_mm import quiet

_START = "I0000 00:00:1795835133.388224   24937 port.cc:153] oneDNN custom operations"
_LINES = f"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
{_START}
W0000 00:00:1795835136.895079   24937 local_rendezvous.cc:412] Local rendezvous is a
E0000 00:00:1795835136.833344   24937 cuda_platform.cc:52] failed call to cuInit: I
2026-11-28 03:05:33.388224: I tensorflow/core/util/port.cc:153] oneDNN custom
E0000 00:00:1795835136.833344   24937 kernel.cc:52] a real one
F0000 00:00:1795835136.833344   24937 cpu.cc:52] the last one
"""
_CODE = """
import os, sys
sys.argv[0] = sys.argv[1]
exec(open(sys.argv[2]).read())
print(sys.stderr.isatty(), "W0000 by Python", file=sys.stderr)
os.write(2, sys.argv[3].encode())
os.abort()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made otherwise")
@pytest.mark.parametrize("name, level, kept", [
    ("/bin/keras-mm", None, 2), ("/bin/keras-mm", "0", 7), ("train.py", None, 7),
])  # fmt: skip
def test_what_is_left_out(name, level, kept):
    """A crash's last line is not lost."""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": level}
    command = [sys.executable, "-c", _CODE, name, quiet.__file__, _LINES]
    process = subprocess.run(
        command,
        env={name: value for name, value in env.items() if value is not None},
        capture_output=True,
        text=True,
    )
    assert process.returncode < 0
    first, *rest = process.stderr.splitlines()
    assert first == "False W0000 by Python"
    assert rest == _LINES.splitlines()[-kept:]
