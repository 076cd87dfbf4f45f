"""Proves that every record is counted once in every respect, that rows don't touch each other, and that what was
counted outlives the process that counted it, killed or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter as Tally
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.model.cut import Cut
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome, Record
from proxy.model.verdict import Reason, Route
from proxy.observe.ledger import (
    CONNECT_KINDS,
    EDGES,
    MOST_REGIONS,
    ROUTES,
    ROW_BYTES,
    SKIPPED,
    STATUSES,
    Counter,
    Gauge,
    Histogram,
    Ledger,
    LedgerMemory,
    Mark,
)
from tests.unit.observe.records import record, records


@pytest.fixture
def memory() -> Iterator[LedgerMemory]:
    made = LedgerMemory.create(3)
    yield made
    made.close()


def count(memory: LedgerMemory, *finished: Record) -> None:
    ledger = Ledger(memory.rows[0])
    for each in finished:
        ledger.record(each)


def test_a_new_ledger_is_all_zeros(memory: LedgerMemory) -> None:
    totals = memory.totals()
    assert all(totals.of(slot) == 0 for slot in (*Counter, *Gauge))
    assert all(sum(totals.route(route).ways.values()) == 0 for route in ROUTES)
    assert sum(totals.reasons().values()) == sum(totals.failures().values()) == sum(totals.skipped().values()) == 0


def test_a_delivered_upload(memory: LedgerMemory) -> None:
    count(memory, record(reused=True))
    track = memory.totals().route(Route.TRACK)
    assert {way: number for way, number in track.ways.items() if number} == {
        (Outcome.DELIVERED, STATUSES.index("2xx"), True, False): 1
    }
    assert (track.received_bytes, track.sent_bytes) == (2000, 12)
    assert track.duration.buckets[EDGES.index(0.25)] == 1
    assert track.duration.total == pytest.approx(0.123, abs=1e-5)
    assert track.upstream.buckets[EDGES.index(0.25)] == 1
    assert track.upstream.total == pytest.approx(0.1, abs=1e-5)


def test_other_routes_are_not_touched(memory: LedgerMemory) -> None:
    count(memory, record())
    for route in (Route.CONFIG, None):
        totals = memory.totals().route(route)
        assert sum(totals.ways.values()) == totals.received_bytes == sum(totals.duration.buckets) == 0


def test_a_rejected_request_has_a_reason_and_no_upstream_part(memory: LedgerMemory) -> None:
    count(memory, record(route=None, outcome=Outcome.REJECTED, reason=Reason.METHOD, status=405, upstream_began=0.0))
    totals = memory.totals()
    assert totals.reasons()[Reason.METHOD] == 1
    assert sum(totals.reasons().values()) == 1
    nowhere = totals.route(None)
    assert nowhere.ways[Outcome.REJECTED, STATUSES.index("4xx"), False, False] == 1
    assert sum(nowhere.upstream.buckets) == 0


def test_a_failed_request_has_a_kind(memory: LedgerMemory) -> None:
    count(memory, record(outcome=Outcome.FAILED, failure=FailureKind.TLS, status=502))
    assert {kind: number for kind, number in memory.totals().failures().items() if number} == {FailureKind.TLS: 1}


def test_a_client_that_left_got_no_status(memory: LedgerMemory) -> None:
    count(memory, record(outcome=Outcome.CLIENT_GONE, failure=FailureKind.CLIENT_GONE, status=0, retried=True))
    assert memory.totals().route(Route.TRACK).ways[Outcome.CLIENT_GONE, STATUSES.index("none"), False, True] == 1


@pytest.mark.parametrize(("code", "slot"), [(429, 429), (4004, 4004), (4005, 4005), (9999, 0)])
def test_thrown_away_data_is_counted_by_the_vendors_code(memory: LedgerMemory, code: int, slot: int) -> None:
    count(memory, record(outcome=Outcome.SKIPPED, skipped_code=code))
    assert {code: number for code, number in memory.totals().skipped().items() if number} == {slot: 1}


def test_a_record_without_an_outcome_counts_as_failed_not_as_delivered(memory: LedgerMemory) -> None:
    count(memory, record(outcome=None))
    ways = memory.totals().route(Route.TRACK).ways
    assert {way[0] for way, number in ways.items() if number} == {Outcome.FAILED}


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0010001, 1), (30.0, 15), (30.5, 16), (9e3, 16)]
)
def test_a_bucket_takes_what_is_at_most_its_edge(memory: LedgerMemory, seconds: float, bucket: int) -> None:
    finished = record(began=0.0, ended=seconds, upstream_began=0.0)
    count(memory, finished)
    assert memory.totals().route(Route.TRACK).duration.buckets[bucket] == 1


def test_times_in_the_wrong_order_do_not_raise(memory: LedgerMemory) -> None:
    count(memory, record(ended=999.0), record(ended=0.0))
    assert sum(memory.totals().route(Route.TRACK).ways.values()) == 2


def test_every_way_a_request_can_end_has_a_slot_of_its_own(memory: LedgerMemory) -> None:
    ways = [
        (route, outcome, status, reused, retried)
        for route in ROUTES
        for outcome in Outcome
        for status in range(len(STATUSES))
        for reused in (False, True)
        for retried in (False, True)
    ]
    ledger = Ledger(memory.rows[0])
    for number, (route, outcome, status, reused, retried) in enumerate(ways, 1):
        finished = record(route=route, outcome=outcome, status=status * 100, reused=reused, retried=retried)
        for _ in range(number % 7):
            ledger.record(finished)
    totals = memory.totals()
    for number, (route, *way) in enumerate(ways, 1):
        assert totals.route(route).ways[tuple(way)] == number % 7  # type: ignore[index]


def test_every_reason_kind_counter_and_gauge_has_a_slot_of_its_own(memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    for number, reason in enumerate(Reason, 1):
        for _ in range(number):
            ledger.record(record(outcome=Outcome.REJECTED, reason=reason))
    for number, kind in enumerate(FailureKind, 1):
        for _ in range(number):
            ledger.record(record(outcome=Outcome.FAILED, failure=kind))
    for slot in Counter:
        ledger.count(slot, slot + 1)
    for gauge in Gauge:
        ledger.gauge(gauge, gauge + 1)
    totals = memory.totals()
    assert list(totals.reasons().values()) == list(range(1, len(Reason) + 1))
    assert list(totals.failures().values()) == list(range(1, len(FailureKind) + 1))
    assert [totals.of(slot) for slot in (*Counter, *Gauge)] == list(range(1, len(Counter) + len(Gauge) + 1))


def test_every_region_status_and_breaker_has_a_slot_of_its_own(memory: LedgerMemory) -> None:
    names = [f"region-{number:02}" for number in range(MOST_REGIONS)]
    ledger = Ledger(memory.rows[0], names)
    ways = list(product(enumerate(names), Route, range(1, len(STATUSES))))
    for number, ((_, name), route, status) in enumerate(ways, 1):
        for _ in range(number % 7):
            ledger.record(record(region=name, route=route, upstream_status=status * 100))
    for index, name in enumerate(names):
        ledger.breaker(name, Route.TRACK, index % 2 == 0)
        ledger.breaker(name, Route.CONFIG, index % 3 == 0)
    totals = memory.totals()
    for number, ((index, _), route, status) in enumerate(ways, 1):
        assert totals.region(index, route).answers[status] == number % 7
    for index in range(MOST_REGIONS):
        assert totals.region(index, Route.TRACK).breakers_open == (index % 2 == 0)
        assert totals.region(index, Route.CONFIG).breakers_open == (index % 3 == 0)
    assert sum(totals.reasons().values()) == 0


def test_regions_that_are_too_many_share_the_last_place(memory: LedgerMemory) -> None:
    names = [f"region-{number:02}" for number in range(MOST_REGIONS + 3)]
    ledger = Ledger(memory.rows[0], names)
    for name in names[MOST_REGIONS - 2 :]:
        ledger.record(record(region=name))
    totals = memory.totals()
    assert totals.region(MOST_REGIONS - 2, Route.TRACK).answers[2] == 1
    assert totals.region(MOST_REGIONS - 1, Route.TRACK).answers[2] == 4


def test_what_no_upstream_answered_is_no_answer_of_a_region(memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0], ["us"])
    ledger.record(record(upstream_status=0, status=502, outcome=Outcome.FAILED))
    ledger.record(record(route=None, region="", upstream_status=0))
    assert sum(memory.totals().region(0, Route.TRACK).answers) == 0


def test_breakers_of_a_worker_that_died_are_closed_by_its_successor(memory: LedgerMemory) -> None:
    Ledger(memory.rows[0], ["us"]).breaker("us", Route.TRACK, is_open=True)
    Ledger(memory.rows[1], ["us"]).breaker("us", Route.TRACK, is_open=True)
    assert memory.totals().region(0, Route.TRACK).breakers_open == 2
    Ledger(memory.rows[0], ["us"])
    assert memory.totals().region(0, Route.TRACK).breakers_open == 1


@pytest.mark.parametrize(("size", "bucket"), [(0, 0), (1024, 0), (1025, 1), (64 << 20, 8), (64 << 20 | 1, 9)])
def test_a_size_is_in_the_bucket_that_takes_at_most_its_bound(memory: LedgerMemory, size: int, bucket: int) -> None:
    count(memory, record(received_bytes=size))
    found = memory.totals().route(Route.TRACK).size
    assert found.buckets.index(1) == bucket
    assert (sum(found.buckets), found.total) == (1, size)


def test_every_kind_of_a_failed_connection_has_a_slot_of_its_own(memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    for number, kind in enumerate(CONNECT_KINDS, 1):
        for _ in range(number):
            ledger.connect_failed(kind)
    ledger.connect_failed(FailureKind.BAD_ANSWER)  # none of them: with the last
    found = memory.totals().connect_failures()
    assert list(found.values()) == [*range(1, len(CONNECT_KINDS)), len(CONNECT_KINDS) + 1]


def test_every_cut_has_a_slot_of_its_own(memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    for number, why in enumerate(Cut, 1):
        for _ in range(number):
            ledger.cut(why)
    assert list(memory.totals().cuts().values()) == [*range(1, len(Cut) + 1)]


def test_of_a_mark_the_latest_counts(memory: LedgerMemory) -> None:
    for row, at in zip(memory.rows, (3, 9), strict=False):
        Ledger(row).mark(Mark.CONFIG_LIVE_MS, at)
    assert memory.totals().latest(Mark.CONFIG_LIVE_MS) == 9


def test_lag_is_observed(memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    for seconds in (0.0, 0.02, 3.0):
        ledger.lag(seconds)
    found = memory.totals().lag()
    assert sum(found.buckets) == 3
    assert found.total == pytest.approx(3.02)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(records(), max_size=20))
def test_sums_are_those_of_the_records(finished: list[Record]) -> None:
    memory = LedgerMemory.create(1)
    count(memory, *finished)
    totals = memory.totals()
    routes = [totals.route(route) for route in ROUTES]
    assert sum(sum(each.ways.values()) for each in routes) == len(finished)
    assert sum(sum(each.duration.buckets) for each in routes) == len(finished)
    assert sum(sum(each.upstream.buckets) for each in routes) == sum(each.upstream_began > 0 for each in finished)
    assert sum(sum(each.size.buckets) for each in routes) == len(finished)
    assert sum(each.received_bytes for each in routes) == sum(each.received_bytes for each in finished)
    assert sum(each.sent_bytes for each in routes) == sum(each.sent_bytes for each in finished)
    assert +Tally(totals.reasons()) == Tally(each.reason for each in finished if each.reason)
    assert +Tally(totals.failures()) == Tally(each.failure for each in finished if each.failure)
    codes = Tally(each.skipped_code if each.skipped_code in SKIPPED else 0 for each in finished if each.skipped_code)
    assert +Tally(totals.skipped()) == codes
    spent = sum(each.ended - each.began for each in finished)
    assert sum(each.duration.total for each in routes) == pytest.approx(spent, abs=1e-5 * (len(finished) + 1))
    memory.close()


def test_rows_are_added_up(memory: LedgerMemory) -> None:
    for row in memory.rows:
        ledger = Ledger(row)
        ledger.record(record())
        ledger.count(Counter.UPSTREAM_CONNECTS, 2)
        ledger.gauge(Gauge.CONNECTIONS, 5)
    totals = memory.totals()
    assert totals.of(Counter.UPSTREAM_CONNECTS) == 6
    assert totals.of(Gauge.CONNECTIONS) == 15
    assert totals.route(Route.TRACK).received_bytes == 6000


def test_a_row_does_not_write_into_its_neighbour(memory: LedgerMemory) -> None:
    neighbours = [memory.rows[0].tobytes(), memory.rows[2].tobytes()]
    ledger = Ledger(memory.rows[1])
    for slot in range(len(memory.rows[1])):
        memory.rows[1][slot] = 2**63 - 1
    ledger.gauge(Gauge.BREAKERS_OPEN, 0)
    assert [memory.rows[0].tobytes(), memory.rows[2].tobytes()] == neighbours


def test_rows_begin_on_cache_lines_of_their_own() -> None:
    assert ROW_BYTES % 64 == 0


def test_a_successor_goes_on_counting_and_begins_with_empty_gauges(memory: LedgerMemory) -> None:
    first = Ledger(memory.rows[0])
    first.record(record())
    first.gauge(Gauge.CONNECTIONS, 7)
    second = Ledger(memory.rows[0])
    second.record(record())
    assert memory.totals().of(Gauge.CONNECTIONS) == 0
    assert memory.totals().route(Route.TRACK).received_bytes == 4000


def test_what_a_killed_process_counted_is_there_to_the_last_request(memory: LedgerMemory) -> None:
    program = (
        "import os, sys\n"
        "from proxy.observe.ledger import Ledger, LedgerMemory\n"
        "from tests.unit.observe.records import record\n"
        "ledger = Ledger(LedgerMemory(int(sys.argv[1])).rows[1])\n"
        "for _ in range(1000): ledger.record(record())\n"
        "os.kill(os.getpid(), 9)\n"
    )
    number = os.dup(memory.number)
    ended = subprocess.run([sys.executable, "-c", program, str(number)], pass_fds=(number,), check=False)
    os.close(number)
    assert ended.returncode == -signal.SIGKILL
    assert memory.totals().route(Route.TRACK).ways[Outcome.DELIVERED, STATUSES.index("2xx"), False, False] == 1000


def test_a_histogram_is_a_value() -> None:
    assert Histogram((1, 2), 0.5) == Histogram((1, 2), 0.5)


def test_closing_gives_the_descriptor_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    memory = LedgerMemory.create(2)
    assert memory.totals().of(Counter.WORKER_STARTS) == 0
    memory.close()
    assert len(os.listdir("/proc/self/fd")) == before
