"""Large uploads before a slow upstream: what is held of each is bounded, what is held of all is bounded, and who finds
no room is told so readably and comes back later."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conformance.cases import HOST, ORIGIN, head
from tests.conformance.wire import Client
from tests.faults.traffic import (
    QUIET,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    plain_upstream,
    resident,
    upload,
    upload_head,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

pytestmark = pytest.mark.usefixtures("socket_memory")
MIB = 1024 * 1024
LARGE = 30_000_000  # bytes of one upload
SHARE = 512 * 1024  # bytes; limits.exchange_bytes
PIECE = memoryview(bytes(256 * 1024))
# Bytes that the kernel keeps for each client before they are sent: with what waits beside the gateway, 500 clients made
# it keep 2.0 GB where it has 2.2 for the whole machine, and 1.8 with this.
SEND_BUFFER = 64 * 1024
SLOW = {"match": {"method": "POST", "target_contains": "large"}, "action": "slow_read", "bytes_per_second": 50_000}
GONE = 60.0  # seconds after which all clients that left are noticed on a busy machine
# All of them come from this machine.
MANY = {"connections_per_ip": 0}
SETTINGS = {
    **QUIET,
    "limits": {"body": "64MiB", "exchange_bytes": SHARE, **MANY},
    # A slow upstream is what this is about; on a busy machine it must not be given up meanwhile. Clients that have left
    # are noticed when it takes no more of what they sent.
    "timeouts": {"connect": "30s", "upstream_stall": "20s", "client_body_idle": "30s", "linger": "200ms"},
}


@contextmanager
def uploading(gateway: Gateway, number: int) -> Iterator[list[Client]]:
    """So many clients, each sending as much of a large upload as is taken, until nothing moves any more."""
    clients = [client(gateway) for _ in range(number)]
    for one in clients:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        one.send(upload_head(LARGE, "type=replay&large"))
        one.socket.setblocking(False)
    left = [LARGE] * number
    quiet_since = time.monotonic()
    ends = quiet_since + 30.0
    while time.monotonic() - quiet_since < 0.5 and time.monotonic() < ends:
        moved = [push(one, left[index]) for index, one in enumerate(clients)]
        left = [rest - step for rest, step in zip(left, moved, strict=True)]
        if sum(moved) > number * 10_000:
            quiet_since = time.monotonic()
        elif not any(moved):
            time.sleep(0.01)
    yield clients
    for one in clients:
        one.socket.close()


def push(one: Client, most: int) -> int:
    """Send what is taken at once; the number of bytes."""
    try:
        return one.socket.send(PIECE[:most]) if most else 0
    except (BlockingIOError, ConnectionError):
        return 0


def test_one_large_upload_through_a_slow_upstream(vendor: StandIn, standin: StandIn) -> None:
    with Gateway(SETTINGS, standin=vendor) as gateway:
        assert_unhurt(gateway)
        standin.behave(SLOW)
        with uploading(gateway, 1):
            assert resident(gateway.worker_pids()) < 100 * MIB
            assert gateway.metric("replay_gateway_inflight_bytes") <= SHARE
            assert_unhurt(gateway)
        assert_idle(gateway, GONE)


def test_a_hundred_over_tls_hold_little_more_than_their_shares(vendor: StandIn, standin: StandIn) -> None:
    with Gateway(SETTINGS, standin=vendor) as gateway:
        assert_unhurt(gateway)
        before = resident(gateway.worker_pids())
        standin.behave(SLOW)
        with uploading(gateway, 100):
            # TLS needs buffers of its own beside the bodies: as much again.
            assert resident(gateway.worker_pids()) - before < 100 * 2 * SHARE
            assert_unhurt(gateway)
        assert_idle(gateway, GONE)


def test_five_hundred_stay_inside_the_limit(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**SETTINGS, **plain_upstream(vendor.ports["us"])}) as gateway:
        assert_unhurt(gateway)
        before = resident(gateway.worker_pids())
        standin.behave(SLOW)
        with uploading(gateway, 500):
            eventually(lambda: gateway.metric("replay_gateway_exchanges") >= 450, what="the uploads are in hand")
            assert gateway.metric("replay_gateway_inflight_bytes") <= 256 * MIB
            grown = resident(gateway.worker_pids()) - before
            assert grown < 256 * MIB, f"{grown / 1e6:.0f} MB"
        assert_idle(gateway, GONE)
        assert_unhurt(gateway)


def test_who_finds_no_room_is_told_to_come_back(vendor: StandIn, standin: StandIn) -> None:
    room = 20
    limits = {"body": "64MiB", "exchange_bytes": SHARE, "inflight_bytes": room * SHARE}
    with Gateway({**SETTINGS, "limits": limits}, standin=vendor) as gateway:
        standin.behave(SLOW)
        with uploading(gateway, room):
            for size in (SHARE, 5_000_000):
                with client(gateway) as connection:
                    connection.send(upload(bytes(size)))
                    answer = connection.read(b"POST")
                    assert_readable(answer, 503)
                    assert answer.one("x-gateway-reason") == "memory"
                    assert int(answer.one("retry-after") or 0) >= 1
            assert gateway.metric("replay_gateway_inflight_bytes") <= room * SHARE
        assert_idle(gateway, GONE)
        assert_unhurt(gateway)


def test_small_uploads_find_room_where_large_ones_do_not(vendor: StandIn, standin: StandIn) -> None:
    """What is set aside is what was announced, so a beacon still passes when nearly all is in use."""
    limits = {"body": "64MiB", "exchange_bytes": SHARE, "inflight_bytes": 3 * SHARE + 100_000}
    with Gateway({**SETTINGS, "limits": limits}, standin=vendor) as gateway:
        standin.behave(SLOW)
        with uploading(gateway, 3), client(gateway) as connection:
            assert_readable(connection.ask(upload(bytes(65_483))), 200)
            assert_readable(connection.ask(upload(bytes(200_000))), 503)


def test_idle_tls_connections_cost_little_and_the_next_ones_no_more(vendor: StandIn, standin: StandIn) -> None:
    """OpenSSL and the loop take most of it: 25 KB each. What comes and goes leaves gaps between what stays, which
    settles at 41 to 46 KB each. The C library's own way with large buffers begins at 47 KB and settles at 87."""
    with Gateway({**QUIET, "limits": MANY}, standin=vendor) as gateway:
        with idle_over_tls(gateway, 20):
            pass
        before = resident(gateway.worker_pids())
        grown = []
        for _ in range(8):
            with idle_over_tls(gateway, 600):
                grown.append(resident(gateway.worker_pids()) - before)
            assert_idle(gateway)
        assert grown[0] / 600 < 30_000, f"{grown[0] / 600:.0f} bytes each"
        assert grown[-1] / 600 < 60_000, f"{grown[-1] / 600:.0f} bytes each"
        assert grown[-1] - grown[-3] < 3 * MIB, f"{grown} bytes"


@contextmanager
def idle_over_tls(gateway: Gateway, number: int) -> Iterator[None]:
    """So many connections that have had one answer each."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    preflight = head(
        b"OPTIONS /sessions/v2/track?type=replay HTTP/1.1", HOST, ORIGIN, b"Access-Control-Request-Method: POST"
    )
    with ExitStack() as stack:
        for _ in range(number):
            plain = socket.create_connection(("127.0.0.1", gateway.tls_port), 10)
            secured = stack.enter_context(context.wrap_socket(plain))
            secured.sendall(preflight)
            assert secured.recv(4096).startswith(b"HTTP/1.1 204 ")
        yield
