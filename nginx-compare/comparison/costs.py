"""The cost table's harness: starts the systems, lets them take turns under each scenario's load, keeps the account.

All systems of a scenario run side by side and only one is loaded at a time: A B C A B C …, and the order turns by one
with each round. What a figure means is in `results`, what is asked in `scenarios`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from comparison import ROOT, machine, measuring
from comparison.archive import Archive
from comparison.asking import ask, refusal
from comparison.machine import Cores
from comparison.peers import Running
from comparison.results import CPU_US, PER_SECOND, Cell, Round, Table
from comparison.scenarios import ARRIVALS, CLOSED, DIRECT, Scenario, Setting
from comparison.systems import System
from comparison.upstream import Upstream, upstream

# What a system that breaks down may do to whoever measures it.
FAILURES = (RuntimeError, AssertionError, ValueError, OSError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Plan:
    """How much is measured: rounds of each cell, seconds of a round in closed and open loops, idle connections.
    `tail_seconds`: where systems' p99 are compared at one rate. In 3 s a few stalls of the machine decide: the
    medians of a build's five or six rounds lay between 0.5 and 1.6 ms; of 10 s each, between 0.35 and 0.52."""

    mode: str
    rounds: int
    seconds: int
    open_seconds: int
    tail_seconds: int
    connections: int


PLANS = {
    "full": Plan("full", 5, 2, 3, 10, 5000),
    "quick": Plan("quick", 3, 1, 2, 4, 5000),
    "smoke": Plan("smoke", 1, 1, 1, 1, 50),
}


@dataclass(frozen=True)
class Stage:
    """Systems that run with one setting, and where."""

    systems: dict[str, Running]
    upstream: Upstream
    cores: Cores
    setting: Setting


class Harness:
    """One comparison. `run` it once; what it found so far is in `table`."""

    def __init__(self, plan: Plan, scenarios: Sequence[Scenario], systems: Sequence[System]) -> None:
        self._plan = plan
        self._scenarios = scenarios
        self._systems = systems
        made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")  # noqa: TID251
        self.table = Table(plan.mode, made, machine.description())
        self.table.missing = {one.name: f"not installed: {get}" for one in systems if (get := one.missing())}
        self.table.versions = {one.name: one.version() for one in systems if one.name not in self.table.missing}
        self.table.gateways = [one.name for one in systems if one.is_gateway and not one.archives]
        self._archiving = {one.name for one in systems if one.archives}

    def run(self) -> None:
        """Measures everything. A system that is not there, or that can't do a scenario, has the reason in its cell."""
        available, files = os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
        # And with it all that this process starts.
        os.sched_setaffinity(0, machine.divided(1).load)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
        try:
            with upstream() as behind, tempfile.TemporaryDirectory(prefix="compare-load-") as folder:
                for setting in dict.fromkeys(one.setting for one in self._scenarios):
                    with self._stage(setting, behind, available) as stage:
                        for scenario in (one for one in self._scenarios if one.setting == setting):
                            self._measure(scenario, stage, Path(folder))
        finally:
            os.sched_setaffinity(0, available)
            resource.setrlimit(resource.RLIMIT_NOFILE, files)

    @contextlib.contextmanager
    def _stage(self, setting: Setting, behind: Upstream, available: set[int]) -> Iterator[Stage]:
        cores = machine.divided(setting.workers, available)
        self.table.facts[f"cores with {setting.workers} worker{'s' * (setting.workers > 1)}"] = cores.words
        os.sched_setaffinity(0, cores.load)
        running, ends = {}, []
        try:
            for system in self._wanted(setting):
                one = contextlib.ExitStack()
                with self._noted(system):
                    running[system.name] = one.enter_context(system.running(behind, setting, cores))
                    ends.append((system, one))
            yield Stage(running, behind, cores, setting)
        finally:
            for system, one in reversed(ends):
                with self._noted(system):
                    one.close()

    @contextlib.contextmanager
    def _noted(self, system: System) -> Iterator[None]:
        """One that does not start, or not end, is no reason to lose what is known of the others."""
        try:
            yield
        except FAILURES as error:
            self.table.missing[system.name] = f"did not start or did not end: {_words(error)}"

    def _wanted(self, setting: Setting) -> list[System]:
        names = {name for one in self._scenarios if one.setting == setting for name in one.systems}
        return [one for one in self._systems if one.name in names - self.table.missing.keys()]

    def _measure(self, scenario: Scenario, stage: Stage, folder: Path) -> None:
        self._enter(scenario)
        cells = [Cell(name, scenario.name) for name in scenario.systems if name in self._names]
        self.table.cells += cells
        for cell in cells:
            cell.why_not = self._obstacle(scenario, cell.system, stage)
        for number in range(self._plan.rounds if scenario.kind not in ("rest", "idle") else 1):
            first = number % max(len(cells), 1)
            for cell in cells[first:] + cells[:first]:
                if not cell.why_not:
                    self._take_turn(scenario, cell, stage, folder)
        print(_line(scenario, cells), flush=True)

    def _enter(self, scenario: Scenario) -> None:
        self.table.titles[scenario.name] = scenario.title
        self.table.kinds[scenario.name] = scenario.kind

    def _obstacle(self, scenario: Scenario, name: str, stage: Stage) -> str:
        if name not in stage.systems:
            return self.table.missing.get(name, "not started")
        try:
            return "" if scenario.kind == "rest" else refusal(scenario, stage.systems[name])
        except FAILURES as error:
            return _words(error)

    def _take_turn(self, scenario: Scenario, cell: Cell, stage: Stage, folder: Path) -> None:
        """One that fails takes no more turns, so that the rounds of all that go on stay beside each other."""
        try:
            cell.rounds.append(self._round(scenario, cell.system, stage, folder))
        except FAILURES as error:
            cell.why_not = f"round {len(cell.rounds) + 1}: {_words(error)}"

    def _round(self, scenario: Scenario, name: str, stage: Stage, folder: Path) -> Round:
        running = stage.systems[name]
        if scenario.kind == "rest":
            return measuring.at_rest(running.pid)
        if scenario.kind == "idle":
            return measuring.idle(running.pid, running.tls_port, min(scenario.clients, self._plan.connections))
        opened = scenario.kind == "open"
        seconds = self._plan.seconds
        if opened:
            seconds = self._plan.tail_seconds if scenario.same_rate else self._plan.open_seconds
        rate = scenario.rate * self._capacity(scenario, name, stage) if opened else 0
        pids = [running.pid] if running.pid else []
        archive = Archive(running, stage.cores.load) if name in self._archiving else None
        return measuring.loaded(
            pids, stage.upstream.pids, stage.cores, lambda: ask(scenario, running, seconds, rate, folder), archive
        )

    def _capacity(self, scenario: Scenario, name: str, stage: Stage) -> float:
        """Requests per second: the system's own, or the lowest of those whose latencies are compared at one rate."""
        if scenario.name == ARRIVALS.name:  # what capacities follow from can't be asked for a share of one
            return self._measured(CLOSED, name, stage).value(PER_SECOND)
        if not scenario.same_rate:
            return self._own_capacity(name, stage)
        compared = [one for one in scenario.systems if one in stage.systems and one != DIRECT]
        if scenario.setting.mirror:  # copies are what is looked at: the rate is that of who makes none
            compared = [one for one in compared if one in self.table.gateways]
        return min(self._own_capacity(one, stage) for one in compared)

    def _own_capacity(self, name: str, stage: Stage) -> float:
        """Of one worker. A closed loop gets more through: there, a process that wakes finds several requests."""
        return 1e6 / self._measured(ARRIVALS, name, stage).value(CPU_US)

    def _measured(self, scenario: Scenario, name: str, stage: Stage) -> Cell:
        """A cell as measured in this run, or now for a moment."""
        if not self.table.measured(name, scenario.name):
            self._enter(scenario)
            cell = Cell(name, scenario.name)
            self.table.cells.append(cell)
            with tempfile.TemporaryDirectory() as folder:
                self._take_turn(scenario, cell, stage, Path(folder))
        found = self.table.measured(name, scenario.name)
        assert found, f"{name} has no capacity: {scenario.name} can't be measured"
        return found

    @property
    def _names(self) -> set[str]:
        return {one.name for one in self._systems}


def _words(error: Exception) -> str:
    """Of an error, for a table's cell: its last line, which says what went wrong, without this machine's folders."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} s"
    lines = [line.strip() for line in str(error).replace(f"{ROOT}/", "").splitlines() if line.strip()]
    return lines[-1][:200] if lines else repr(error)


def _line(scenario: Scenario, cells: Sequence[Cell]) -> str:
    shown = (f"{cell.system} {_figure(scenario, cell)}" for cell in cells)
    return f"{scenario.name:>16}: {', '.join(shown)}"


def _figure(scenario: Scenario, cell: Cell) -> str:
    if not cell.rounds:
        return f"– ({cell.why_not})"
    if scenario.kind in ("rest", "idle"):
        return f"{cell.value(lambda one: one.memory) / 1024:.0f} KiB"
    if scenario.kind == "open":
        return f"p99 {cell.value(lambda one: one.p99):.2f} ms"
    return f"{cell.value(lambda one: one.cpu_us):.0f} µs"
