"""Proves what happens to connections before anything has been read: spoiled at accept, before any TLS
handshake, or given up in the handshake; and that they are counted."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from tests.standin import StandIn
from tests.unit.standin.client import PATIENCE, SILENCE, Client, request

OVER_BOTH = pytest.mark.parametrize("site", ["us", "us-tls"])


def connect(vendor: StandIn, site: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", vendor.ports[site]), PATIENCE)


def accept_rule(action: str, **match: object) -> dict[str, object]:
    return {"action": action, "match": match}


@OVER_BOTH
def test_reset_on_accept_comes_before_anything_is_sent(vendor: StandIn, site: str) -> None:
    vendor.behave(accept_rule("reset_on_accept", site=site))
    with pytest.raises(ConnectionResetError), connect(vendor, site) as sock:  # perhaps in connect already
        sock.recv(1)


@OVER_BOTH
def test_close_on_accept(vendor: StandIn, site: str) -> None:
    vendor.behave(accept_rule("close_on_accept", site=site))
    with connect(vendor, site) as sock:
        assert sock.recv(1) == b""


@OVER_BOTH
def test_hang_unread_accepts_and_never_reads(vendor: StandIn, site: str) -> None:
    vendor.behave(accept_rule("hang_unread", site=site))
    with connect(vendor, site) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        sock.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(50 << 20))
    assert vendor.counts()[site]["requests"] == 0


def test_only_the_first_connections_are_spoiled(vendor: StandIn) -> None:
    vendor.behave(accept_rule("reset_on_accept", first=2))
    for _ in range(2):
        with pytest.raises(ConnectionResetError), connect(vendor, "us") as sock:
            sock.recv(1)
    with Client(vendor) as client:
        assert client.ask(request()).status == 200
    assert vendor.counts()["us"]["connections"] == 3


def test_another_site_is_left_alone(vendor: StandIn) -> None:
    vendor.behave(accept_rule("reset_on_accept", site="eu"))
    with Client(vendor) as client:
        assert client.ask(request()).status == 200


def test_a_client_that_does_not_trust_the_certificate_is_counted(vendor: StandIn) -> None:
    context = ssl.create_default_context()
    with connect(vendor, "us-tls") as sock, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(sock, server_hostname="api-sr.amplitude.com")
    while vendor.counts()["us-tls"]["tls_failures"] == 0 or vendor.counts()["us-tls"]["open"]:
        time.sleep(0.01)
    counts = vendor.counts()["us-tls"]
    assert (counts["requests"], counts["open"], counts["connections"]) == (0, 0, 1)


def test_plain_bytes_on_a_tls_site_fail_the_handshake(vendor: StandIn) -> None:
    with connect(vendor, "us-tls") as sock:
        sock.sendall(request())
        while vendor.counts()["us-tls"]["tls_failures"] == 0:
            time.sleep(0.01)
    assert vendor.counts()["us-tls"]["requests"] == 0


def test_open_connections_are_counted(vendor: StandIn) -> None:
    while vendor.counts()["eu"]["open"]:
        time.sleep(0.01)
    with Client(vendor, "eu") as first, Client(vendor, "eu") as second:
        first.ask(request())
        second.ask(request())
        assert vendor.counts()["eu"]["open"] == 2
    while vendor.counts()["eu"]["open"]:
        time.sleep(0.01)
    assert vendor.counts()["eu"]["connections"] == 2
