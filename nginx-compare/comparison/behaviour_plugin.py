"""A pytest plugin: the suites' cases over systems of choice, and what came of each case as a JSON file.

    python -m pytest -p comparison.behaviour_plugin --systems haproxy,caddy --outcomes FILE tests/conformance

A case that fails is a result here and no fault of the run. It knows how the suites name a system (the parameter of one
of FIXTURES) and how the conformance suite keeps what it found; what a case is about, it does not know.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

# A test that takes one of these runs once for each system.
FIXTURES = ("gateway", "small_gateway", "impatient_gateway")
_OWN_VERDICT = re.compile(r"AssertionError: [a-z0-9-]+, test_\w+")


@dataclass
class Outcome:
    """What came of one case over one system.

    `aspects` are the differences that the case noted, by aspect ("" is the case's own matter), with an empty list for
    an aspect that was looked at and found right. `broke` says how the case ended when it could not be played to its
    end, or failed as a whole. `file` is relative to the project, `seconds` are those of the whole test.
    """

    system: str
    file: str
    line: int
    case: str
    aspects: dict[str, list[str]] = field(default_factory=dict)
    broke: str = ""
    seconds: float = 0.0


OUTCOMES = pytest.StashKey[dict[str, Outcome]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the comparison."""
    group = parser.getgroup("comparison")
    group.addoption("--systems", type=lambda text: tuple(text.split(",")), help="names of systems, with commas")
    group.addoption("--outcomes", type=Path, help="the file that gets what came of each case")
    group.addoption("--every", type=int, default=1, help="play only one of so many cases of each test")
    group.addoption("--patience", type=float, help="seconds that a browser test waits for what should happen")


def pytest_configure(config: pytest.Config) -> None:
    """Makes room for the outcomes."""
    config.stash[OUTCOMES] = {}
    config.pluginmanager.register(_Collector(config))


def system_of(item: pytest.Item) -> str | None:
    """The system that the test is about, if it is about one that can be chosen."""
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return next((str(params[name]) for name in FIXTURES if name in params), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is not about a system, and of the rest all but one of so many."""
    numbers: Counter[tuple[str, str | None]] = Counter()
    kept = []
    for item in items:
        if system := system_of(item):
            test = (item.nodeid.partition("[")[0], system)
            if numbers[test] % config.option.every == 0:
                kept.append(item)
            numbers[test] += 1
    items[:] = kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Says of which system and case the reports will be."""
    system = str(system_of(item))
    name = item.name.replace(f"[{system}-", "[").replace(f"-{system}]", "]").replace(f"[{system}]", "")
    item.user_properties.append(("case", (system, name.replace(f"-{system}-", "-"))))


class _Collector:
    """Puts the reports of all test processes together; there is one in each, and the first one writes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One of the three parts of a test."""
        told: dict[str, Any] = dict(report.user_properties)
        system, case = told.get("case", ("", ""))
        file, line, _ = report.location
        known = self._config.stash[OUTCOMES]
        outcome = known.setdefault(report.nodeid, Outcome(system, file, (line or 0) + 1, case))
        outcome.seconds += report.duration
        outcome.aspects = told.get("aspects", outcome.aspects)
        if report.failed and not outcome.broke:
            text = reason(report)
            outcome.broke = "" if _OWN_VERDICT.match(text) and report.when == "call" else text

    def pytest_sessionfinish(self) -> None:
        """Writes the file."""
        if self._config.option.outcomes and not hasattr(self._config, "workerinput"):
            found = [asdict(outcome) for outcome in self._config.stash[OUTCOMES].values()]
            self._config.option.outcomes.write_text(json.dumps(found, indent=1, ensure_ascii=False))


def reason(report: pytest.TestReport) -> str:
    """The first line of what a failed test says, without what differs from run to run."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr).partition("\n")[0]
    text = re.sub(r"AssertionError: not within [\d.]+ s: (.*?)(; last seen.*)?$", r"did not happen: \1", text)
    return re.sub(r"(device-|key-|127\.0\.0\.1:|localhost:)[0-9a-f-]+", r"\1…", text)[:160]
