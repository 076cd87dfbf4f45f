"""Proves that a client's leaving is noticed on a socket that nobody reads, once, and by nobody else."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from proxy.standin.departures import Departures

LIMIT = 10.0


async def told(departures: Departures, sock: socket.socket) -> None:
    """Returns when the other side is gone."""
    event = asyncio.Event()
    departures.watch(sock.fileno(), event.set)
    async with asyncio.timeout(LIMIT):
        await event.wait()


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)])
def test_a_client_that_leaves_unread_bytes_behind_is_noticed(linger: bytes) -> None:
    async def run() -> None:
        departures = Departures()
        departures.start()
        client, server = pair()
        with client, server:
            client.sendall(b"never read")
            if linger:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
            await told(departures, server)

    asyncio.run(run())


def test_bytes_alone_are_no_departure_and_a_forgotten_socket_tells_nothing() -> None:
    async def run() -> None:
        departures = Departures()
        departures.start()
        seen: list[str] = []
        (staying, kept), (leaving, forgotten), (last, marker) = pair(), pair(), pair()
        with staying, kept, leaving, forgotten, last, marker:
            departures.watch(kept.fileno(), lambda: seen.append("kept"))
            departures.watch(forgotten.fileno(), lambda: seen.append("forgotten"))
            departures.forget(forgotten.fileno())
            staying.sendall(b"still here")
            leaving.close()
            last.close()
            await told(departures, marker)
        assert seen == []

    asyncio.run(run())


def test_watching_again_replaces_and_forgetting_twice_is_no_error() -> None:
    async def run() -> None:
        departures = Departures()
        departures.start()
        client, server = pair()
        with client, server:
            departures.watch(server.fileno(), lambda: pytest.fail("replaced"))
            client.close()
            await told(departures, server)
            departures.forget(server.fileno())

    asyncio.run(run())
