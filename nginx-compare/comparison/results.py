"""What was measured: rounds, in cells of system and scenario, in one table; and the table as a JSON file.

A cell's value is the median of its rounds. A ratio is the median of the ratios of rounds that were run one after the
other, so that the machine's mood, which changes over minutes, takes no part in it. Nothing here measures or prints.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path

from comparison.scenarios import BASELINE

Figure = Callable[["Round"], float]
CPU_US: Figure = attrgetter("cpu_us")
BUSIEST_US: Figure = attrgetter("busiest_us")
SERVING_US: Figure = attrgetter("serving_us")
PER_SECOND: Figure = attrgetter("per_second")
P50: Figure = attrgetter("p50")
P99: Figure = attrgetter("p99")
P999: Figure = attrgetter("p999")
MEMORY: Figure = attrgetter("memory")
DISTURBED = 0.1  # of all cores, when others had as much: beyond it a figure says little
SATURATED = 0.9  # of the load's cores: beyond it the load may be what limits requests per second


@dataclass(frozen=True)
class Round:
    """One system under one load, once. Latencies in ms, memory in bytes, `proxy_use` and `load_use` as shares of the
    cores that each side has. `busiest_us` is the CPU time per request of the busiest process alone, `ticks_us` that of all by the
    kernel's coarse count. `load_busy` is the share of the load's cores that anybody used, `others` the share of all cores
    that went to none of ours: other processes, the kernel's own, other guests. `memory` is what a scenario about memory
    found. `archiver_us` is the part of `cpu_us` that a gateway's archiver took, until all of the round's uploads were
    `archived` or, for whatever reason, `unarchived`; `busiest_us` and `proxy_use` are without it."""

    requests: int = 0
    errors: int = 0
    failures: str = ""
    per_second: float = 0.0
    cpu_us: float = 0.0
    busiest_us: float = 0.0
    ticks_us: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    peak: int = 0
    proxy_use: float = 0.0
    load_use: float = 0.0
    load_busy: float = 0.0
    others: float = 0.0
    resumed: int = 0
    memory: int = 0
    archiver_us: float = 0.0
    archived: int = 0
    unarchived: int = 0

    @property
    def serving_us(self) -> float:
        """CPU time per request without the archiver's, which is spent later and at a low priority."""
        return self.cpu_us - self.archiver_us


@dataclass
class Cell:
    """The rounds of one system under one scenario, and the reason why there are none, or no more."""

    system: str
    scenario: str
    rounds: list[Round] = field(default_factory=list)
    why_not: str = ""

    def value(self, figure: Figure) -> float:
        """The median of a figure. Raises StatisticsError when nothing was measured."""
        return statistics.median(map(figure, self.rounds))

    def spread(self, figure: Figure) -> tuple[float, float]:
        """The lowest and the highest of a figure."""
        values = [figure(one) for one in self.rounds]
        return min(values), max(values)

    @property
    def load_was_full(self) -> bool:
        """Whether the load or the upstream may have been what limited this cell."""
        return self.value(lambda one: max(one.load_use, one.load_busy)) > SATURATED

    @property
    def was_disturbed(self) -> bool:
        """Whether others than those that were measured took part of the machine."""
        return self.value(lambda one: one.others) > DISTURBED


@dataclass
class Table:
    """All cells, and what is needed to judge them: `facts` by name, `versions` and `missing` by system, `titles` and
    `kinds` by scenario. `gateways` are the systems that are builds of the gateway."""

    mode: str
    made: str
    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    gateways: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    def cell(self, system: str, scenario: str) -> Cell | None:
        """That cell, if it was to be measured."""
        return next((one for one in self.cells if (one.system, one.scenario) == (system, scenario)), None)

    def measured(self, system: str, scenario: str) -> Cell | None:
        """That cell, if anything was measured."""
        found = self.cell(system, scenario)
        return found if found and found.rounds else None

    def ratio(
        self, system: str, scenario: str, figure: Figure, other: str = BASELINE
    ) -> tuple[float, float, float] | None:
        """`system` to `other` in a figure: median, lowest and highest of the rounds; None without both."""
        mine, theirs = self.measured(system, scenario), self.measured(other, scenario)
        if not mine or not theirs:
            return None
        pairs = zip(map(figure, mine.rounds), map(figure, theirs.rounds), strict=False)
        ratios = [one / two for one, two in pairs if two > 0]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    @property
    def systems(self) -> list[str]:
        """Those that anything was measured of, in the order in which they were run."""
        return list(dict.fromkeys(one.system for one in self.cells if one.rounds))

    @property
    def scenarios(self) -> list[str]:
        """The scenarios that were to be run, in order."""
        return list(dict.fromkeys(one.scenario for one in self.cells))

    def save(self, file: Path) -> None:
        """Writes it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def load(file: Path) -> Table:
    """A table that was saved. Raises OSError when there is none."""
    raw = json.loads(file.read_text())
    cells = [Cell(**{**one, "rounds": [Round(**each) for each in one["rounds"]]}) for one in raw.pop("cells")]
    return Table(**raw, cells=cells)
