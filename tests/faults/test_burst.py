"""Twenty thousand uploads while one in twenty fails upstream: none is lost without a word, none is acknowledged that
did not arrive whole, every one is counted once, and afterwards the gateway is as it was before."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.burst import Account, burst
from tests.faults.traffic import (
    QUIET,
    assert_idle,
    assert_unhurt,
    leaving_nothing,
    open_sockets,
    requests_counted,
    resident,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

CONNECTIONS = 250
REQUESTS = 20_000
WARM_UP = 6_000
MOST_GROWTH = 12 * 1024 * 1024  # bytes over all of the second burst, in the larger worker; a leak of 1 KB each is 10 MB
DISASTERS: list[dict[str, Any]] = [
    {"match": {"method": "POST", "probability": 0.015}, "action": "reset_before_answer"},
    {"match": {"method": "POST", "probability": 0.01}, "action": "close_before_answer"},
    {"match": {"method": "POST", "probability": 0.01}, "action": "truncate", "length": 5000},
    {"match": {"method": "POST", "probability": 0.015}, "action": "status", "code": 503},
]


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """Two workers; idle upstream connections go soon, so that what stays open is seen."""
    settings = {
        **QUIET,
        "breaker": {"failures": 0},
        "timeouts": {"upstream_idle": "1s", "first_byte": "25s", "track_total": "30s"},
    }
    with Gateway(settings, standin=vendor, workers=2) as running, leaving_nothing(running):
        yield running


def crowd(gateway: Gateway, requests: int, seed: int) -> Account:
    """A burst of so many uploads."""
    return asyncio.run(burst(gateway.port, CONNECTIONS, requests // CONNECTIONS, seed))


def test_a_burst_with_failures(gateway: Gateway, standin: StandIn) -> None:
    sockets = open_sockets(gateway.worker_pids())
    standin.behave(*DISASTERS)
    crowd(gateway, WARM_UP, seed=1)
    assert_idle(gateway)
    memory = {pid: resident([pid]) for pid in gateway.worker_pids()}

    standin.clear()
    standin.behave(*DISASTERS)
    counted = requests_counted(gateway)
    account = crowd(gateway, REQUESTS, seed=2)
    assert not account.faults, account.faults[:5]
    assert account.sent == REQUESTS // CONNECTIONS * CONNECTIONS
    assert account.answers.total() + account.aborts == account.sent
    assert set(account.answers) <= {200, 502, 503}, account.answers
    assert account.answers[200] > 0.9 * account.sent
    assert account.aborts < 0.03 * account.sent

    assert_idle(gateway)
    eventually(lambda: requests_counted(gateway) - counted >= account.sent, what="all requests are counted")
    assert requests_counted(gateway) - counted == account.sent

    arrived = Counter(standin.digests())
    assert not account.acknowledged - arrived.keys(), "acknowledged, but did not arrive whole"
    twice = sum(number - 1 for number in arrived.values())
    assert twice <= gateway.metric("replay_gateway_requests_retried_total"), "sent twice without a counted reason"
    assert not any(site["violations"] for site in standin.counts().values())

    eventually(lambda: open_sockets(gateway.worker_pids()) <= sockets, what=f"back to {sockets} sockets")
    grown = max(resident([pid]) - before for pid, before in memory.items())
    assert grown < MOST_GROWTH, f"{grown / 1e6:.1f} MB more after the second burst than after the first"
    standin.clear()
    assert_unhurt(gateway)
