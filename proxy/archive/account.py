"""What the archiver has done with the spool's uploads, counted once whatever it is killed at.

A segment is counted when its file changes its state for the last time. Between those two a process can die, so what
will be counted is noted before. Must not know stores, or what is in a segment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, Mark
from proxy.spool.folder import Found, State, path_of
from proxy.spool.name import SegmentName

# In the order of Done.
_NOTED = (
    Mark.ARCHIVE_PAYLOADS,
    Mark.ARCHIVE_BYTES,
    Mark.ARCHIVE_DAMAGED,
    Mark.ARCHIVE_SUPPRESSED,
    Mark.ARCHIVE_SUPPRESSED_BYTES,
    Mark.ARCHIVE_IS_OLD,
)


class Done(NamedTuple):
    """What a segment was: payloads that are archived and the bytes of their bodies, payloads that its damage cost,
    payloads that are not to be archived and the bytes of theirs; `is_old`: it was there before this run of the
    gateway."""

    payloads: int
    bytes: int
    damaged: int
    suppressed: int
    suppressed_bytes: int
    is_old: bool


class Account:
    """`ledger` is the archiver's own row. Shared by its threads."""

    def __init__(self, ledger: Ledger, folder: Path, node: str) -> None:
        """`folder` is the spool's and `node` this machine: the segment that an archiver which died was at may be
        counted or not, which is made good here."""
        self._ledger = ledger
        self._lock = Lock()
        self._make_good(folder, node)

    def close(self, found: Found, done: Done, act: Callable[[], object]) -> None:
        """Give a segment's file its last state by `act`, and count what it was. What `act` raises passes, and then
        nothing is counted."""
        with self._lock:
            self._note(found, done)
            try:
                act()
            except BaseException:
                self._ledger.mark(Mark.ARCHIVE_BOOT, 0)
                raise
            self._count(done)

    def _note(self, found: Found, done: Done) -> None:
        mark = self._ledger.mark
        mark(Mark.ARCHIVE_NUMBER, found.name.number)
        for slot, value in zip(_NOTED, done, strict=True):
            mark(slot, value)
        mark(Mark.ARCHIVE_BOOT, int(found.name.boot, 16))  # the last: with it the note is one

    def _count(self, done: Done) -> None:
        ledger = self._ledger
        ledger.mark(Mark.ARCHIVE_BOOT, 0)
        ledger.count(Counter.ARCHIVED, done.payloads)
        ledger.count(Counter.ARCHIVED_BYTES, done.bytes)
        ledger.count(Counter.ARCHIVE_DAMAGED, done.damaged)
        ledger.drop(Drop.SUPPRESSED, done.suppressed, done.suppressed_bytes)
        if done.is_old:
            ledger.count(Counter.ARCHIVE_FOUND, done.payloads + done.damaged + done.suppressed)

    def _make_good(self, folder: Path, node: str) -> None:
        marked = self._ledger.marked
        boot = marked(Mark.ARCHIVE_BOOT)
        if not boot:
            return
        name = SegmentName(node, f"{boot:016x}", marked(Mark.ARCHIVE_NUMBER))
        if path_of(folder, name, State.SEALED).exists():
            self._ledger.mark(Mark.ARCHIVE_BOOT, 0)  # it will be uploaded once more, and counted then
        else:
            payloads, size, damaged, suppressed, suppressed_bytes, is_old = map(marked, _NOTED)
            self._count(Done(payloads, size, damaged, suppressed, suppressed_bytes, bool(is_old)))
