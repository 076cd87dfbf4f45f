"""Clients that don't read what they asked for: what waits for them is bounded, in memory and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conformance.wire import Client
from tests.faults.traffic import QUIET, assert_idle, assert_unhurt, client, counted, leaving_nothing, resident, upload
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

LARGE = 20_000_000
ORDER = f"standin=large:{LARGE}"
READERS = 50
# Bytes of memory for one who does not read: the event loop reads up to 256 KB of TLS at a time and keeps as much of it
# decrypted, the transport holds a piece of that size. Unread answers would be ten times as much.
MOST_EACH = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway with little patience for those who don't read."""
    with Gateway({**QUIET, "timeouts": {"client_write": "1s"}}, standin=vendor) as running, leaving_nothing(running):
        yield running


def deaf(gateway: Gateway) -> Client:
    """A client that has asked for a large answer and doesn't read it."""
    connection = client(gateway, receive_buffer=4096)
    connection.send(upload(b"{}", ORDER))
    return connection


def test_one_who_never_reads_is_cut_off(gateway: Gateway, standin: StandIn) -> None:
    with deaf(gateway) as connection:
        with counted(gateway, 1, outcome="failed"):
            pass  # entered and left without a byte being read
        answer = connection.read(b"POST")
        assert not answer.complete
    assert_idle(gateway)
    eventually(lambda: standin.counts()["us-tls"]["open"] == 0, what="the upstream connection is given up")


def test_one_who_takes_a_trickle_is_cut_off(gateway: Gateway, standin: StandIn) -> None:
    """Each byte that is taken would be a reason to go on for ever; it takes 48 KiB of them within the limit."""
    cut = False
    with deaf(gateway) as connection, counted(gateway, 1, outcome="failed"):
        for _ in range(600):
            try:
                assert connection.socket.recv(200)
            except ConnectionResetError:
                cut = True
                break
            time.sleep(0.05)
    assert cut
    assert_idle(gateway)


@pytest.mark.usefixtures("socket_memory")
def test_many_who_do_not_read_cost_little_memory(gateway: Gateway, standin: StandIn) -> None:
    assert_unhurt(gateway)
    before = resident(gateway.worker_pids())
    readers = [deaf(gateway) for _ in range(READERS)]
    eventually(lambda: gateway.metric("replay_gateway_exchanges") >= READERS / 2, what="the answers are on their way")
    assert_unhurt(gateway)
    grown = resident(gateway.worker_pids()) - before
    assert grown < READERS * MOST_EACH, f"{grown / 1e6:.0f} MB for {READERS} readers"
    for reader in readers:
        reader.socket.close()
    assert_idle(gateway)


def test_one_who_reads_slowly_gets_everything(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload(b"{}", ORDER))
        connection.reader.expect(b"POST")
        for _ in range(30):  # longer than the limit in all, never silent for as long
            assert connection.wait() == ""
            time.sleep(0.05)
        while not connection.reader.answers:
            assert connection.wait() == ""
        answer = connection.reader.answers[0]
        assert (len(answer.body), answer.complete) == (LARGE, True)


def test_one_who_sends_and_never_reads_is_held_back(gateway: Gateway, standin: StandIn) -> None:
    """Pipelined requests whose answers are not read must not pile up."""
    with client(gateway, receive_buffer=4096) as connection:
        connection.socket.settimeout(0.5)
        request = upload(b"{}", "standin=large:1000000")
        sent = 0
        while sent < 2000 and connection.send(request):
            sent += 1
        assert len(standin.requests()) < 100
    assert_idle(gateway)
    assert_unhurt(gateway)
