"""The README's commands are those that the gate runs."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def commands(text):
    """The lines of the indented or fenced blocks that start with python."""
    return re.findall(r"^python -m pip .*$", text, flags=re.MULTILINE)


@pytest.mark.skipif(not (ROOT / ".ci/run").exists(), reason="not in a checkout")
def test_the_gate_runs_the_commands():
    set_up, tests = commands((ROOT / "README.md").read_text())
    gate = (ROOT / ".ci/run").read_text().splitlines()
    assert f'{set_up} --quick --output "$work/demo"' in gate
    assert tests in gate
