"""One transport and what can be done to it: write, wait, pause, and end it in each possible way.

Must not know of requests, answers or plans.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from proxy.standin.departures import Departures
from proxy.standin.steps import Ending

SLOW_BUFFER = 4096  # bytes of receive buffer of a slow reader: the sender soon feels it
FLUSH_PAUSE = 0.01  # seconds between looks at the write buffer, and after its last byte left
LINGER_SECONDS = 2.0  # how long a closed connection still swallows what is under way to it
RST_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds


def reset_on_close(sock: socket.socket) -> None:
    """Makes the next close of this socket an RST instead of a FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)


class Wire:
    """The transport of one connection. `deaf` says that whatever comes in is not looked at."""

    __slots__ = ("_departures", "_descriptor", "_paused", "_sock", "_transport", "_writable", "deaf", "write")

    def __init__(self, sock: socket.socket, transport: asyncio.Transport, departures: Departures) -> None:
        self._sock = sock
        self._descriptor = sock.fileno()
        self._departures = departures
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self.deaf = False
        self.write = transport.write

    def full(self) -> None:
        """The client takes nothing at present."""
        self._writable.clear()

    def drained(self) -> None:
        """The client takes bytes again."""
        self._writable.set()

    async def taken(self) -> None:
        """Waits while the client takes nothing."""
        await self._writable.wait()

    async def flushed(self) -> None:
        """Waits until everything written has left, so that a reset does not overtake it; meanwhile
        nothing is read."""
        self.pause()
        await asyncio.sleep(FLUSH_PAUSE)
        # A transport calls back when it is nearly empty, never when it is.
        while self._transport.get_write_buffer_size():  # noqa: ASYNC110
            await asyncio.sleep(FLUSH_PAUSE)

    def pause(self) -> None:
        """Reads no more for now."""
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
            self._departures.watch(self._descriptor, self._transport.abort)

    def resume(self) -> None:
        """Reads again."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._departures.forget(self._descriptor)
            self._transport.resume_reading()

    def narrow(self) -> None:
        """From now on as little as possible is received in advance."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
        limit = getattr(self._transport, "set_read_buffer_limits", None)  # TLS transports have it
        if limit is not None:
            limit(high=SLOW_BUFFER)

    def finish(self, how: Ending, more_to_come: bool) -> None:
        """Ends the connection in this way. `more_to_come` says that the client is still sending: a
        plain close would then turn into a reset, which destroys what was written before."""
        self.deaf = True
        if how is not Ending.IGNORE:
            self._departures.forget(self._descriptor)
        match how:
            case Ending.RESET:
                reset_on_close(self._sock)
                self._transport.abort()
            case Ending.EOF:
                self._sock.shutdown(socket.SHUT_WR)
                self._linger()
            case Ending.IGNORE:
                self.pause()
            case Ending.CLOSE if more_to_come and self._transport.can_write_eof():
                self._transport.write_eof()
                self._linger()
            case _:
                self._transport.close()

    def lost(self) -> None:
        """The connection is no more; its descriptor may already be another's."""
        self.deaf = True
        self._departures.forget(self._descriptor)

    def _linger(self) -> None:
        self.resume()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def abort(self) -> None:
        """The stand-in is shutting down."""
        self._transport.abort()
