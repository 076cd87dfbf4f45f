"""An upstream that keeps failing is left alone for a moment: clients are told at once instead of late, and it is tried
again soon."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.traffic import QUIET, ask, assert_readable, client, config, new_key, upload, uploads
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

FAILURES = 3
OPEN = 0.7  # seconds


@pytest.fixture
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway with a sensitive breaker; a new one for each test, because a breaker remembers."""
    settings = {
        **QUIET,
        "breaker": {"failures": FAILURES, "open": f"{int(OPEN * 1000)}ms"},
        "timeouts": {"first_byte": "100ms", "config_total": "100ms"},
    }
    with Gateway(settings, standin=vendor) as running:
        yield running


def open_it(gateway: Gateway, standin: StandIn, action: str = "hang") -> None:
    """Let as many uploads fail as it takes; a connection that is refused twice for one upload counts twice."""
    standin.behave({"action": action} if action.endswith("accept") else {"match": {"method": "POST"}, "action": action})
    statuses = [ask(gateway, upload()).status for _ in range(FAILURES)]
    assert statuses[0] in (502, 504)
    assert set(statuses) <= {502, 503, 504}


@pytest.mark.parametrize("action", ["hang", "reset_on_accept"])
def test_it_opens_and_answers_at_once_with_a_time_to_come_back(gateway: Gateway, standin: StandIn, action: str) -> None:
    open_it(gateway, standin, action)
    seen = standin.counts()["us-tls"]["connections"]
    with client(gateway) as connection:
        for _ in range(20):
            answer = connection.ask(upload())
            assert_readable(answer, 503)
            assert answer.one("x-gateway-reason") == "breaker_open"
            assert int(answer.one("retry-after") or 0) >= 1
    # At most one of them was let through as a probe, should the pause have ended meanwhile.
    assert standin.counts()["us-tls"]["connections"] <= seen + 1
    assert gateway.metric("replay_gateway_breaker_opened_total") >= 1


def test_it_recovers_by_itself(gateway: Gateway, standin: StandIn) -> None:
    open_it(gateway, standin)
    assert ask(gateway, upload()).status == 503
    standin.behave()
    eventually(lambda: ask(gateway, upload()).status == 200, what="uploads pass again")
    for _ in range(20):
        assert_readable(ask(gateway, upload()), 200)
    eventually(lambda: gateway.metric("replay_gateway_breakers_open") == 0, what="the gauge is back")


def test_while_it_lasts_one_probe_at_a_time_is_let_through(gateway: Gateway, standin: StandIn) -> None:
    open_it(gateway, standin)
    before = len(uploads(standin))
    ends = time.monotonic() + 3 * OPEN
    answers = []
    while time.monotonic() < ends:
        answers.append(ask(gateway, upload()).status)
    assert set(answers) <= {503, 504}
    assert len(uploads(standin)) - before <= 4, "more probes than pauses"


def test_answers_do_not_open_it_whatever_their_status(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"match": {"method": "POST"}, "action": "status", "code": 503})
    for _ in range(FAILURES * 3):
        assert_readable(ask(gateway, upload()), 503)
    assert len(uploads(standin)) == FAILURES * 3


def test_successes_in_between_keep_it_closed(gateway: Gateway, standin: StandIn) -> None:
    for _ in range(3):
        standin.behave({"match": {"method": "POST", "first": FAILURES - 1}, "action": "hang"})
        for _ in range(FAILURES - 1):
            assert ask(gateway, upload()).status == 504
        assert ask(gateway, upload()).status == 200


def test_the_other_upstream_is_not_touched(gateway: Gateway, standin: StandIn) -> None:
    open_it(gateway, standin)
    assert ask(gateway, upload()).status == 503
    assert_readable(ask(gateway, config(new_key())), 200)
    assert_readable(ask(gateway, upload(b"{}", "type=replay", b"X-Other: 1")), 503)
