"""The thread that writes what a worker's loop hands over, in order, one after the other.

A disk that is slow or full stops this thread, never the loop. Must not know requests, answers, or segments (see
`rotation`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from threading import Event, Thread
from time import sleep
from typing import Final

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, Mark
from proxy.runtime.clock import monotonic, wall
from proxy.spool.entries import Outcome, Upload
from proxy.spool.gaps import Gap, Gaps
from proxy.spool.rotation import Rotation
from proxy.spool.rules import SpoolRules

# What comes within this time is written in one go: each wake-up costs the loop more than the writing.
GATHER_SECONDS: Final = 0.005
# How often room, age and gaps are looked at.
LOOK_SECONDS: Final = 1.0

_log = logging.getLogger("proxy.spool")


class Writer:
    """`boot` is 16 hex digits, this worker's own. `settled` is called in the thread with uploads that are on the disk
    or never will be, when `sync` is "durable". The queue has no bound of its own: who puts something looks at
    `released_bytes` first."""

    def __init__(self, rules: SpoolRules, boot: str, ledger: Ledger, settled: Callable[[list[Upload]], None]) -> None:
        self._rules = rules
        self._ledger = ledger
        self._settled = settled if rules.sync == "durable" else None
        self._rotation = Rotation(rules, boot, ledger)
        self._queue: deque[Upload | Outcome] = deque()
        self._wake = Event()
        self._in_hand = 0  # entries that were taken out of the queue and may not be written yet
        self._is_asleep = False
        self._is_stopping = False
        self._writing = Thread(target=self._run, name="spool", daemon=True)  # a hung disk must not keep the process
        self._synced_at = 0.0
        self._looked_at = -LOOK_SECONDS
        self.released_bytes = 0  # of what uploads held and don't any longer; only grows, only here

    @property
    def gaps(self) -> Gaps:
        """Where whoever drops something before it comes here says so."""
        return self._rotation.gaps

    # -- the loop's side

    def start(self) -> None:
        """Begin to write."""
        self._writing.start()

    @property
    def is_full(self) -> bool:
        """Whether the spool took nothing more when it was asked last; asked again once in LOOK_SECONDS."""
        return self._rotation.is_full

    def put(self, entry: Upload | Outcome) -> None:
        """Hand over; never waits."""
        self._queue.append(entry)
        if self._is_asleep:
            self._wake.set()

    def stop(self, seconds: float) -> int:
        """Write what is left, seal, end. Blocks for so long at most; returns how much was not written by then."""
        self._is_stopping = True
        self._wake.set()
        self._writing.join(seconds)
        return self._in_hand + len(self._queue)

    # -- the thread

    def _run(self) -> None:
        while not self._is_stopping or self._queue:
            self._sleep()
            try:
                self._turn(monotonic(), int(wall() * 1000))
            except Exception:  # this thread is all there is: it goes on
                _log.exception("the spool's writer met something that it does not know")
        try:
            self._rotation.end(monotonic(), int(wall() * 1000))
        except Exception:
            _log.exception("the spool's writer could not end well; what it wrote is sealed at the next start")

    def _sleep(self) -> None:
        if self._queue or self._is_stopping:
            return
        self._is_asleep = True
        if not self._queue:  # asked again: who put something before the line above woke nobody
            self._wake.wait(self._until_due())
        self._is_asleep = False
        self._wake.clear()
        if self._settled is None and not self._is_stopping:
            sleep(GATHER_SECONDS)

    def _until_due(self) -> float:
        due = self._looked_at + LOOK_SECONDS
        if self._rules.sync == "interval" and not self._rotation.is_idle:
            due = min(due, self._synced_at + self._rules.sync_interval)
        return max(due - monotonic(), 0.0)

    def _turn(self, now: float, now_ms: int) -> None:
        batch = self._write(now)
        if self._settled is not None and batch:
            self._rotation.sync()
            self._settled(batch)
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._rotation.look(now, now_ms)
        if self._rules.sync == "interval" and now - self._synced_at >= self._rules.sync_interval:
            self._synced_at = now
            self._rotation.sync()
        self._rotation.seal_full(now)

    def _write(self, now: float) -> list[Upload]:
        """Write what is in the queue; the uploads among it."""
        entries = [self._queue.popleft() for _ in range(len(self._queue))]
        uploads = [entry for entry in entries if isinstance(entry, Upload)]
        self._in_hand = len(entries)
        settled = 0
        try:
            for upload, dropped in self._rotation.write_all(entries, now):
                self._settle(upload, dropped)
                settled += 1
        except Exception:  # each upload is accounted for, whatever happens to it
            _log.exception("%d uploads could not be written to the spool", len(uploads) - settled)
            for upload in uploads[settled:]:
                self._settle(upload, Drop.DISK_ERROR)
        self._in_hand = 0
        return uploads

    def _settle(self, upload: Upload, dropped: Drop | None) -> None:
        if dropped is None:
            self._ledger.count(Counter.SPOOL_WRITTEN)
            self._ledger.count(Counter.SPOOL_WRITTEN_BYTES, upload.size)
        else:
            self._ledger.drop(dropped, 1, upload.size)
            self.gaps.add(Gap(dropped, 1, upload.size, upload.time_ms, upload.time_ms))
        self._ledger.mark(Mark.SPOOL_SETTLED, upload.sequence)
        upload.body = []
        self.released_bytes += upload.held
