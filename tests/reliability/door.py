"""A door in front of the vendor that can be closed in several ways, while the vendor behind it is well.

Bytes pass unseen: TLS goes through it from end to end. Runs on a thread and a loop of its own.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tests.gateway import free_port

_FULL = 8  # connections that fill an accept queue of length 0, and some


class Door:
    """Open when entered; `port` is where to knock, `behind` the vendor's port, which may be changed."""

    def __init__(self, behind: int, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port or free_port(host)
        self.behind = behind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._unlock())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._lock())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens, and who is inside is thrown out."""
        self._do(self._lock())
        yield
        self._do(self._unlock())

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """A black hole: packets of new connections are dropped, nothing moves on the old ones."""
        self._loop.call_soon_threadsafe(self._passing.clear)
        self._do(self._lock(throw_out=False))
        with socket.socket() as hole:
            hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            hole.bind((self.host, self.port))
            hole.listen(0)
            waiting = [socket.socket() for _ in range(_FULL)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex((self.host, self.port))
            yield
            for each in waiting:
                each.close()
        self._do(self._throw_out())
        self._do(self._unlock())

    @contextmanager
    def leading_to(self, port: int) -> Iterator[None]:
        """Somebody else stands behind it; who is inside is thrown out."""
        before, self.behind = self.behind, port
        self._do(self._throw_out())
        yield
        self.behind = before
        self._do(self._throw_out())

    # -- the loop's side

    def _do(self, what: object) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(20)  # type: ignore[arg-type]

    async def _unlock(self) -> None:
        self._passing.set()
        self._server = await asyncio.start_server(self._pass, self.host, self.port, reuse_address=True)

    async def _lock(self, *, throw_out: bool = True) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if throw_out:
            await self._throw_out()

    async def _throw_out(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self.behind)
            self._open.add(outer)
            try:
                await asyncio.gather(self._pump(reader, outer), self._pump(inner, writer))
            finally:
                self._open.discard(outer)
                outer.close()
        except (ConnectionError, OSError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
