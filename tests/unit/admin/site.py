"""A gateway's counters without its processes: a row to count in, and the status that they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.admin.snapshot import About, Moment, Snapshot, SpoolSeen
from proxy.admin.status import status
from proxy.observe.ledger import Ledger, LedgerMemory, Mark, Totals
from proxy.observe.metrics import Processes
from proxy.runtime.certificates import CertificateFacts
from proxy.settings import Settings
from proxy.settings.source import from_text

NOW = 1_795_000_000.0
MINUTE = 60.0
UPTIME = 3600.0
ARCHIVE = {"directory": "/store", "spool": {"directory": "/spool", "max_bytes": 1 << 30, "min_free_bytes": 100}}
ROOM = SpoolSeen(bytes=200, free_bytes=5000, segments={"open": 1, "sealed": 0, "damaged": 0})


class Site:
    """What is counted with `ledger` before `minute_begins` is of the time before the last minute."""

    def __init__(self, **settings: Any) -> None:
        made = from_text(orjson.dumps(settings).decode(), {})
        assert isinstance(made, Settings), made
        self.settings = made
        self._memory = LedgerMemory.create(1)
        self.ledger = Ledger(self._memory.rows[0], made.upstreams)
        self.ledger.mark(Mark.RUN_BEGAN_MS, int((NOW - UPTIME) * 1000))
        self.workers = Processes(workers=2, ready=2, restarts=0, draining=False)
        self.archivers = Processes(workers=1, ready=1, restarts=0, draining=False) if made.archive else None
        self.spool: SpoolSeen | None = ROOM if made.archive else None
        self.certificates: Mapping[int, CertificateFacts | None] = {}
        self.trouble = ""
        self._before = Moment(0.0, self._memory.totals(), 0)

    def minute_begins(self) -> None:
        self._before = Moment(0.0, self._memory.totals(), self.workers.restarts)

    def status(self) -> dict[str, Any]:
        """The document, as it arrives at a reader."""
        totals: Totals = self._memory.totals()
        now = Moment(MINUTE, totals, self.workers.restarts)
        seen = Snapshot(NOW, now, self._before, self.workers, None, self.archivers, self.spool, self.trouble, NOW - 7)
        about = About(self.settings, self.certificates, "1.2.3", "compiled")
        found: dict[str, Any] = orjson.loads(orjson.dumps(status(about, seen)))
        return found

    def reasons(self) -> dict[str, tuple[str, str]]:
        """What each reason is about: its state and its text."""
        return {each["about"]: (each["state"], each["text"]) for each in self.status()["reasons"]}

    def close(self) -> None:
        self._memory.close()
