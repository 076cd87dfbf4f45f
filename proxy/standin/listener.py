"""Accepts the connections of one site, and ends some of them before they have begun.

Accepting by hand, not with `create_server`, is what makes a reset before the TLS handshake
possible, and a connection that is never read. Must not know what is spoken on a connection.
"""

from __future__ import annotations

import asyncio
import socket

from proxy.standin.actions import EXAMPLE, Action
from proxy.standin.connection import Connection
from proxy.standin.records import Peer
from proxy.standin.site import Site
from proxy.standin.steps import End, Ending
from proxy.standin.wire import reset_on_close

BACKLOG = 4096  # a benchmark connects in bursts; the kernel caps it at net.core.somaxconn
HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0  # for the peer's close_notify
UNREAD = 10_000  # connections held without being read, far above what a pool opens; more are closed
BREATH = 0.1  # seconds without accepting when the process has no file descriptor left


class Listener:
    """One listening socket and its connections."""

    def __init__(self, site: Site, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._site = site
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        self._connections: set[Connection] = set()
        self._unread: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Begins to accept."""
        self._spawn(self._accept())

    def stop(self) -> None:
        """Stops accepting and drops every connection."""
        for task in self._tasks:
            task.cancel()
        for connection in tuple(self._connections):
            connection.abort()
        for sock in (self._socket, *self._unread):
            sock.close()

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(BREATH)
                continue
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        counts = self._site.counts
        counts.connections += 1
        peer = Peer(self._site.name, next(self._site.vendor.connection_numbers))
        action = self._site.vendor.behaviour.at_accept(self._site.name)
        if action is not None:
            self._spoil(sock, action)
            return
        counts.open += 1
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._spawn(self._connect(sock, peer))

    def _spoil(self, sock: socket.socket, action: Action) -> None:
        """Ends, or ignores, a connection of which nothing has been read."""
        ways = [step.how for step in action.plan(EXAMPLE).steps if isinstance(step, End)]
        if Ending.IGNORE in ways:
            self._ignore(sock)
            return
        if Ending.RESET in ways:
            reset_on_close(sock)
        sock.close()

    def _ignore(self, sock: socket.socket) -> None:
        """Holds a connection until its client leaves."""

        def gone() -> None:
            self._unread.discard(sock)
            sock.close()

        if len(self._unread) < UNREAD:
            self._unread.add(sock)
            self._site.vendor.departures.watch(sock.fileno(), gone)
        else:
            sock.close()

    async def _connect(self, sock: socket.socket, peer: Peer) -> None:
        connection = Connection(self._site, sock, peer, self._gone)
        tls = self._site.tls
        limits = {"ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": SHUTDOWN_SECONDS} if tls else {}
        self._connections.add(connection)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock, ssl=tls, **limits)
        except OSError:  # includes ssl.SSLError: the client went away or did not like the certificate
            self._site.counts.tls_failures += 1
            self._gone(connection)
            sock.close()

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._site.counts.open -= 1
