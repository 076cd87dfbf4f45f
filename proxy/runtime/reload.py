"""A changed configuration into running processes: read and checked first, then given to all of them, or to none.

Must not know where a configuration comes from, nor who asks for the reload.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from proxy.runtime.clock import wall
from proxy.settings import Problem, Settings, changes, needs_restart

Reread = Callable[[], Settings | Sequence[Problem]]

_log = logging.getLogger("proxy.reload")


class Result(Enum):
    """How a reload ended. Only APPLIED changes anything."""

    APPLIED = "applied"
    PROBLEMS = "problems"  # the configuration is wrong
    RESTART = "restart_needed"  # it is fine, but for a gateway that starts with it
    FAILED = "failed"  # a worker could not take it over; all have the settings of before


@dataclass(frozen=True, slots=True)
class Report:
    """What a reload did. `lines` says why, one thing each: the paths that changed, or that need a restart, or what is
    wrong."""

    result: Result
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Last:
    """The latest reload: whether it was applied, and when one was, in Unix seconds (the start counts as one)."""

    is_applied: bool
    applied_at: float


class Reloads:
    """One reload after the other. `read` is called in a thread, `give` hands settings to all processes and says why
    that failed (empty: it did not)."""

    def __init__(self, settings: Settings, read: Reread | None, give: Callable[[Settings], Awaitable[str]]) -> None:
        self.settings = settings
        self.results: Counter[Result] = Counter()
        self.last = Last(True, wall())
        self._read = read
        self._give = give
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Report:
        """Apply what the configuration says now, or change nothing and say why."""
        async with self._one_at_a_time:
            report = await self._try()
        self.results[report.result] += 1
        applied = report.result is Result.APPLIED
        self.last = Last(applied, wall() if applied else self.last.applied_at)
        level = logging.INFO if applied else logging.ERROR
        _log.log(level, "reload: %s", "; ".join((report.result.value, *report.lines)))
        return report

    async def _try(self) -> Report:
        if self._read is None:
            return Report(Result.FAILED, ("this gateway was started without a configuration that could be read again",))
        found = await asyncio.to_thread(self._read)
        if not isinstance(found, Settings):
            return Report(Result.PROBLEMS, tuple(map(str, found)))
        fixed = needs_restart(self.settings, found)
        if fixed:
            return Report(Result.RESTART, tuple(fixed))
        former, self.settings = self.settings, found  # whoever is started from now on begins with these
        why = await self._give(found)
        if not why:
            return Report(Result.APPLIED, tuple(changes(former, found)))
        self.settings = former
        back = await self._give(former)
        return Report(
            Result.FAILED, (why, *([f"and the former settings could not be restored: {back}"] if back else ()))
        )
