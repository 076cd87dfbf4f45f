"""What was dropped and has no record in the archive yet: sums by reason, from two threads.

Must not know what was dropped, nor where gaps are written.
"""

from __future__ import annotations

from threading import Lock
from typing import Final, NamedTuple

import orjson

from proxy.model.drop import Drop

_MEMBERS: Final = ("reason", "payloads", "bytes", "from", "to")


class Gap(NamedTuple):
    """So many uploads with so many bytes of body, received between two Unix times (ms), are not in the archive."""

    reason: Drop
    payloads: int
    size: int
    first_ms: int
    last_ms: int

    def meta(self) -> bytes:
        """What a GAP frame says."""
        values = (self.reason.value, self.payloads, self.size, self.first_ms, self.last_ms)
        return orjson.dumps(dict(zip(_MEMBERS, values, strict=True)))

    @classmethod
    def read(cls, meta: bytes) -> Gap | None:
        """What a GAP frame said; None if another version wrote something else."""
        try:
            said = orjson.loads(meta)
            reason, *numbers = (said[name] for name in _MEMBERS)
            return cls(Drop(reason), *map(int, numbers))
        except (ValueError, TypeError, KeyError):
            return None


class Gaps:
    """Bounded by the number of reasons."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: dict[Drop, Gap] = {}

    def add(self, gap: Gap) -> None:
        """Add to what was dropped for the same reason."""
        with self._lock:
            earlier = self._sums.get(gap.reason)
            self._sums[gap.reason] = gap if earlier is None else _both(earlier, gap)

    def take(self) -> list[Gap]:
        """All sums; none are left."""
        with self._lock:
            taken, self._sums = list(self._sums.values()), {}
        return taken

    def __bool__(self) -> bool:
        return bool(self._sums)


def _both(one: Gap, other: Gap) -> Gap:
    first, last = min(one.first_ms, other.first_ms), max(one.last_ms, other.last_ms)
    return Gap(one.reason, one.payloads + other.payloads, one.size + other.size, first, last)
