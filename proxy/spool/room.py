"""How much a worker may still write into the spool, and what is removed to make room.

Looks at the folder once in a while and shares what is left among those who write, so that together they stay within
the bound without asking each other. Used by one thread. Must not know what is written, nor who is told of a drop.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from proxy.model.drop import Drop
from proxy.spool.folder import State, claim, found_in, remove
from proxy.spool.gaps import Gap
from proxy.spool.segment import SEGMENT_HEAD, Frame, Kind, NotASegment, decode_head, frames

# Once it was full, this part of the bound must be free before it is written to again: else it would be full and not
# full by turns, and each turn is a gap.
_RELIEF: Final = 1 / 20


class Removed(NamedTuple):
    """What was in a segment that was removed: payloads and the bytes of their bodies, between which Unix times (ms)
    they came, and the gaps that it told of."""

    payloads: int
    bytes: int
    first_ms: int
    last_ms: int
    gaps: tuple[Gap, ...]


class Room:
    """`left` in bytes: what this worker may write before the next look. Sizes of sealed segments are remembered:
    they don't change."""

    def __init__(self, folder: Path, max_bytes: int, min_free_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._sealed: dict[Path, tuple[int, int]] = {}  # changed at (ns), size
        self.left = 0
        self._lacks: Drop = Drop.SPOOL_FULL  # what there is less of
        self.is_full = False

    def look(self) -> None:
        """Find out how much is left. Raises OSError."""
        writers, used = self._measure()
        system = os.statvfs(self._folder)
        by_bound = self._max_bytes - used
        by_disk = system.f_bavail * system.f_frsize - self._min_free_bytes
        self._lacks = Drop.SPOOL_FULL if by_bound <= by_disk else Drop.NO_SPACE
        left = max(min(by_bound, by_disk), 0)
        # A disk that is smaller than the bound would never have that part of it free.
        most = min(self._max_bytes, system.f_blocks * system.f_frsize - self._min_free_bytes)
        if self.is_full and left < most * _RELIEF:
            self.left = 0
            return
        self.is_full = False
        self.left = left // max(writers, 1)

    def take(self, size: int) -> Drop | None:
        """Set `size` bytes aside; why not, if there are none."""
        if size <= self.left:
            self.left -= size
            return None
        self.is_full = True
        self.left = 0
        return self._lacks

    def make(self, size: int) -> Iterator[Removed]:
        """Remove the oldest sealed segments, those being uploaded excepted, until `size` bytes can be taken or there
        are no more. Raises OSError."""
        self.is_full = False
        self.look()
        for path in sorted(self._sealed, key=self._sealed.__getitem__):
            if size <= self.left:
                return
            removed = self._remove(path)
            if removed is not None:
                yield removed
                self.look()

    def _measure(self) -> tuple[int, int]:
        """The number of those who write, and the bytes of all files. Forgets sealed segments that are gone."""
        writers = used = 0
        sealed: dict[Path, tuple[int, int]] = {}
        for found in found_in(self._folder):
            known = self._sealed.get(found.path) or _size(found.path)
            if known is None:
                continue  # uploaded, or given its next state, since the folder was read
            used += known[1]
            if found.state is State.SEALED:
                sealed[found.path] = known
            writers += found.state is State.OPEN
        self._sealed = sealed
        return writers, used

    def _remove(self, path: Path) -> Removed | None:
        descriptor = claim(path)
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            try:
                head = decode_head(file.read(SEGMENT_HEAD))
            except NotASegment:
                inside: list[Frame] = []
            else:
                inside = [each for each in frames(file, head.salt) if isinstance(each, Frame)]
            found = next((each for each in found_in(self._folder) if each.path == path), None)
            if found is None:
                return None
            remove(found)
        return _removed(inside)


def _removed(inside: list[Frame]) -> Removed:
    payloads = [each for each in inside if each.kind is Kind.PAYLOAD]
    told = [Gap.read(each.meta) for each in inside if each.kind is Kind.GAP]
    times = [each.time_ms for each in payloads]
    size = sum(each.body_length for each in payloads)
    gaps = tuple(gap for gap in told if gap is not None)
    return Removed(len(payloads), size, min(times, default=0), max(times, default=0), gaps)


def _size(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
