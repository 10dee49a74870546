"""CPU seconds of each test: the slowest ones, and sums by file, after the run.

Wall time depends on what else the machine does; the CPU time of a test hardly does.
"""

import collections
import json
import os
import time

import pytest

COUNT = 30


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    # Each phase's report carries the seconds since the last one.
    item.stash[_LAST] = _cpu_seconds()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    now = _cpu_seconds()
    outcome.get_result().cpu_seconds = now - item.stash[_LAST]
    item.stash[_LAST] = now


def pytest_terminal_summary(terminalreporter, config):
    """Prints the table, and writes all of it where `CPU_SECONDS` says."""
    seconds = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "cpu_seconds"):
                seconds[report.nodeid] += report.cpu_seconds
    if os.environ.get("CPU_SECONDS"):
        with open(os.environ["CPU_SECONDS"], "w") as file:
            json.dump(dict(seconds), file, indent=1)
    files = collections.Counter()
    for name, value in seconds.items():
        files[name.split("::")[0]] += value
    if len(seconds) < COUNT:
        return
    for title, rows in (("tests", seconds), ("files", files)):
        terminalreporter.section(
            f"CPU seconds: the slowest {title} of {sum(rows.values()):.0f} s"
        )
        for name, value in rows.most_common(COUNT):
            terminalreporter.write_line(f"{value:7.1f}  {name}")


_LAST = pytest.StashKey()


def _cpu_seconds():
    """Of this process and of those that it started and that ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
