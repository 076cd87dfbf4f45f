"""The client goes away in the middle of an upload: the upstream must never take the half for the whole."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.wire import Client
from tests.faults.traffic import (
    QUIET,
    assert_idle,
    assert_unhurt,
    client,
    counted,
    leaving_nothing,
    open_sockets,
    upload_head,
    uploads,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

LEAVINGS: dict[str, Callable[[Client], None]] = {
    "closes": lambda connection: connection.socket.close(),
    "resets": Client.reset,
    "half-closes": Client.half_close,
}
# An upload goes on to the upstream with its first bytes, instead of once it is whole or too large to be repeated.
AT_ONCE = {**QUIET, "limits": {"retry_body": 0}}
# What has been sent of an upload when the client leaves.
HEADS = {"head": upload_head(1000), "chunked head": upload_head(-1)}
BEGINNINGS = {
    "some": upload_head(1000) + b"x" * 500,
    "all but one byte": upload_head(1000) + b"x" * 999,
    "half a megabyte": upload_head(1_000_000) + b"x" * 500_000,
    "one chunk": upload_head(-1) + b"5\r\nhello\r\n",
    "half a chunk": upload_head(-1) + b"5\r\nhe",
    "all but the last chunk's end": upload_head(-1) + b"5\r\nhello\r\n0\r\n",
}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway that carries the beginnings of uploads on at once."""
    with Gateway(AT_ONCE, standin=vendor) as running, leaving_nothing(running):
        yield running


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("leaving", LEAVINGS)
def test_the_upload_is_never_completed_upstream(
    gateway: Gateway, standin: StandIn, leaving: str, beginning: str
) -> None:
    with counted(gateway, 1), client(gateway) as connection:
        connection.send(BEGINNINGS[beginning])
        eventually(lambda: uploads(standin), what="the upload has begun upstream")
        LEAVINGS[leaving](connection)
    eventually(lambda: all(record["ended"] for record in uploads(standin)), what="the upload ends upstream")
    assert [record["complete"] for record in uploads(standin)] == [False]
    assert_unhurt(gateway)
    assert_idle(gateway)


@pytest.mark.parametrize("beginning", HEADS)
@pytest.mark.parametrize("leaving", LEAVINGS)
def test_without_a_byte_of_its_body_it_never_begins(
    gateway: Gateway, standin: StandIn, leaving: str, beginning: str
) -> None:
    with counted(gateway, 1), client(gateway) as connection:
        connection.send(HEADS[beginning])
        eventually(lambda: gateway.metric("replay_gateway_exchanges") == 1, what="the upload is in hand")
        LEAVINGS[leaving](connection)
    assert_idle(gateway)
    assert uploads(standin) == []


def test_as_the_gateway_comes_a_small_upload_begins_when_it_is_whole(vendor: StandIn, standin: StandIn) -> None:
    with Gateway(QUIET, standin=vendor) as gateway:
        for beginning in [name for name in BEGINNINGS if name != "half a megabyte"]:
            with counted(gateway, 1, outcome="client_gone"), client(gateway) as connection:
                connection.send(BEGINNINGS[beginning])
                eventually(lambda: gateway.metric("replay_gateway_exchanges") == 1, what="the upload is in hand")
                connection.reset()
        assert_idle(gateway)
        assert uploads(standin) == []
        assert_unhurt(gateway)


def test_a_tls_client_that_leaves(gateway: Gateway, standin: StandIn) -> None:
    context = ssl.create_default_context(cafile=str(standin.ca_file))
    with Client(("127.0.0.1", gateway.tls_port), context) as connection:
        connection.send(BEGINNINGS["some"])
        eventually(lambda: uploads(standin), what="the upload has begun upstream")
    eventually(lambda: all(record["ended"] for record in uploads(standin)), what="the upload ends upstream")
    assert [record["complete"] for record in uploads(standin)] == [False]
    assert_idle(gateway)


def test_a_client_that_leaves_while_the_upstream_does_not_read(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"action": "hang_unread"})
    with client(gateway) as connection:
        connection.socket.settimeout(0.3)
        connection.send(upload_head(50_000_000 // 4) + bytes(12_000_000))  # stops when every buffer is full
        connection.reset()
    assert_idle(gateway)
    standin.behave()
    assert_unhurt(gateway)


def test_a_hundred_that_leave_at_once_leave_nothing_behind(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**QUIET, "timeouts": {"upstream_idle": "1s"}}, standin=vendor) as gateway:
        sockets = open_sockets(gateway.worker_pids())
        connections = [client(gateway) for _ in range(100)]
        for number, connection in enumerate(connections):
            connection.send(list((BEGINNINGS | HEADS).values())[number % (len(BEGINNINGS) + len(HEADS))])
        for number, connection in enumerate(connections):
            list(LEAVINGS.values())[number % 2](connection)
        eventually(lambda: open_sockets(gateway.worker_pids()) <= sockets, what=f"back to {sockets} sockets")
        assert_idle(gateway)
        assert not any(record["complete"] for record in uploads(standin))
        assert_unhurt(gateway)


def test_the_time_limit_of_a_silent_client_is_not_a_completion(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**AT_ONCE, "timeouts": {"client_body_idle": "300ms", "linger": "200ms"}}, standin=vendor) as gateway:
        with client(gateway) as connection:
            connection.send(BEGINNINGS["some"])
            answer = connection.read(b"POST")
            assert (answer.status, answer.complete) == (408, True)
        eventually(lambda: all(record["ended"] for record in uploads(standin)), what="the upload ends upstream")
        assert [record["complete"] for record in uploads(standin)] == [False]
        assert_idle(gateway)
