"""What the status is worked out from: the counters now and a minute ago, and what the supervisor knows of processes.

Values only. Must not know how they are come by, or how they are shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from proxy.observe.ledger import EDGES, Counter, Histogram, Totals
from proxy.observe.metrics import Processes
from proxy.runtime.certificates import CertificateFacts
from proxy.settings import Settings

WINDOW: Final = 60.0  # seconds; "recent" is what happened in so many

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class About:
    """What only a reload changes. `certificates` are by the listener's index in the settings; None:
    it can't be told. `build` says whether the data path is compiled."""

    settings: Settings
    certificates: Mapping[int, CertificateFacts | None]
    version: str
    build: str


@dataclass(frozen=True, slots=True)
class Moment:
    """All counters at one time; `at` is monotonic."""

    at: float
    totals: Totals
    restarts: int  # of workers


class History:
    """The moments of the last minute, and the one before them."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque()

    def add(self, moment: Moment) -> None:
        """Keep a moment, which is later than the others."""
        moments = self._moments
        moments.append(moment)
        while len(moments) > 1 and moments[1].at <= moment.at - WINDOW:
            moments.popleft()

    def before(self, moment: Moment) -> Moment:
        """The moment to compare with: a minute ago, or the first one there is."""
        return self._moments[0] if self._moments else moment


@dataclass(frozen=True, slots=True)
class SpoolSeen:
    """What lies on the disk. `segments` are by state; `why_not` says why nothing is known."""

    bytes: int = 0
    free_bytes: int = 0
    segments: Mapping[str, int] | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one time. `wall` is Unix time. Without an archive, `archivers` and `spool` are None; `trouble` is
    the kind of the store's last error, empty when there was none, and `trouble_at` its Unix time."""

    wall: float
    now: Moment
    earlier: Moment
    workers: Processes
    unready: str | None = None
    archivers: Processes | None = None
    spool: SpoolSeen | None = None
    trouble: str = ""
    trouble_at: float = 0.0

    @property
    def seconds(self) -> float:
        """How long ago the earlier moment was."""
        return self.now.at - self.earlier.at

    def total(self, slot: Counter) -> int:
        """One counter since the start."""
        return self.now.totals.of(slot)

    def recent(self, slot: Counter) -> int:
        """One counter in the last minute."""
        return self.now.totals.of(slot) - self.earlier.totals.of(slot)

    def recently(self, read: Callable[[Totals], Mapping[Key, int]]) -> dict[Key, int]:
        """The same for several that are read together."""
        before = read(self.earlier.totals)
        return {key: count - before.get(key, 0) for key, count in read(self.now.totals).items()}

    def quantiles(self, read: Callable[[Totals], Histogram]) -> dict[str, float | None]:
        """What 50, 90 and 99 % of the observations of the last minute do not exceed."""
        now, before = read(self.now.totals).buckets, read(self.earlier.totals).buckets
        buckets = [count - less for count, less in zip(now, before, strict=True)]
        return {f"p{percent}": quantile(buckets, percent / 100) for percent in (50, 90, 99)}


def quantile(buckets: Sequence[int], part: float, edges: Sequence[float] = EDGES) -> float | None:
    """The value that `part` of the observations do not exceed, as Prometheus estimates it: evenly spread in a bucket.
    None without observations; the last bound stands for everything beyond it."""
    rank, below = part * sum(buckets), 0
    for index, count in enumerate(buckets):
        if count and below + count >= rank:
            if index == len(edges):
                return edges[-1]
            low = edges[index - 1] if index else 0.0
            return low + (edges[index] - low) * (rank - below) / count
        below += count
    return None
