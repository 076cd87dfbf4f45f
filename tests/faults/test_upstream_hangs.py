"""The upstream accepts and then says nothing, or stops half-way: the client is told in time to try once more."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    config,
    counted,
    leaving_nothing,
    new_key,
    plain_upstream,
    scripted_upstream,
    upload,
    upload_head,
    uploads,
)
from tests.gateway import Gateway
from tests.standin import StandIn

# What is configured; answers must come long before OUTER, which is what a browser would wait.
TIMEOUTS = {"first_byte": "300ms", "track_total": "1s", "config_total": "200ms", "upstream_stall": "300ms"}
OUTER = 5.0
SETTINGS: dict[str, Any] = {**QUIET, "breaker": {"failures": 0}, "timeouts": TIMEOUTS}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway with little patience."""
    with (
        Gateway(SETTINGS, standin=vendor) as running,
        leaving_nothing(running),
    ):
        yield running


@pytest.mark.parametrize("size", [2, 100_000, 2_000_000])
def test_no_answer_to_an_upload_is_a_504(gateway: Gateway, standin: StandIn, size: int) -> None:
    standin.behave({"match": {"method": "POST"}, "action": "hang"})
    with counted(gateway, 1, outcome="failed"):
        answer = ask(gateway, upload(bytes(size)), OUTER)
        assert_readable(answer, 504)
        assert answer.one("retry-after")
    assert len(uploads(standin)) == 1, "a time-out is no reason to send again"
    standin.behave()
    assert_unhurt(gateway)
    assert_idle(gateway)


def test_no_answer_to_config_is_told_within_its_own_shorter_time(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"match": {"method": "GET"}, "action": "hang"})
    began = time.monotonic()
    with client(gateway) as connection:
        connection.send(upload(b"{}", "standin=hang"))
        assert_readable(ask(gateway, config(new_key()), OUTER), 504)
        assert time.monotonic() - began < OUTER
        assert_readable(connection.read(b"POST", OUTER), 504)
    assert_idle(gateway)


def test_an_upstream_that_takes_no_body_is_a_504_also_for_one_who_sends_all_first(
    gateway: Gateway, standin: StandIn
) -> None:
    standin.behave({"match": {"method": "POST"}, "action": "hang_unread"})
    with client(gateway) as connection:
        connection.send(upload(bytes(10_000_000)))
        assert_readable(connection.read(b"POST", OUTER), 504)
    assert not any(record["complete"] for record in uploads(standin))
    assert_idle(gateway)


def test_an_answer_that_stops_half_way_is_cut_off(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"match": {"method": "POST"}, "action": "stall", "length": 100_000})
    with client(gateway) as connection:
        answer = connection.ask(upload(), OUTER)
        assert not answer.complete
        assert len(answer.body) < 100_000
    assert_idle(gateway)


def test_a_config_answer_that_stops_half_way_is_a_504(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"match": {"method": "GET"}, "action": "stall", "length": 100_000})
    assert_readable(ask(gateway, config(new_key()), OUTER), 504)
    assert_idle(gateway)


def test_an_answer_that_trickles_in_is_relayed_however_long_it_takes() -> None:
    def play(upstream: socket.socket) -> None:
        upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(15):  # 1.5 s in all, longer than any limit above, and never silent for as long as one
            time.sleep(0.1)
            upstream.sendall(b"x")

    with scripted_upstream(play) as port, Gateway({**QUIET, **plain_upstream(port), "timeouts": TIMEOUTS}) as gateway:
        answer = ask(gateway, upload(), OUTER)
        assert_readable(answer, 200)
        assert answer.body == b"x" * 15


def test_an_answer_head_that_trickles_in_does_not_stop_the_clock(gateway: Gateway, standin: StandIn) -> None:
    assert_readable(ask(gateway, upload(b"{}", "standin=drip:0.02"), OUTER), 504)


def test_a_client_that_sends_slowly_is_not_blamed_on_the_upstream(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(50))
        for _ in range(5):
            connection.send_slowly((0.3, b"0123456789"))
        assert_readable(connection.read(b"POST", OUTER), 200)


def test_an_early_continue_does_not_stop_the_clock(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"match": {"method": "POST"}, "action": "raw", "bytes": "HTTP/1.1 100 Continue\r\n\r\n"})
    assert_readable(ask(gateway, upload(), OUTER), 504)


def test_a_client_that_leaves_while_the_upstream_hangs_leaves_nothing_behind(
    gateway: Gateway, standin: StandIn
) -> None:
    for _ in range(20):
        with client(gateway) as connection:
            connection.send(upload(b"{}", "standin=hang"))
    with client(gateway) as connection:
        connection.send(config(new_key(), "standin=hang"))
        connection.reset()
    assert_idle(gateway)
    assert_unhurt(gateway)
