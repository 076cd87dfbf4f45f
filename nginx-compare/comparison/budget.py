"""What the gateway may cost, limit by limit, beside what was measured.

A limit is what may be; an aim is what is wanted. It knows the table, not how it came about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from comparison.results import BUSIEST_US, CPU_US, MEMORY, P99, SERVING_US, Figure, Table
from comparison.scenarios import ARCHIVE, BASELINE, DIRECT, SIZES

SIZE_LIMITS = {"2": (2.2, 1.6), "10": (1.8, 1.3), "50": (1.1, 0.85), "200": (1.0, 0.8), "1500": (1.0, 0.8)}
SMALL_LIMIT = (2.5, 1.6)
MIX_LIMIT = (1.5, 1.1)
RECIPE_LIMITS = {"2": 0.6, "50": 0.4}
EVERY_SIZE = {"caddy": 0.6, "aiohttp": 0.4}
ADDED_LATENCY = 1.5
IDLE_KILOBYTES = 25.0
REST_MEGABYTES = 60.0
TWO_WORKERS = 1.8
COPY_CPU = 1.3
COPY_LATENCY = 1.2


@dataclass(frozen=True)
class Line:
    """One limit: `measured` is None when it was not measured. `least` turns it round: at least, not at most."""

    what: str
    limit: float
    measured: float | None
    aim: float | None = None
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None when nobody knows."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def budget(table: Table, system: str) -> list[Line]:
    """Every limit, as `system` (the gateway, or a build of it) keeps it."""
    return [
        *_against_tuned(table, system),
        *_against_others(table, system),
        *_beside_processor_time(table, system),
        *_with_archive(table, system),
    ]


def _against_tuned(table: Table, system: str) -> Iterator[Line]:
    for prefix, front in (("", ""), ("tls-", ", TLS")):
        for size, (limit, aim) in SIZE_LIMITS.items():
            measured = _cpu_ratio(table, system, f"{prefix}post-{size}k", BASELINE)
            yield Line(f"CPU time to the tuned nginx's, {_shown(size)}{front}", limit, measured, aim)
        for name in ("preflight", "config"):
            measured = _cpu_ratio(table, system, f"{prefix}{name}", BASELINE)
            yield Line(f"CPU time to the tuned nginx's, {name}{front}", SMALL_LIMIT[0], measured, SMALL_LIMIT[1])
    unlike = _cpu_ratio(table, system, "mixed-config", BASELINE)
    yield Line("CPU time to the tuned nginx's, config, each of another project", SMALL_LIMIT[0], unlike, SMALL_LIMIT[1])
    mix = _cpu_ratio(table, system, "sessions", BASELINE)
    yield Line("CPU time to the tuned nginx's, SDK mix", MIX_LIMIT[0], mix, MIX_LIMIT[1])


def _against_others(table: Table, system: str) -> Iterator[Line]:
    for size, limit in RECIPE_LIMITS.items():
        measured = _cpu_ratio(table, system, f"post-{size}k", "nginx-vendor")
        yield Line(f"CPU time to the vendor's recipe, {_shown(size)}", limit, measured)
    for other, limit in EVERY_SIZE.items():
        for size, _ in SIZES:
            yield Line(f"CPU time to {other}, {_shown(size)}", limit, _cpu_ratio(table, system, f"post-{size}k", other))


def _beside_processor_time(table: Table, system: str) -> Iterator[Line]:
    yield Line("added p99 to the tuned nginx's, same rate", ADDED_LATENCY, added_ratio(table, system))
    idle = _memory(table, system, "idle", 1000)
    yield Line("an idle TLS connection", IDLE_KILOBYTES, idle, unit=" KB")
    yield Line("a worker at rest", REST_MEGABYTES, _memory(table, system, "rest", 1_000_000), unit=" MB")
    yield Line("two workers to one", TWO_WORKERS, scaling(table, system), least=True)


def _with_archive(table: Table, system: str) -> Iterator[Line]:
    """What a copy of each upload adds, beside the same gateway without an archive."""
    cpu = _archive_ratio(table, system, "mirror-50k", SERVING_US)
    yield Line("a worker's CPU time with an archive to without, 50 KB", COPY_CPU, cpu)
    for scenario, size in (("mirror-open", "2"), ("mirror-open-50k", "50")):
        late = _archive_ratio(table, system, scenario, P99)
        yield Line(f"p99 with an archive to without, {_shown(size)}, same rate", COPY_LATENCY, late)


def added_ratio(table: Table, system: str) -> float | None:
    """What the system adds to the p99 of the direct way, to what the tuned nginx adds to it, at one rate."""
    mine, theirs = (added_p99(table, name) for name in (system, BASELINE))
    return mine / theirs if mine is not None and theirs else None


def added_p99(table: Table, system: str, scenario: str = "open-same") -> float | None:
    """Milliseconds between the p99 through the system and the direct one."""
    through, direct = table.measured(system, scenario), table.measured(DIRECT, scenario)
    return through.value(P99) - direct.value(P99) if through and direct else None


def scaling(table: Table, system: str) -> float | None:
    """How many times the requests two workers carry: the CPU time of one worker for each request that the system
    serves, alone and as the busier of two. It is what they could carry if each had a core of its own."""
    one, two = table.measured(system, "single-open"), table.measured(system, "pair-open")
    return one.value(BUSIEST_US) / two.value(BUSIEST_US) if one and two else None


def _cpu_ratio(table: Table, system: str, scenario: str, other: str) -> float | None:
    found = table.ratio(system, scenario, CPU_US, other)
    return found[0] if found else None


def _archive_ratio(table: Table, system: str, scenario: str, figure: Figure) -> float | None:
    found = table.ratio(f"{system}{ARCHIVE}", scenario, figure, system)
    return found[0] if found else None


def _memory(table: Table, system: str, scenario: str, unit: int) -> float | None:
    cell = table.measured(system, scenario)
    return cell.value(MEMORY) / unit if cell else None


def _shown(size: str) -> str:
    return "1.5 MB" if size == "1500" else f"{size} KB"
