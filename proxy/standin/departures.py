"""Notices that a client has left although nobody reads its connection.

Without this a slow or ignoring reader would learn of it only behind all the bytes it never reads.
Must not know why a connection is not read.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class Departures:
    """Watches sockets for FIN and RST only; an epoll of its own, that the event loop watches in turn.
    Holds as many entries as there are connections not read at present."""

    __slots__ = ("_epoll", "_watched")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}

    def start(self) -> None:
        """From now on departures are told, by the running event loop."""
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def watch(self, descriptor: int, gone: Callable[[], None]) -> None:
        """Calls `gone` once when the other side of this socket ends the connection."""
        if descriptor not in self._watched:
            self._epoll.register(descriptor, select.EPOLLRDHUP)
        self._watched[descriptor] = gone

    def forget(self, descriptor: int) -> None:
        """To be called before the socket is read again or closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            gone = self._watched.get(descriptor)
            self.forget(descriptor)
            if gone is not None:
                gone()
