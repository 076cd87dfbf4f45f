"""Keeps the counters of the last minute, and takes a snapshot when somebody asks for the status.

Must not know of processes: it is given functions to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiohttp import web

from proxy.admin.snapshot import About, History, Moment, Snapshot, SpoolSeen
from proxy.admin.spool_watch import SpoolWatch, measured
from proxy.admin.status import status
from proxy.observe.ledger import Mark, Totals
from proxy.observe.metrics import Processes
from proxy.runtime.clock import monotonic, wall
from proxy.runtime.tasks import spawn

STEP: Final = 5.0  # seconds between two moments that are kept
# A request that ends while the counters are read may be half counted; read again, it is whole.
LOOKS: Final = 3


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom to ask. `trouble_kind` gives the name of a number under Mark.ARCHIVE_TROUBLE."""

    totals: Callable[[], Totals]
    workers: Callable[[], Processes]
    archivers: Callable[[], Processes]
    unready: Callable[[], str | None]
    trouble_kind: Callable[[int], str]


class Watch:
    """What /status shows."""

    def __init__(self, about: Callable[[], About], sources: Sources) -> None:
        """`about` is asked each time: a reload changes it, but for the archive."""
        self._about = about
        self._sources = sources
        self._history = History()
        archive = about().settings.archive
        self._spool = SpoolWatch(partial(measured, archive.spool.directory)) if archive else None

    async def kept(self, application: web.Application) -> AsyncIterator[None]:
        """Keeps moments while an application is served."""
        keeping = spawn(self._keep(), "status history")
        yield
        keeping.cancel()

    async def status(self) -> dict[str, Any]:
        """The status now."""
        spool = await self._spool.seen() if self._spool else None
        shown: dict[str, Any] = {}
        for _ in range(LOOKS):
            shown = status(self._about(), self._snapshot(spool))
            if shown["ledger"]["adds_up"]:
                break
        return shown

    async def _keep(self) -> None:
        while True:
            self._history.add(self._moment())
            await asyncio.sleep(STEP)

    def _moment(self) -> Moment:
        return Moment(monotonic(), self._sources.totals(), self._sources.workers().restarts)

    def _snapshot(self, spool: SpoolSeen | None) -> Snapshot:
        now, ask = self._moment(), self._sources
        return Snapshot(
            wall(),
            now,
            self._history.before(now),
            ask.workers(),
            ask.unready(),
            ask.archivers() if self._spool else None,
            spool,
            ask.trouble_kind(now.totals.of(Mark.ARCHIVE_TROUBLE)),
            now.totals.of(Mark.ARCHIVE_TROUBLE_MS) / 1000,
        )
