"""A listening socket whose connections begin with a TLS handshake.

The loop's own server would take whatever waits in one turn, tell nobody before a handshake is over, and nobody at all
of one that fails. Here a few are taken in each turn, so that a flood of handshakes, each as dear as ten requests, never
holds up those who are being served; and each has a name from the start, so that it can be counted and stopped. Must not
know what is served on the connections.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from proxy.runtime.clock import monotonic
from proxy.runtime.tasks import spawn

# Nothing is lost by taking few: a turn without other work takes microseconds, and the rest wait in the kernel's queue.
PER_TURN: Final = 8
# Out of descriptors or memory: asking at once again would only keep the processor busy.
PAUSE_SECONDS: Final = 0.1
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SILENCE_SECONDS: Final = 10.0
# A handshake's end is the newcomer's affair; the loop's own limit must not come first.
_LOOPS_PATIENCE: Final = 5.0

_log = logging.getLogger("proxy.accepting")


class Newcomer(Protocol):
    """What became of one connection is told to it."""

    def protocol(self) -> asyncio.Protocol:
        """Serves the connection once its handshake is over."""

    def began(self, stop: Callable[[], object]) -> None:
        """The handshake goes on by itself; `stop` ends it."""

    def failed(self) -> None:
        """There will be no connection."""


class TlsListener:
    """Takes what comes on a non-blocking listening socket, which it owns, until it is closed. `arrives` is told the
    address of each connection. `handshake` is the seconds that the newcomers stop theirs after."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        handshake: float,
        arrives: Callable[[str], Newcomer],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._context = context
        self._handshake = handshake + _LOOPS_PATIENCE
        self._arrives = arrives
        self._pause: asyncio.TimerHandle | None = None
        self._silent_until = 0.0
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Take no more. Handshakes that have begun go on."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def take(self, accepted: socket.socket) -> None:
        """Begin with a connection that was accepted; one that is gone already is none."""
        try:
            peer = accepted.getpeername()
        except OSError:
            accepted.close()
            return
        self._begin(accepted, peer)

    def _begin(self, accepted: socket.socket, peer: object) -> None:
        accepted.setblocking(False)
        newcomer = self._arrives(peer[0] if isinstance(peer, tuple) else "")
        task = spawn(self._shake_hands(accepted, newcomer), "TLS handshake")
        task.add_done_callback(lambda done: _ended(done, accepted, newcomer))
        newcomer.began(task.cancel)

    def _accept(self) -> None:
        for _ in range(PER_TURN):
            try:
                accepted, peer = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._wait(error)
                    return
                continue  # that client gave up while it waited
            self._begin(accepted, peer)

    def _wait(self, error: OSError) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._loop.add_reader, self._listening, self._accept)
        if monotonic() >= self._silent_until:
            self._silent_until = monotonic() + _SILENCE_SECONDS
            _log.error("no connection can be accepted: %s", error.strerror)

    async def _shake_hands(self, accepted: socket.socket, newcomer: Newcomer) -> bool:
        try:
            await self._loop.connect_accepted_socket(
                newcomer.protocol, accepted, ssl=self._context, ssl_handshake_timeout=self._handshake
            )
        except OSError:
            return False  # one of the two did not like what the other said, or the client left
        return True


def _ended(task: asyncio.Task[bool], accepted: socket.socket, newcomer: Newcomer) -> None:
    if task.cancelled() or task.exception() is not None or not task.result():
        accepted.close()
        newcomer.failed()
