"""A loop whose connections are in memory, so that a search can make hundreds of exchanges a second, and repeat them.

Everything of the gateway is real but the sockets: a client's bytes are handed to the protocol as they would come from
the kernel, and connections to the vendor lead to a `Vendor` of the unit tests. Time passes as usual.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Awaitable, Callable
from typing import Any, cast

Visited = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Wire:
    """A transport that keeps what is written, or hands it on. Closing reaches the protocol in the loop's next turn, as
    real transports have it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: Any, take: Callable[[bytes], None] | None = None
    ) -> None:
        self._loop = loop
        self.protocol = protocol
        self.written = bytearray()
        self._take = take if take is not None else self.written.extend
        self.ended: Callable[[], None] = lambda: None  # called once nothing more will be written
        self.is_paused = False
        self._is_closing = False
        self._has_ended = False

    def write(self, data: bytes) -> None:
        if not self._has_ended:
            self._take(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.ended()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self.write_eof()
            self._loop.call_soon(self.protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is taken at once."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 40_000) if name == "peername" else default


class VendorsEnd:
    """The vendor's side of a connection, with as much of a stream writer as its scripts use."""

    def __init__(self, upstream: Wire) -> None:
        self.transport = self
        self._upstream = upstream

    def is_closing(self) -> bool:
        return self._upstream.is_closing()

    def write(self, data: bytes) -> None:
        if not self._upstream.is_closing() and data:
            self._upstream.protocol.data_received(data)

    def write_eof(self) -> None:
        if not self._upstream.is_closing():
            self._upstream.protocol.eof_received()
            self._upstream.close()

    close = abort = write_eof

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class MemoryLoop(asyncio.SelectorEventLoop):
    """`visited` serves each connection that the gateway opens."""

    visited: Visited

    def __init__(self) -> None:
        super().__init__()
        self.escaped: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.escaped.append(context))
        self._visits: set[asyncio.Future[None]] = set()

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        return [(0, 0, 0, "", (host, port))]

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        reader = asyncio.StreamReader(limit=1 << 20, loop=self)
        protocol = protocol_factory()
        wire = Wire(self, protocol, reader.feed_data)
        wire.ended = reader.feed_eof
        protocol.connection_made(wire)
        visit = asyncio.ensure_future(self.visited(reader, cast(asyncio.StreamWriter, VendorsEnd(wire))))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        return wire, protocol

    def settle(self, is_waiting: Callable[[], bool] = lambda: False) -> None:
        """Turn until there is nothing to do at once, and while somebody waits for a timer of milliseconds."""
        running = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while self._ready or is_waiting():  # type: ignore[attr-defined]
                self._run_once()  # type: ignore[attr-defined]
        finally:
            events._set_running_loop(running)
