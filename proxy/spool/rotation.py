"""Segments one after the other: which is written to, when it is full, and what happens when the disk fails.

Whatever can't be written is counted and becomes a gap in the archive; nothing here raises for the disk's sake. Used by
one thread, which is the writer's. Must not know where uploads come from, or what becomes of sealed segments.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Sequence
from typing import Final

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger
from proxy.spool.direct import DirectWriter
from proxy.spool.entries import Outcome, Upload
from proxy.spool.folder import adopt_orphans, prepare
from proxy.spool.gaps import Gap, Gaps
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import MOST_PIECES, NewFrame, OpenSegment
from proxy.spool.recovery import settle, take_over
from proxy.spool.room import Room
from proxy.spool.rules import SpoolRules
from proxy.spool.segment import FRAME_HEAD, Kind

# After the disk refused something it is asked again so much later.
RETRY_SECONDS: Final = 1.0
# A full segment waits so long for the outcomes of its uploads; those that come later are not recorded.
OUTCOME_SECONDS: Final = 30.0
_HOUR_MS: Final = 3_600_000
_NO_SPACE: Final = frozenset((errno.ENOSPC, errno.EDQUOT))

_log = logging.getLogger("proxy.spool")


class Rotation:
    """`now` is monotonic seconds, `now_ms` Unix time in ms. `boot` is 16 hex digits, this worker's own."""

    def __init__(self, rules: SpoolRules, boot: str, ledger: Ledger) -> None:
        self._rules = rules
        self._boot = boot
        self._ledger = ledger
        self._room = Room(rules.folder, rules.max_bytes, rules.min_free_bytes)
        self._before = take_over(ledger, boot)
        self._is_prepared = False
        self._direct = DirectWriter()
        self._number = 0
        self._current: OpenSegment | None = None
        self._opened_at = 0.0
        self._full: list[tuple[float, OpenSegment]] = []  # and until when their outcomes are waited for
        self._retry_at = 0.0
        self._why_not = Drop.DISK_ERROR  # what is said of uploads until then
        self.gaps = Gaps()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that would have to be on the disk soon."""
        return self._current is None and not self._full

    # -- writing

    def write_all(self, entries: Sequence[Upload | Outcome], now: float) -> Iterator[tuple[Upload, Drop | None]]:
        """Append what there is, in order; each upload as soon as that is done, and why it was dropped if it was."""
        at = 0
        while at < len(entries):
            end = self._alike(entries, at)
            together = end - at > 1 and self._write_together(entries[at:end])
            for entry in entries[at : max(end, at + 1)]:
                if isinstance(entry, Upload):
                    yield entry, None if together else self.write(entry, now)
                elif not together:
                    self.follow(entry, now)
            at = max(end, at + 1)

    def _alike(self, entries: Sequence[Upload | Outcome], at: int) -> int:
        """The end of those from `at` on that the current segment takes as a matter of course."""
        segment, left = self._current, self._room.left
        if segment is None:
            return at
        size, pieces = segment.size, 0
        begun: set[Upload] = set()
        for end in range(at, len(entries)):
            entry = entries[end]
            length = FRAME_HEAD + len(entry.meta)
            if isinstance(entry, Upload):
                length += entry.size
                left -= length
                pieces += len(entry.body)
                if size >= self._rules.rotate_bytes or _is_over(segment, entry.time_ms) or left < 0:
                    return end
                begun.add(entry)
            elif entry.upload.segment is not segment and entry.upload not in begun:
                return end
            size += length
            pieces += 1
            if pieces > MOST_PIECES:
                return end
        return len(entries)

    def _write_together(self, entries: Sequence[Upload | Outcome]) -> bool:
        """Append entries in one go: each write costs two changes of the thread that runs, which are dearer than what
        is written. False if it could not be done; then none is."""
        segment = self._current
        assert segment is not None
        try:
            segment.append_all([_frame(entry) for entry in entries])
        except (OSError, ValueError):
            self._leave_suspect()
            return False
        for entry in entries:
            if isinstance(entry, Upload):
                self._room.take(FRAME_HEAD + len(entry.meta) + entry.size)
                segment.outcomes_due += 1
                entry.segment = segment
            else:
                segment.outcomes_due -= 1
                entry.upload.segment = None
        return True

    def write(self, upload: Upload, now: float) -> Drop | None:
        """Append an upload; why it was dropped if it was."""
        try:
            segment = self._segment_for(upload, now)
            lacks = self._why_not if segment is None else self._make_room(upload)
            if segment is None or lacks is not None:
                return lacks
            segment.append(Kind.PAYLOAD, upload.sequence, upload.time_ms, upload.meta, upload.body)
        except OSError as error:
            return self._disk_failed("write to", error, now)
        except ValueError as error:
            _log.error("upload %d is not archived: %s", upload.sequence, error)
            return Drop.DISK_ERROR
        segment.outcomes_due += 1
        upload.segment = segment
        return None

    def follow(self, outcome: Outcome, now: float) -> None:
        """Append what became of an upload, if that was written."""
        segment, upload = outcome.upload.segment, outcome.upload
        if segment is None:
            return
        upload.segment = None
        segment.outcomes_due -= 1
        if not segment.is_open or segment.is_suspect:
            self._ledger.count(Counter.SPOOL_OUTCOMES_LOST)
            return
        try:
            segment.append(Kind.OUTCOME, upload.sequence, outcome.time_ms, outcome.meta)
        except OSError as error:
            self._ledger.count(Counter.SPOOL_OUTCOMES_LOST)
            self._disk_failed("write to", error, now)

    def _make_room(self, upload: Upload) -> Drop | None:
        size = FRAME_HEAD + len(upload.meta) + upload.size
        lacks = self._room.take(size)
        if lacks is None or not self._rules.drop_oldest:
            return lacks
        for removed in self._room.make(size):
            self._ledger.drop(Drop.OLDEST, removed.payloads, removed.bytes)
            self.gaps.add(Gap(Drop.OLDEST, removed.payloads, removed.bytes, removed.first_ms, removed.last_ms))
            for gap in removed.gaps:
                self.gaps.add(gap)
        return self._room.take(size)

    # -- segments

    def _segment_for(self, upload: Upload, now: float) -> OpenSegment | None:
        """The segment for the next upload; None while the disk is left alone."""
        current = self._current
        if current is not None and (current.size >= self._rules.rotate_bytes or _is_over(current, upload.time_ms)):
            self._rotate(now)
        if self._current is None and now >= self._retry_at:
            return self._open(upload.time_ms, now)
        return self._current

    def _open(self, time_ms: int, now: float) -> OpenSegment:
        self._prepare(time_ms)
        name = SegmentName(self._rules.node, self._boot, self._number)
        self._number += 1  # a number is used once, whatever becomes of the file
        self._current = segment = OpenSegment(self._rules.folder, name, time_ms, self._direct)
        self._opened_at = now
        self._room.look()
        self._ledger.count(Counter.SPOOL_SEGMENTS)
        return segment

    def _prepare(self, now_ms: int) -> None:
        """Have the folder, and put away what workers that died have left in it."""
        if self._is_prepared:
            return
        prepare(self._rules.folder)
        lost = settle(self._rules.folder, self._before, self._ledger, now_ms)
        self._is_prepared = True
        if lost is not None:
            self.gaps.add(lost)
        for path in adopt_orphans(self._rules.folder, now_ms / 1000):
            _log.info("sealed %s, which a process that died had left open", path.name)

    def _rotate(self, now: float) -> None:
        if self._current is not None:
            self._write_gaps(self._current, now)
        if self._current is not None:  # unless the disk failed it just now
            self._full.append((now + OUTCOME_SECONDS, self._current))
            self._current = None

    @property
    def is_full(self) -> bool:
        """Whether there is no room for more."""
        return self._room.is_full

    def seal_full(self, now: float) -> None:
        """Seal what is full and has all its outcomes, or has waited for them long enough."""
        for until, segment in list(self._full):
            if now >= until or not segment.outcomes_due or segment.is_suspect:
                self._full.remove((until, segment))
                self._seal(segment)

    def _seal(self, segment: OpenSegment) -> None:
        try:
            if self._rules.sync != "none":
                segment.sync()
        except OSError as error:
            self._sync_failed(segment, error)
        try:
            segment.seal()
        except OSError as error:
            _log.error("%s could not be sealed: %s; the archiver will", segment.name, error.strerror)

    # -- looking after it

    def look(self, now: float, now_ms: int) -> None:
        """What is due once a second: a segment's age, how much room there is, gaps."""
        is_old = now - self._opened_at >= self._rules.rotate_seconds
        if self._current is not None and (is_old or _is_over(self._current, now_ms)):
            self._rotate(now)
        try:
            self._prepare(now_ms)
            self._room.look()
            # While it is full they wait: one every second would fill it further.
            if self.gaps and not self._room.is_full:
                self._write_gaps(self._current or self._open(now_ms, now), now)
        except OSError as error:
            self._disk_failed("use", error, now)

    def _write_gaps(self, segment: OpenSegment, now: float) -> None:
        for gap in self.gaps.take():
            try:
                segment.append(Kind.GAP, 0, gap.last_ms, gap.meta())
            except OSError as error:
                self.gaps.add(gap)
                self._disk_failed("write to", error, now)

    def sync(self) -> None:
        """Have everything on the disk."""
        for segment in (self._current, *(each for _, each in self._full)):
            if segment is not None and not segment.is_suspect:
                try:
                    segment.sync()
                except OSError as error:
                    self._sync_failed(segment, error)
        self._leave_suspect()

    def _sync_failed(self, segment: OpenSegment, error: OSError) -> None:
        self._ledger.count(Counter.SPOOL_SYNC_FAILURES)
        _log.error("%s may not be whole on the disk: %s; it is sealed as it is", segment.name, error.strerror)

    def _disk_failed(self, what: str, error: OSError, now: float) -> Drop:
        """Why what was to be written is dropped."""
        self._retry_at = now + RETRY_SECONDS
        self._why_not = Drop.NO_SPACE if error.errno in _NO_SPACE else Drop.DISK_ERROR
        _log.error("can't %s the spool %s: %s", what, self._rules.folder, error.strerror)
        self._leave_suspect()
        return self._why_not

    def _leave_suspect(self) -> None:
        """A segment that the disk failed gets nothing more."""
        if self._current is not None and self._current.is_suspect:
            self._full.append((0.0, self._current))
            self._current = None

    # -- the end

    def end(self, now: float, now_ms: int) -> None:
        """Write what gaps there are, seal everything."""
        self.look(now, now_ms)
        if self.gaps and self._current is None:
            try:
                self._open(now_ms, now)
            except OSError as error:
                self._disk_failed("use", error, now)
        self._rotate(now)
        self.seal_full(float("inf"))


def _frame(entry: Upload | Outcome) -> NewFrame:
    if isinstance(entry, Upload):
        return NewFrame(Kind.PAYLOAD, entry.sequence, entry.time_ms, entry.meta, entry.body)
    return NewFrame(Kind.OUTCOME, entry.upload.sequence, entry.time_ms, entry.meta)


def _is_over(segment: OpenSegment, now_ms: int) -> bool:
    """Whether its hour is: objects are found by the hour (UTC) in which everything in them was received."""
    return now_ms // _HOUR_MS != segment.opened_ms // _HOUR_MS
