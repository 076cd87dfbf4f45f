"""Counters in memory that the supervisor and its workers share.

Each worker has a row of 64-bit integers and is the only one to write to it, with plain additions; the supervisor
reads. The memory outlives a worker: its successor goes on in the same row, so no counter goes backwards and nothing
is lost when a process is killed. A reader may see a request half counted; the next look sees it whole. Integers are
signed, so that times in the wrong order spoil a sum instead of raising in the middle of a request.
Must not know names or labels of metrics (`observe.metrics`).
"""

from __future__ import annotations

import mmap
import os
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from itertools import product
from typing import Final

from proxy.model.cut import Cut
from proxy.model.drop import Drop
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome, Record
from proxy.model.verdict import Reason, Route


class Counter(IntEnum):
    """Things counted that are not requests. The value is the slot in a row."""

    CONNECTIONS_ACCEPTED = 0
    CONNECTIONS_REFUSED = auto()
    TLS_HANDSHAKES_BEGUN = auto()
    TLS_HANDSHAKES_COMPLETED = auto()
    TLS_HANDSHAKES_FAILED = auto()
    TLS_HANDSHAKES_TIMED_OUT = auto()
    UNKNOWN_CORS_HEADERS = auto()
    UPSTREAM_CONNECTS = auto()
    UPSTREAM_UNSOLICITED = auto()
    BREAKER_OPENED = auto()
    PREFLIGHTS_REFUSED = auto()
    CONFIG_COALESCED = auto()
    CONFIG_STORED = auto()
    LOG_LINES_DROPPED = auto()
    WORKER_STARTS = auto()
    TOKENS_ADVISED = auto()
    FOREIGN_SERVED = auto()
    # Of uploads for the archive: by the loop, by its writer's thread, by the archiver. No two add to the same one.
    SPOOL_OFFERED = auto()
    SPOOL_OFFERED_BYTES = auto()
    SPOOL_WRITTEN = auto()
    SPOOL_WRITTEN_BYTES = auto()
    SPOOL_SEGMENTS = auto()
    SPOOL_SYNC_FAILURES = auto()
    SPOOL_OUTCOMES_LOST = auto()
    SPOOL_ANSWERS_LATE = auto()
    ARCHIVED = auto()
    ARCHIVED_BYTES = auto()
    ARCHIVE_FOUND = auto()
    ARCHIVE_DAMAGED = auto()
    ARCHIVE_DAMAGED_SEGMENTS = auto()
    ARCHIVE_OBJECTS = auto()
    ARCHIVE_OBJECT_BYTES = auto()
    ARCHIVE_UPLOAD_FAILURES = auto()


class Gauge(IntEnum):
    """Things that are so many now. The value is the slot in a row."""

    CONNECTIONS = len(Counter)
    EXCHANGES = auto()
    INFLIGHT_BYTES = auto()
    UPSTREAM_CONNECTIONS = auto()
    UPSTREAM_IDLE = auto()
    BREAKERS_OPEN = auto()
    SPOOL_QUEUE_BYTES = auto()
    SPOOL_SEALED_SEGMENTS = auto()
    SPOOL_OLDEST_SECONDS = auto()
    SPOOL_FULL = auto()


class Mark(IntEnum):
    """What a process notes for its successor in the row. The value is the slot."""

    SPOOL_BOOT = len(Counter) + len(Gauge)  # which worker it was
    SPOOL_SETTLED = auto()  # sequence of the upload that was written or dropped last
    ARCHIVE_BOOT = auto()  # of the segment that is being closed; 0: none is
    ARCHIVE_NUMBER = auto()  # its number, and what will be counted for it
    ARCHIVE_PAYLOADS = auto()
    ARCHIVE_BYTES = auto()
    ARCHIVE_DAMAGED = auto()
    ARCHIVE_IS_OLD = auto()
    ARCHIVE_SUPPRESSED = auto()
    ARCHIVE_SUPPRESSED_BYTES = auto()
    RUN_BEGAN_MS = auto()  # Unix time; noted by the supervisor
    ARCHIVE_LAST_MS = auto()  # when an object was stored last, Unix time
    CONFIG_LIVE_MS = auto()  # when the vendor gave a good configuration last, Unix time
    ARCHIVE_TROUBLE = auto()  # what the store's last error was, see `archive.trouble_marks`
    ARCHIVE_TROUBLE_MS = auto()  # when that was, Unix time


# Upper bounds of the duration histograms, in seconds. Beside the usual decades: .7 and 1 (the SDK's patience with
# /config), 9 and 10 (its patience with an upload).
EDGES: Final[tuple[float, ...]] = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(0.7, 1.0, 2.5, 5.0, 9.0, 10.0, 30.0),
)
# Upper bounds of the size histogram, in bytes: what the SDK sends is between the second and the last but one.
SIZES: Final[tuple[int, ...]] = tuple(1024 << 2 * step for step in range(9))  # 1 KiB, 4 KiB … 64 MiB
# Why a connection to an upstream could not be made; whatever else it is, is the last.
CONNECT_KINDS: Final[tuple[FailureKind, ...]] = (
    *(FailureKind.RESOLVE, FailureKind.CONNECT_REFUSED, FailureKind.CONNECT_TIMEOUT, FailureKind.CONNECT_ERROR),
    *(FailureKind.NO_RESOURCES, FailureKind.TLS, FailureKind.UPSTREAM_CLOSED, FailureKind.INTERNAL),
)
# Regions that are counted for themselves, in the order of the configuration; those behind share the last place.
MOST_REGIONS: Final = 16
ROUTES = (*Route, None)  # None: refused before a route was known
STATUSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # of the answer sent to the client
METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS", "other")  # other: none that is served, or none that could be read
SKIPPED = (429, 4004, 4005, 0)  # what the vendor says in X-Session-Replay-Event-Skipped; 0: any other code

# One slot for every combination, so that four questions about a request cost one addition. The reader sums up.
_RETRIED: Final = 2
_REUSED: Final = _RETRIED * 2
_STATUS: Final = _REUSED * len(STATUSES)
_WAYS: Final = _STATUS * len(Outcome)  # the slots of one route

_BUCKETS: Final = len(EDGES) + 1
_MICROSECONDS: Final = _BUCKETS  # the slot of the sum behind the buckets
_HISTOGRAM: Final = _BUCKETS + 1
# A route's block: ways, then received and sent bytes, then the histograms of the request, of its upstream part and of
# its body's size, then for each method the answers by status.
_RECEIVED: Final = _WAYS
_SENT: Final = _RECEIVED + 1
_DURATION: Final = _SENT + 1
_UPSTREAM: Final = _DURATION + _HISTOGRAM
_SIZE: Final = _UPSTREAM + _HISTOGRAM
_METHODS: Final = _SIZE + len(SIZES) + 1
_ROUTE: Final = _METHODS + len(METHODS) * len(STATUSES)
# A region's block: for each route the answers of its upstream by status, then whether its breaker is open.
_ANSWERS: Final = len(STATUSES)
_BREAKER: Final = _ANSWERS * len(Route)
_REGION: Final = _BREAKER + len(Route)

# The row: counters, gauges, marks, drops (uploads, bytes), reasons, failures, skip codes, failures to connect, cuts,
# the histogram of the loop's lag, a block for each route, a block for each region.
_DROPS: Final = len(Counter) + len(Gauge) + len(Mark)
_REASONS: Final = _DROPS + 2 * len(Drop)
_FAILURES: Final = _REASONS + len(Reason)
_SKIPPED: Final = _FAILURES + len(FailureKind)
_CONNECTS: Final = _SKIPPED + len(SKIPPED)
_CUTS: Final = _CONNECTS + len(CONNECT_KINDS)
_LAG: Final = _CUTS + len(Cut)
_ROUTES: Final = _LAG + _HISTOGRAM
_REGIONS: Final = _ROUTES + _ROUTE * len(ROUTES)
_USED: Final = _REGIONS + _REGION * MOST_REGIONS
SLOTS: Final = (
    -(-_USED // 8) * 8
)  # rows begin on cache lines of their own (64 bytes), or two workers would fight for one
ROW_BYTES: Final = SLOTS * 8


def _by_value(members: type[Enum], first: int, step: int = 1) -> dict[str, int]:
    # Keyed by value: hashing an enum member calls Python code, reading its `_value_` does not.
    return {member.value: first + index * step for index, member in enumerate(members)}


_OUTCOME_AT: Final = _by_value(Outcome, 0, _STATUS)
_PREFLIGHTS_REFUSED: Final = int(Counter.PREFLIGHTS_REFUSED)
_UNKNOWN_OUTCOME: Final = _OUTCOME_AT[Outcome.FAILED.value]  # a record without one is an error of ours
# Dropped after they were written to the spool; the others never were.
_FROM_SPOOL: Final = (Drop.OLDEST, Drop.SUPPRESSED)
_DROP_AT: Final = _by_value(Drop, _DROPS, 2)
_REASON_AT: Final = _by_value(Reason, _REASONS)
_FAILURE_AT: Final = _by_value(FailureKind, _FAILURES)
_CUT_AT: Final = _by_value(Cut, _CUTS)
_CONNECT_AT: Final = {kind.value: _CONNECTS + index for index, kind in enumerate(CONNECT_KINDS)}
_OTHER_CONNECT_AT: Final = _CONNECTS + len(CONNECT_KINDS) - 1
_ANSWERS_AT: Final = _by_value(Route, 0, _ANSWERS)
_BREAKER_AT: Final = _by_value(Route, _BREAKER)
_ROUTE_AT: Final = _by_value(Route, _ROUTES, _ROUTE)
_NO_ROUTE_AT: Final = _ROUTES + _ROUTE * ROUTES.index(None)
_METHOD_AT: Final = {name.encode(): _METHODS + index * len(STATUSES) for index, name in enumerate(METHODS[:-1])}
_OTHER_METHOD_AT: Final = _METHODS + (len(METHODS) - 1) * len(STATUSES)
_POST_AT: Final = _METHOD_AT[b"POST"]
_SKIPPED_AT: Final = {code: _SKIPPED + index for index, code in enumerate(SKIPPED)}


class Ledger:
    """The writing end of one row: what a worker counts with. Starts by setting the gauges to zero, because what
    they counted died with the worker before. `regions` are the names of the configuration."""

    __slots__ = ("_region_at", "_row", "_values")

    def __init__(self, row: memoryview, regions: Iterable[str] = ()) -> None:
        self._row = row
        self._region_at = {name: _region_at(index) for index, name in enumerate(sorted(regions))}
        # The same as the row, which only this object writes to: reading from a list is cheaper.
        self._values: list[int] = row.tolist()
        for slot in Gauge:
            self.gauge(slot, 0)
        for first in range(_REGIONS, _USED, _REGION):
            for breaker in range(first + _BREAKER, first + _REGION):
                self._set(breaker, 0)

    def count(self, slot: Counter, n: int = 1) -> None:
        """Add to a counter."""
        self._add(slot, n)

    def gauge(self, slot: Gauge, value: int) -> None:
        """Set a gauge."""
        self._set(slot, value)

    def mark(self, slot: Mark, value: int) -> None:
        """Note a value."""
        self._set(slot, value)

    def breaker(self, region: str, route: Route, is_open: bool) -> None:
        """Set whether the breaker of a region's upstream is open."""
        at = self._region_at.get(region)
        if at is not None:
            self._set(at + _BREAKER_AT[route._value_], int(is_open))

    def connect_failed(self, kind: FailureKind) -> None:
        """Count a connection to an upstream that could not be made."""
        self._add(_CONNECT_AT.get(kind._value_, _OTHER_CONNECT_AT), 1)

    def cut(self, why: Cut) -> None:
        """Count a client's connection that was ended before its time."""
        self._add(_CUT_AT[why._value_], 1)

    def lag(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._observe(_LAG, seconds)

    def marked(self, slot: Mark) -> int:
        """What was noted last, in this process or by the one before it."""
        return self._values[slot]

    def drop(self, reason: Drop, payloads: int, size: int) -> None:
        """Count uploads that are not archived, and the bytes of their bodies."""
        slot = _DROP_AT[reason._value_]
        self._add(slot, payloads)
        self._add(slot + 1, size)

    def unsettled(self) -> tuple[int, int]:
        """Uploads, and bytes of their bodies, that were offered to the spool and neither written nor dropped."""
        values = self._values
        refused = [slot for reason, slot in _DROP_AT.items() if Drop(reason) not in _FROM_SPOOL]
        payloads = values[Counter.SPOOL_OFFERED] - values[Counter.SPOOL_WRITTEN]
        size = values[Counter.SPOOL_OFFERED_BYTES] - values[Counter.SPOOL_WRITTEN_BYTES]
        return payloads - sum(values[slot] for slot in refused), size - sum(values[slot + 1] for slot in refused)

    def record(self, record: Record) -> None:
        """Count a finished request in every respect."""
        route = record.route
        block = _NO_ROUTE_AT if route is None else _ROUTE_AT[route._value_]
        outcome = record.outcome
        way = _UNKNOWN_OUTCOME if outcome is None else _OUTCOME_AT[outcome._value_]
        status = record.status // 100
        way += status * _REUSED
        if record.reused:
            way += _RETRIED
        if record.retried:
            way += 1
        self._add(block + way, 1)
        # Nearly all are uploads: to compare is a third of looking it up.
        method = _POST_AT if record.method == b"POST" else _METHOD_AT.get(record.method, _OTHER_METHOD_AT)
        self._add(block + method + status, 1)
        if record.received_bytes:
            self._add(block + _RECEIVED, record.received_bytes)
        self._add(block + _SIZE + bisect_left(SIZES, record.received_bytes), 1)
        if record.sent_bytes:
            self._add(block + _SENT, record.sent_bytes)
        self._observe(block + _DURATION, record.ended - record.began)
        if record.upstream_began:
            self._observe(block + _UPSTREAM, record.ended - record.upstream_began)
        if record.upstream_status and route is not None:
            at = self._region_at.get(record.region)
            if at is not None:
                self._add(at + _ANSWERS_AT[route._value_] + record.upstream_status // 100, 1)
        if record.reason is not None:
            self._add(_REASON_AT[record.reason._value_], 1)
            if record.method == b"OPTIONS":
                self._add(_PREFLIGHTS_REFUSED, 1)
        if record.failure is not None:
            self._add(_FAILURE_AT[record.failure._value_], 1)
        if record.skipped_code:
            self._add(_SKIPPED_AT.get(record.skipped_code, _SKIPPED_AT[0]), 1)

    def _observe(self, histogram: int, seconds: float) -> None:
        self._add(histogram + bisect_left(EDGES, seconds), 1)
        self._add(histogram + _MICROSECONDS, int(seconds * 1e6))

    def _set(self, slot: int, value: int) -> None:
        self._values[slot] = value
        self._row[slot] = value

    def _add(self, slot: int, n: int) -> None:
        value = self._values[slot] + n
        self._values[slot] = value
        self._row[slot] = value


def places_of(regions: Iterable[str]) -> tuple[str, ...]:
    """What each place of a row is for: the regions by their names, since a reload may change the order of the
    configuration. Those beyond the places are one, "other"."""
    names = tuple(sorted(regions))
    return names if len(names) <= MOST_REGIONS else (*names[: MOST_REGIONS - 1], "other")


def _region_at(index: int) -> int:
    return _REGIONS + _REGION * min(index, MOST_REGIONS - 1)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations per bucket (one more than there are bounds: EDGES or SIZES), and their sum in seconds or bytes."""

    buckets: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class RouteTotals:
    """What was counted on one route. `ways` is how many requests ended in one way:
    (outcome, index into STATUSES, on a reused upstream connection, sent twice); `answers` are the same requests by
    indexes into METHODS and STATUSES."""

    ways: dict[tuple[Outcome, int, bool, bool], int]
    received_bytes: int
    sent_bytes: int
    duration: Histogram
    upstream: Histogram
    size: Histogram
    answers: dict[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class RegionTotals:
    """What a region's upstream of one route answered, by index into STATUSES, and in how many workers its breaker is
    open now."""

    answers: tuple[int, ...]
    breakers_open: int


class Totals:
    """The sums over all rows at one moment; the reading end."""

    def __init__(self, rows: list[memoryview]) -> None:
        self._rows: list[list[int]] = [row.tolist() for row in rows]
        self._sums: list[int] = [sum(column) for column in zip(*self._rows, strict=True)]

    def of(self, slot: Counter | Gauge | Mark) -> int:
        """One counter or gauge, or a mark that only one row has."""
        return self._sums[slot]

    def latest(self, slot: Mark) -> int:
        """The largest of a mark that each row has for itself."""
        return max(row[slot] for row in self._rows)

    def drops(self) -> dict[Drop, tuple[int, int]]:
        """Uploads that are not archived, and bytes of their bodies, by reason."""
        return {reason: (self._sums[_DROP_AT[reason.value]], self._sums[_DROP_AT[reason.value] + 1]) for reason in Drop}

    def pending(self) -> int:
        """Uploads of this run that are written to the spool and neither archived, nor damaged, nor dropped from
        there. What an earlier run has left there is not in it."""
        drops = self.drops()
        gone = (
            self.of(Counter.ARCHIVED) + self.of(Counter.ARCHIVE_DAMAGED) + sum(drops[each][0] for each in _FROM_SPOOL)
        )
        return self.of(Counter.SPOOL_WRITTEN) + self.of(Counter.ARCHIVE_FOUND) - gone

    def reasons(self) -> dict[Reason, int]:
        """Rejected requests by reason."""
        return {reason: self._sums[_REASON_AT[reason.value]] for reason in Reason}

    def failures(self) -> dict[FailureKind, int]:
        """Failed requests by kind."""
        return {kind: self._sums[_FAILURE_AT[kind.value]] for kind in FailureKind}

    def skipped(self) -> dict[int, int]:
        """Requests whose data the vendor threw away, by its code; 0 for codes not in SKIPPED."""
        return {code: self._sums[slot] for code, slot in _SKIPPED_AT.items()}

    def connect_failures(self) -> dict[FailureKind, int]:
        """Connections to upstreams that could not be made, by kind."""
        return {kind: self._sums[_CONNECT_AT[kind.value]] for kind in CONNECT_KINDS}

    def cuts(self) -> dict[Cut, int]:
        """Client connections that were ended before their time, by why."""
        return {why: self._sums[_CUT_AT[why.value]] for why in Cut}

    def lag(self) -> Histogram:
        """How late the event loops were, by observation."""
        return _histogram(self._sums[_LAG : _LAG + _HISTOGRAM])

    def region(self, index: int, route: Route) -> RegionTotals:
        """What is known of the upstream of the region that has this index in the configuration."""
        first = _region_at(index)
        answers = first + _ANSWERS_AT[route.value]
        return RegionTotals(
            tuple(self._sums[answers : answers + _ANSWERS]), self._sums[first + _BREAKER_AT[route.value]]
        )

    def route(self, route: Route | None) -> RouteTotals:
        """Everything about one route."""
        first = _ROUTES + _ROUTE * ROUTES.index(route)
        block = self._sums[first : first + _ROUTE]
        ways = product(Outcome, range(len(STATUSES)), (False, True), (False, True))  # the order of the slots
        return RouteTotals(
            dict(zip(ways, block[:_WAYS], strict=True)),
            block[_RECEIVED],
            block[_SENT],
            _histogram(block[_DURATION:_UPSTREAM]),
            _histogram(block[_UPSTREAM:_SIZE]),
            Histogram(tuple(block[_SIZE:_METHODS]), block[_RECEIVED]),
            dict(zip(product(range(len(METHODS)), range(len(STATUSES))), block[_METHODS:], strict=True)),
        )


def _histogram(slots: list[int]) -> Histogram:
    return Histogram(tuple(slots[:_BUCKETS]), slots[_MICROSECONDS] / 1e6)


class LedgerMemory:
    """The rows of all workers. The creator passes `number`, the file descriptor, on to the others."""

    def __init__(self, number: int) -> None:
        """Map the rows behind a file descriptor, which this object owns from now on."""
        self.number = number
        self._map = mmap.mmap(number, os.fstat(number).st_size)
        self.rows = [
            memoryview(self._map)[start : start + ROW_BYTES].cast("q") for start in range(0, len(self._map), ROW_BYTES)
        ]

    @classmethod
    def create(cls, rows: int) -> LedgerMemory:
        """New rows of zeros, in memory that lives as long as a process holds it."""
        number = os.memfd_create("replay-gateway-ledger")
        os.ftruncate(number, rows * ROW_BYTES)
        return cls(number)

    def totals(self) -> Totals:
        """What has been counted until now."""
        return Totals(self.rows)

    def close(self) -> None:
        """Let go of the memory; the rows can't be used any longer."""
        for row in self.rows:
            row.release()
        self._map.close()
        os.close(self.number)
