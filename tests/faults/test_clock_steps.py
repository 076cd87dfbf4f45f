"""Proves that a step of the wall clock, to either side, changes no deadline, no age and no answer, and loses nothing:
what is measured is measured by the monotonic clock, which no one can set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    client,
    config,
    new_key,
    sha256,
    upload,
    uploads,
)
from tests.faults.wall_clock import WallClock
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

HOUR = 3600
YEAR = 365 * 24 * HOUR
STEPS = (3 * HOUR, -3 * HOUR, 10 * YEAR, -10 * YEAR)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    return WallClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def gateway(vendor: StandIn, clock: WallClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With an archive, whose names and rotation know the time, too."""
    folder = tmp_path_factory.mktemp("archive")
    spool = {"directory": str(folder / "spool"), "min_free_bytes": 0}
    archive = {"directory": str(folder / "objects"), "spool": spool, "rotate": {"seconds": 1}}
    settings = {**QUIET, "breaker": {"failures": 0}, "archive": archive}
    with Gateway(settings, standin=vendor, env=clock.env) as running:
        yield running


@pytest.fixture(autouse=True)
def right(clock: WallClock) -> Iterator[None]:
    """The clock is right at the beginning, and at the end."""
    clock.step(0)
    yield
    clock.step(0)


def ahead(gateway: Gateway) -> float:
    """By how much the clock of the gateway's processes is ahead of this one's, as its status says."""
    return float(json.loads(gateway.get("/status")[1])["at"]) - time.time()


@pytest.mark.parametrize("seconds", STEPS)
def test_what_is_in_hand_and_what_follows_is_delivered(
    gateway: Gateway, standin: StandIn, clock: WallClock, seconds: int
) -> None:
    bodies = [b'{"step":%d,"n":%d}' % (seconds, number) for number in range(3)]
    with client(gateway) as connection:
        connection.send(upload(bodies[0], "standin=delay:0.3"))
        clock.step(seconds)
        assert_readable(connection.read(b"POST"), 200)
        eventually(lambda: abs(ahead(gateway) - seconds) < HOUR, what="the step is seen")
        assert_readable(connection.ask(upload(bodies[1])), 200)
    clock.step(0)
    assert_readable(ask(gateway, upload(bodies[2])), 200)
    assert {record["body_sha256"] for record in uploads(standin)} == set(map(sha256, bodies))
    assert_idle(gateway)


@pytest.mark.parametrize("seconds", STEPS)
def test_the_last_good_configuration_is_as_old_as_it_is(
    gateway: Gateway, standin: StandIn, clock: WallClock, seconds: int
) -> None:
    key = new_key()
    assert_readable(ask(gateway, config(key)), 200)
    clock.step(seconds)
    standin.behave({"match": {"method": "GET"}, "action": "status"})
    answer = ask(gateway, config(key))
    assert_readable(answer, 200)
    assert answer.one("x-gateway-config") == "stale"
    age = answer.one("age")
    assert age is not None
    assert int(age) < HOUR


def test_an_answer_of_its_own_says_what_the_clock_says(gateway: Gateway, clock: WallClock) -> None:
    clock.step(10 * YEAR)

    def year() -> int:
        date = ask(gateway, b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").one("date")
        assert date is not None
        return parsedate_to_datetime(date).year

    now = time.gmtime().tm_year
    assert eventually(lambda: year() >= now + 9)


def test_everything_is_archived_whatever_the_clock_said(gateway: Gateway) -> None:
    def is_settled() -> bool:
        seen = gateway.metrics()
        offered = seen["replay_gateway_spool_offered_total"]
        return offered > 0 and offered == seen["replay_gateway_archived_total"]

    eventually(is_settled, 60.0, "every upload is in the archive")
    assert gateway.metric("replay_gateway_spool_dropped_total") == 0
