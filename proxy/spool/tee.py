"""Where a copy of each upload leaves the loop: its bytes are held until it is whole, then handed to the writer.

Nothing here waits. What does not fit into the queue is dropped, counted, and a gap in the archive; the upload itself
goes on to the vendor. Used by the loop's thread alone. Must not know how uploads are carried or written.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from proxy.model.drop import Drop
from proxy.model.record import Record
from proxy.observe.ledger import Counter, Gauge, Ledger
from proxy.runtime.clock import monotonic, wall
from proxy.spool.entries import Outcome, Upload
from proxy.spool.gaps import Gap
from proxy.spool.rules import SpoolRules
from proxy.spool.writer import Writer

# What an upload and its outcome count for in the queue beside their bytes: the objects that hold them.
_OVERHEAD: Final = 1024

_log = logging.getLogger("proxy.spool")


class Tee:
    """One per worker, while it archives."""

    def __init__(self, rules: SpoolRules, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._rules = rules
        self._ledger = ledger
        self._loop = loop
        self._writer = Writer(rules, boot_id(), ledger, self._on_settled)
        self._sequence = 0
        self._held = 0  # bytes that were ever held and not given back here; the writer counts those that it let go of
        self._waiting: dict[Upload, float] = {}  # answers that are kept back, and since when
        self.is_durable = rules.sync == "durable"

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    @property
    def held_bytes(self) -> int:
        """What the queue and the uploads that are not whole yet hold."""
        return self._held - self._writer.released_bytes

    # -- an upload's way

    def hold(self, upload: Upload, piece: bytes) -> None:
        """Keep a piece of a body, its transfer coding taken off."""
        upload.size += len(piece)
        if upload.is_dropped:
            return
        if self.held_bytes + len(piece) > self._rules.queue_bytes:
            self._let_go(upload)
            return
        self._held += len(piece)
        upload.held += len(piece)
        upload.body.append(piece)

    def whole(self, upload: Upload, meta: bytes) -> None:
        """All of the body was held: hand it over. From here on it is accounted for."""
        ledger = self._ledger
        ledger.count(Counter.SPOOL_OFFERED)
        ledger.count(Counter.SPOOL_OFFERED_BYTES, upload.size)
        upload.time_ms = int(wall() * 1000)
        more = len(meta) + _OVERHEAD
        if not upload.is_dropped and self.held_bytes + more > self._rules.queue_bytes:
            self._let_go(upload)
        if upload.is_dropped:
            ledger.drop(Drop.QUEUE_FULL, 1, upload.size)
            self._writer.gaps.add(Gap(Drop.QUEUE_FULL, 1, upload.size, upload.time_ms, upload.time_ms))
            return
        self._held += more
        upload.held += more
        self._sequence += 1
        upload.sequence = self._sequence
        upload.meta = meta
        self._writer.put(upload)

    def abandon(self, upload: Upload) -> None:
        """The rest of the body will not come: nothing of it is archived."""
        if not upload.sequence:
            self._let_go(upload)

    def follow(self, upload: Upload, record: Record) -> None:
        """The exchange that an upload belongs to is over."""
        if upload.sequence:
            self._writer.put(Outcome(upload, int(wall() * 1000), outcome_meta(record)))

    def _let_go(self, upload: Upload) -> None:
        self._held -= upload.held
        upload.held = 0
        upload.body = []
        upload.is_dropped = True

    # -- answers that wait for the disk

    def must_wait(self, upload: Upload, waiter: Callable[[], None]) -> bool:
        """Whether the upload's answer has to be kept back; then `waiter` is called when it need not any longer."""
        if not self.is_durable or upload.is_safe or not upload.sequence:
            return False
        upload.waiter = waiter
        self._waiting[upload] = monotonic()
        return True

    def _on_settled(self, uploads: list[Upload]) -> None:
        self._loop.call_soon_threadsafe(self._release, uploads)  # the one call here from another thread

    def _release(self, uploads: list[Upload]) -> None:
        for upload in uploads:
            upload.is_safe = True
            self._waiting.pop(upload, None)
            waiter, upload.waiter = upload.waiter, None
            if waiter is None:
                continue
            try:
                waiter()
            except Exception:  # one of many; there may be no memory for its answer
                _log.exception("an answer that was kept back could not be sent")

    def tick(self, now: float) -> None:
        """Once a second: a disk that does not answer keeps no client waiting for ever."""
        late = [upload for upload, since in self._waiting.items() if now - since >= self._rules.answer_wait]
        if late:
            self._ledger.count(Counter.SPOOL_ANSWERS_LATE, len(late))
            self._release(late)
        self._ledger.gauge(Gauge.SPOOL_QUEUE_BYTES, self.held_bytes)
        self._ledger.gauge(Gauge.SPOOL_FULL, int(self._writer.is_full))

    # -- the end

    async def close(self, seconds: float) -> int:
        """Write what is left and seal, for so long at most; how many entries were not written."""
        left = await asyncio.to_thread(self._writer.stop, seconds)
        self.tick(monotonic())
        return left


def outcome_meta(record: Record) -> bytes:
    """What an OUTCOME frame says: the status that the client was sent and the vendor's (0: none), the code with which
    the vendor threw the data away, how it ended, and how long it took in ms."""
    skip = b"%d" % record.skipped_code if record.skipped_code else b"null"
    how = record.outcome.value.encode() if record.outcome is not None else b"failed"
    duration = int((record.ended - record.began) * 1000)
    values = (record.status, record.upstream_status, skip, how, duration)
    return b'{"status":%d,"upstream":%d,"skip":%b,"outcome":"%b","ms":%d}' % values


def boot_id() -> str:
    """16 hex digits that no other worker has had, on this machine or another; below 2**63, for the ledger's sake."""
    return f"{int.from_bytes(os.urandom(8)) >> 1:016x}"
