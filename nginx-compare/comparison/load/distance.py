"""A long way: a relay that holds every byte back for a while in each direction, and hurries none.

    python -m comparison.load.distance '{"port": 9443, "listen": 9444, "one_way": 0.02}'

A connection's set-up is not delayed as such (the kernel answers it), what is said on it is, TLS handshakes included.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any, cast

import uvloop


class End(asyncio.Protocol):
    """One side of a relayed connection. What comes is passed to `other` after `one_way` seconds."""

    def __init__(self, one_way: float) -> None:
        self._one_way = one_way
        self._early: list[bytes] = []
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._one_way, self._deliver, data)

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._one_way, self._close)

    def join(self, other: End) -> None:
        """From now on `other` gets what comes, and what came before it was there."""
        self.other = other
        for data in self._early:
            self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self.other.transport and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def _close(self) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


class NearEnd(End):
    """The side that was connected to; it dials the far one."""

    def __init__(self, one_way: float, port: int, dials: set[asyncio.Task[None]]) -> None:
        super().__init__(one_way)
        self._port = port
        self._dials = dials

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        dial = asyncio.get_running_loop().create_task(self._dial())
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: End(self._one_way), "127.0.0.1", self._port)
        except OSError:
            self._close_self()
            return
        far.join(self)
        self.join(far)

    def _close_self(self) -> None:
        if self.transport:
            self.transport.abort()


async def serve(order: dict[str, Any]) -> None:
    """Relays until it is ended."""
    dials: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: NearEnd(order["one_way"], order["port"], dials), "127.0.0.1", order["listen"], backlog=2048
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(json.loads(sys.argv[1])))
