"""Clients that take for ever to say what they want: each stage has a limit that no dripping extends, and nobody
else waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.faults.traffic import (
    QUIET,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    config,
    counted,
    leaving_nothing,
    upload,
    upload_head,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

TIMEOUTS = {
    "client_head": "300ms",
    "client_body_idle": "300ms",
    "keep_alive": "1500ms",
    "tls_handshake": "300ms",
    "linger": "300ms",
}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway with little patience."""
    with Gateway({**QUIET, "timeouts": TIMEOUTS}, standin=vendor) as running, leaving_nothing(running):
        yield running


@pytest.mark.parametrize("part", [b"P", b"POST /sess", b"POST /sessions/v2/track HTTP/1.1\r\n", upload_head(5)[:-2]])
def test_a_head_that_never_ends_is_a_408(gateway: Gateway, standin: StandIn, part: bytes) -> None:
    with counted(gateway, 1, outcome="rejected"), client(gateway) as connection:
        connection.send(part)
        answer = connection.read(b"POST")
        assert (answer.status, answer.complete, answer.keeps_alive) == (408, True, False)
        assert connection.ending() == "closed"
    assert not standin.requests()
    assert_unhurt(gateway)


def test_dripping_does_not_extend_the_limit(gateway: Gateway, standin: StandIn) -> None:
    drops = upload_head(5)[:-2]  # at 50 ms each this takes ten times the limit
    with client(gateway) as connection:
        sent = 0
        while sent < len(drops) and not connection.readable(0.05):
            connection.send(drops[sent : sent + 1])
            sent += 1
        assert sent < len(drops), "the head dripped in for longer than any limit"
        assert connection.read(b"POST").status == 408
    assert not standin.requests()


def test_the_second_head_on_a_connection_has_the_same_limit(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        assert connection.ask(upload()).status == 200
        connection.send(upload_head(5)[:-2])
        assert connection.read(b"POST").status == 408
        assert connection.ending() == "closed"


def test_a_408_tells_its_reason_to_the_page(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(5)[:-2])
        assert_readable(connection.read(b"POST"), 408)


def test_a_connection_that_says_nothing_is_closed_without_a_word(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        assert connection.ending() == "closed"
    with client(gateway) as connection:
        assert connection.ask(upload()).status == 200
        assert connection.ending() == "closed"


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_stops_is_a_readable_408(gateway: Gateway, standin: StandIn, coding: str) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(100) + b"x" * 50 if coding == "length" else upload_head(-1) + b"5\r\nhel")
        assert_readable(connection.read(b"POST"), 408)
        assert connection.ending() == "closed"
    assert not any(record["complete"] for record in standin.requests())
    assert_idle(gateway)


def test_a_body_that_comes_slowly_but_steadily_is_carried(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(10))
        for _ in range(10):
            connection.send_slowly((0.1, b"x"))
        assert_readable(connection.read(b"POST"), 200)


def test_a_tls_handshake_that_never_ends_is_closed(gateway: Gateway, standin: StandIn) -> None:
    with socket.create_connection(("127.0.0.1", gateway.tls_port)) as silent:
        silent.settimeout(10.0)
        silent.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        try:
            assert silent.recv(100) == b""
        except ConnectionResetError:
            pass
    assert_idle(gateway)


def test_two_hundred_slow_clients_keep_nobody_waiting(gateway: Gateway, standin: StandIn) -> None:
    slow = [client(gateway) for _ in range(200)]
    for number, connection in enumerate(slow):
        connection.send((b"POST /sess", upload_head(100), upload_head(-1) + b"5\r\nh", config()[:-2])[number % 4])
    assert_unhurt(gateway)
    for connection in slow:
        connection.reader.expect(b"POST")
        while not (ending := connection.wait()):
            pass
        assert ending == "closed"
        assert all(answer.status == 408 for answer in connection.reader.answers)
        connection.socket.close()
    eventually(lambda: gateway.metric("replay_gateway_connections") == 0, what="all connections are closed")
    assert_idle(gateway)
