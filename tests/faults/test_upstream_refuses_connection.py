"""The upstream can't be reached: the client gets a readable answer that its SDK retries, never a reset, and nothing is
kept from working as soon as the upstream is back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    client,
    config,
    counted,
    new_key,
    plain_upstream,
    upload,
)
from tests.gateway import Gateway, eventually, free_port
from tests.standin import StandIn

CONNECT = "300ms"  # the configured limit


@contextmanager
def gateway_to(port: int) -> Iterator[Gateway]:
    """A gateway whose upstream is whatever is at `port`, if anything."""
    settings = {**QUIET, **plain_upstream(port), "breaker": {"failures": 0}, "timeouts": {"connect": CONNECT}}
    with Gateway(settings) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def refused() -> Iterator[Gateway]:
    """A gateway with nobody behind it."""
    with gateway_to(free_port()) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "request_", [upload(), config(new_key()), config(new_key(), method=b"HEAD")], ids=["upload", "config", "head"]
)
def test_a_refused_connection_is_a_readable_502(refused: Gateway, request_: bytes) -> None:
    with counted(refused, 2, outcome="failed"), client(refused) as connection:
        answer = connection.ask(request_)
        assert_readable(answer, 502)
        assert answer.one("retry-after")
        assert answer.one("x-gateway-reason") == "connect_refused"
        assert_readable(connection.ask(upload()), 502)  # the client's connection stays of use


def test_a_large_upload_is_answered_not_reset(refused: Gateway) -> None:
    with client(refused) as connection:
        connection.send(upload(bytes(5_000_000)))
        assert_readable(connection.read(b"POST"), 502)
    assert_idle(refused)


def test_work_goes_on_as_soon_as_the_upstream_is_there() -> None:
    port = free_port()
    with gateway_to(port) as gateway:
        assert_readable(ask(gateway, upload()), 502)
        with StandIn("--quiet", "--no-tls", "--listen", f"us=127.0.0.1:{port}"):
            eventually(lambda: ask(gateway, upload()).status == 200, what="uploads pass again")
            assert ask(gateway, config()).status == 200


def test_an_upstream_that_does_not_accept_is_a_504_in_time() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # these fill the queue; further handshakes are not answered
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        with gateway_to(deaf.getsockname()[1]) as gateway:
            answer = ask(gateway, upload())
            assert_readable(answer, 504)
            assert answer.one("x-gateway-reason") == "connect_timeout"
        for one in waiting:
            one.close()


@pytest.mark.parametrize("action", ["reset_on_accept", "close_on_accept"])
def test_a_connection_that_ends_in_the_handshake_is_a_502(standin: StandIn, action: str) -> None:
    standin.behave({"action": action})
    with Gateway({**QUIET, "breaker": {"failures": 0}}, standin=standin) as gateway:
        assert_readable(ask(gateway, upload()), 502)
        assert_readable(ask(gateway, config(new_key())), 502)
        standin.behave()
        assert ask(gateway, upload()).status == 200
