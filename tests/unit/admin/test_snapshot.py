"""Proves which moment the last minute is measured from, and how quantiles are estimated."""

from __future__ import annotations

import pytest

from proxy.admin.snapshot import WINDOW, History, Moment, quantile
from proxy.observe.ledger import EDGES, LedgerMemory

NOTHING = [0] * (len(EDGES) + 1)


def moments(*times: float) -> list[Moment]:
    memory = LedgerMemory.create(1)
    made = [Moment(time, memory.totals(), 0) for time in times]
    memory.close()
    return made


def test_the_minute_is_measured_from_the_last_moment_that_is_a_minute_old() -> None:
    history = History()
    kept = moments(0, 20, 40, 60, 80, 100)
    for moment in kept:
        history.add(moment)
    (now,) = moments(100 + WINDOW / 6)
    assert history.before(now) is kept[2]


def test_until_then_from_the_first() -> None:
    history = History()
    first, second, now = moments(5, 10, 12)
    assert history.before(now) is now
    history.add(first)
    history.add(second)
    assert history.before(now) is first


def buckets(**at: int) -> list[int]:
    counts = list(NOTHING)
    for index, count in at.items():
        counts[int(index[1:])] = count
    return counts


def test_a_quantile_lies_in_the_bucket_of_its_observation() -> None:
    spread = buckets(_3=50, _6=49, _10=1)
    assert EDGES[2] < (quantile(spread, 0.5) or 0) <= EDGES[3]
    assert EDGES[5] < (quantile(spread, 0.99) or 0) <= EDGES[6]
    assert quantile(spread, 1.0) == EDGES[10]


def test_observations_are_spread_evenly_in_a_bucket() -> None:
    assert quantile(buckets(_0=4), 0.5) == pytest.approx(EDGES[0] / 2)


def test_beyond_the_last_bound_it_is_that_bound() -> None:
    assert quantile(buckets(_16=1), 0.5) == EDGES[-1]


def test_without_observations_there_is_none() -> None:
    assert quantile(NOTHING, 0.5) is None
