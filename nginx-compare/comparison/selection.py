"""Which scenarios are run over which systems: what the command line asked for, applied to the table."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace

from comparison.scenarios import ALL, ARCHIVE, ARCHIVING, BASELINE, DIRECT, PAIR, SCENARIOS, SMOKE, Scenario


def chosen(mode: str, patterns: Sequence[str], systems: Sequence[str], builds: Sequence[str]) -> list[Scenario]:
    """The scenarios to run, each with the systems to run it over, in the table's order.

    Without patterns they are those of the mode. Named systems take the place of a scenario's own; builds of the
    gateway are added to them, or compared with the tuned nginx alone. Raises ValueError for a name that nothing has.
    """
    _check(patterns, systems)
    named = _named(patterns) if patterns else [one for one in SCENARIOS if _is_in(one, mode)]
    return [replace(one, systems=_systems(one, mode, systems, builds)) for one in named]


def _check(patterns: Sequence[str], systems: Sequence[str]) -> None:
    for pattern in patterns:
        if not _named([pattern]):
            raise ValueError(f"no scenario is called {pattern}; there are {', '.join(one.name for one in SCENARIOS)}")
    for name in systems:
        if name not in (*ALL, ARCHIVING, DIRECT):
            raise ValueError(f"no system is called {name}; there are {', '.join((*ALL, ARCHIVING, DIRECT))}")


def _named(patterns: Sequence[str]) -> list[Scenario]:
    return [one for one in SCENARIOS if any(fnmatch.fnmatchcase(one.name, pattern) for pattern in patterns)]


def _is_in(scenario: Scenario, mode: str) -> bool:
    return {"full": True, "quick": bool(scenario.quick), "smoke": scenario.name in SMOKE}[mode]


def _systems(scenario: Scenario, mode: str, named: Sequence[str], builds: Sequence[str]) -> tuple[str, ...]:
    direct = (DIRECT,) if DIRECT in scenario.systems else ()
    if named or builds:
        wanted = [*(named or [BASELINE]), *builds]
        if scenario.setting.mirror:
            wanted += [f"{one}{ARCHIVE}" for one in builds]
        return tuple(dict.fromkeys((*wanted, *direct)))
    if mode == "full":
        return scenario.systems
    return (scenario.quick if mode == "quick" else ()) or (*PAIR, *direct)
