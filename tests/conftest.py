"""For every suite: in CI nothing is skipped, no property is judged by its time, and the time of each suite is told.

A test that skips itself where CI runs proves nothing there and looks as if it did. With CI set in the environment
a skip or an expected failure counts as a failure. It must not know any suite.
"""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Generator
from pathlib import PurePosixPath

import hypothesis
import pytest

# The package under test: the source tree, where these tests are, or what is installed (compiled) in its place.
TEST_INSTALLED = bool(os.environ.get("TEST_INSTALLED"))
if TEST_INSTALLED:
    sys.path.insert(0, sysconfig.get_path("platlib"))
    # At once: pytest is going to put the root of the tree before it.
    importlib.import_module("proxy")

NOTHING_IS_SKIPPED = os.environ.get("CI", "").lower() not in ("", "0", "false")

# No deadline: how long an example takes says more of the machine than of the code. In CI the examples follow from the
# test alone, so that one commit always has one result and a failure there is the change's; elsewhere they are random,
# and what they find is kept for the next run.
# Over the compiled package fewer: what examples find, they find in the source, and there it is the same once more.
EXAMPLES = 25 if TEST_INSTALLED else 100
hypothesis.settings.register_profile(
    "suites", deadline=None, derandomize=NOTHING_IS_SKIPPED, print_blob=True, max_examples=EXAMPLES
)
hypothesis.settings.load_profile("suites")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test's report becomes a failed one, and an expected failure's (which is reported as a skip), too."""
    report = yield
    if NOTHING_IS_SKIPPED and (report.skipped or hasattr(report, "wasxfail")):
        report.longrepr = f"in CI nothing is skipped or expected to fail: {_reason(report)}"
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself while it is imported."""
    report = yield
    if NOTHING_IS_SKIPPED and report.skipped:
        report.longrepr = f"in CI nothing is skipped: {_reason(report)}"
        report.outcome = "failed"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seconds of each suite, added up over all of its tests."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[_suite(report.nodeid)] += report.duration
    if not seconds:
        return
    terminalreporter.section("seconds of each suite")
    for suite, spent in sorted(seconds.items()):
        terminalreporter.write_line(f"{spent:8.1f}  {suite}")


def _suite(nodeid: str) -> str:
    parts = PurePosixPath(nodeid.partition("::")[0]).parts
    return "/".join(parts[:2])


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return f"{report.longrepr[0]}:{report.longrepr[1]}: {report.longrepr[2]}"
    return str(getattr(report, "wasxfail", "") or report.longrepr or "no reason given")
