"""Connections to one peer: reuse, opening, and the circuit breaker in front.

Acquiring never waits in the caller: a carrier is told at once, or later by a callback. Most recently
used connections go first, so that the others grow idle and are closed before the upstream does it.
Must not know what the exchanges are.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from typing import Final, cast

from proxy.model.failure import FailureKind
from proxy.observe.ledger import Counter, Ledger
from proxy.policy.bounds import LimitsInUse, TimeoutsInUse
from proxy.policy.breaker import Breaker, State, Transition
from proxy.policy.targets import Peer
from proxy.runtime.clock import monotonic
from proxy.runtime.tasks import spawn
from proxy.runtime.timers import TimerWheel
from proxy.settings import Settings
from proxy.upstream.connection import Carrier, TlsUpstreamConnection, UpstreamConnection
from proxy.upstream.resolver import Resolver, Unresolvable
from proxy.upstream.tls import client_context
from proxy.wire.answer import AnswerReader

# Those who wait for a connection are given new ones in steps, so far apart.
STEP_SECONDS: Final = 0.005
# What a machine says that lacks something itself; it is not the upstream's fault.
_LACKS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# As much as an answer's read takes at once; a larger one takes several.
READ_BUFFER: Final = 64 * 1024

_log = logging.getLogger("proxy.upstream")


class Pool:
    """All connections of one worker to one peer."""

    def __init__(self, peer: Peer, settings: Settings, reader: AnswerReader, wheel: TimerWheel, ledger: Ledger) -> None:
        self.limits = LimitsInUse(settings.limits)
        self.reader = reader
        self.wheel = wheel
        self._peer = peer
        self._timeouts = TimeoutsInUse(settings.timeouts)
        self._ledger = ledger
        self._tls = client_context(peer.ca_file) if peer.tls else None
        self._resolver = Resolver(peer.connect_host, peer.connect_port, settings.timeouts.resolve, monotonic)
        self._breaker = Breaker(settings.breaker.failures, settings.breaker.open)
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self._waiting: dict[Carrier, float] = {}  # since when, in the order of their coming
        self._connecting: int = 0
        self._stride: int = 1  # how many are opened in the next step
        self._next_step: asyncio.TimerHandle | None = None
        self.read_buffer = memoryview(bytearray(READ_BUFFER if peer.tls else 0))
        self._closed = False
        self._aborted = False

    # -- for carriers

    def acquire(self, carrier: Carrier, *, fresh: bool = False) -> None:
        """Get a connection: `carrier.connected` or `carrier.upstream_failed` follows, perhaps at once.
        `fresh`: no idle one, because one of them has just turned out to be dead."""
        if self._aborted:
            carrier.upstream_failed(FailureKind.DRAIN_TIMEOUT)
            return
        if not self._breaker.permits(monotonic()):
            carrier.upstream_failed(FailureKind.BREAKER_OPEN)
            return
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.usable:
                self._give(connection, carrier)
                return
        if len(self._open) + max(self._connecting, len(self._waiting)) >= self.limits.upstream_connections:
            carrier.upstream_failed(FailureKind.POOL_FULL)
            return
        self._waiting[carrier] = monotonic()
        if self._next_step is not None:
            return
        if self._open or self._connecting:
            # One of those is most often given back sooner than another could be opened.
            self._next_step = asyncio.get_running_loop().call_later(STEP_SECONDS, self._step)
        else:
            self._step()

    def forget(self, carrier: Carrier) -> None:
        """The carrier no longer wants a connection."""
        self._waiting.pop(carrier, None)

    def awaits(self, carrier: Carrier) -> bool:
        """Whether a carrier waits for a connection."""
        return carrier in self._waiting

    def answered(self) -> None:
        """The upstream answered something: it is alive, whatever the status."""
        if self._breaker.troubled:
            self._note(self._breaker.succeeded(monotonic()))

    def failed(self, kind: FailureKind) -> None:
        """An exchange failed in a way that speaks about the upstream as a whole."""
        if kind is FailureKind.UPSTREAM_TIMEOUT:
            self._note(self._breaker.failed(monotonic()))

    # -- for connections

    def release(self, connection: UpstreamConnection) -> None:
        """A connection finished its exchange in good order."""
        if self._waiting:
            self._give(connection, self._next())
        elif self._closed or len(self._idle) >= self.limits.upstream_idle:
            connection.close()
        else:
            self._idle.append(connection)
            connection.waited = True
            self.wheel.set(connection, monotonic() + self._timeouts.upstream_idle)

    def _give(self, connection: UpstreamConnection, carrier: Carrier) -> None:
        """What one carrier raises (there may be no memory for its request) must not keep it waiting for ever, nor reach
        the one that has just given the connection back."""
        try:
            carrier.connected(connection)
        except Exception:
            connection.refuse(carrier)
            _log.exception("an exchange with %s could not begin", self._peer)

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        self.wheel.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def unsolicited(self, connection: UpstreamConnection) -> None:
        """Bytes came that nobody asked for: they and the connection are thrown away."""
        self._ledger.count(Counter.UPSTREAM_UNSOLICITED)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.abort()

    # -- for the worker

    def tick(self) -> None:
        """Once a second: names are asked again even while no connection is opened, and who has waited as long as an
        attempt may take, without one being made for it, waits no longer."""
        patience = monotonic() - self._timeouts.connect
        while len(self._waiting) > self._connecting and next(iter(self._waiting.values())) < patience:
            self._next().upstream_failed(FailureKind.POOL_FULL)
        if self._open and self._resolver.due:
            spawn(self._refresh(), "upstream-resolve")

    @property
    def is_troubled(self) -> bool:
        """Whether requests are kept from the upstream now."""
        return self._breaker.state is not State.CLOSED

    def gauges(self) -> tuple[int, int, int]:
        """Open connections, idle ones, and 1 while the breaker is not closed."""
        return len(self._open), len(self._idle), int(self.is_troubled)

    def close(self) -> None:
        """Close what is idle; busy connections close when their exchange ends."""
        self._closed = True
        for connection in list(self._idle):
            connection.close()

    def abort(self) -> None:
        """Close everything now."""
        self._closed = self._aborted = True
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        while self._waiting:
            self._next().upstream_failed(FailureKind.DRAIN_TIMEOUT)
        for connection in list(self._open):
            connection.abort()

    # -- opening

    def _next(self) -> Carrier:
        """The one that waits longest."""
        carrier = next(iter(self._waiting))
        del self._waiting[carrier]
        return carrier

    def _step(self) -> None:
        """Open connections for those who wait, 1, then 2, then 4, until nobody does for whom none is being opened.

        A handshake costs as much as ten requests. A crowd that made one for each of its members would hold up everybody
        behind it, itself included, while those that are given back meanwhile could have served most of it."""
        self._next_step = None
        room = self.limits.upstream_connecting - self._connecting
        for _ in range(min(len(self._waiting) - self._connecting, room, self._stride)):
            self._connecting += 1
            spawn(self._connect(), "upstream-connect")
        if len(self._waiting) > self._connecting:
            self._stride = min(self._stride * 2, self.limits.upstream_connecting)
            self._next_step = asyncio.get_running_loop().call_later(STEP_SECONDS, self._step)
        else:
            self._stride = 1

    async def _connect(self) -> None:
        """Open a connection for whoever waits longest when it is ready."""
        connection: UpstreamConnection | None = None
        kind = FailureKind.INTERNAL
        limit = self._timeouts.connect
        try:
            async with asyncio.timeout(limit):
                connection, kind = await self._try_addresses()
        except TimeoutError:
            kind = FailureKind.CONNECT_TIMEOUT
            _log.warning("connecting to %s failed: nothing within %g s", self._peer, limit)
        finally:
            self._connecting -= 1
            if connection is not None:
                self._opened(connection)
            else:
                self._not_opened(kind)
            if len(self._waiting) > self._connecting and self._next_step is None:
                self._step()

    def _opened(self, connection: UpstreamConnection) -> None:
        self._ledger.count(Counter.UPSTREAM_CONNECTS)
        self._open.add(connection)
        self.wheel.set(connection, monotonic() + self._timeouts.upstream_idle)
        self.release(connection)

    def _not_opened(self, kind: FailureKind) -> None:
        """One fails with it, unless as many attempts are left as are waiting."""
        self._ledger.connect_failed(kind)
        carrier = self._next() if len(self._waiting) > self._connecting else None
        if kind is not FailureKind.NO_RESOURCES:
            self._note(self._breaker.failed(monotonic()))
        if carrier is not None:
            carrier.upstream_failed(kind)

    async def _try_addresses(self) -> tuple[UpstreamConnection | None, FailureKind]:
        kind = FailureKind.RESOLVE
        try:
            addresses = await self._resolver.order()
        except Unresolvable as error:
            _log.warning("%s: %s", self._peer, error)
            return None, kind
        # One dead address must not use up the time of all.
        share = max(self._timeouts.connect / len(addresses), self._timeouts.connect / 4)
        for address in addresses:
            kind_of = TlsUpstreamConnection if self._tls else UpstreamConnection
            connection = kind_of(self, address)
            kind = await self._try(connection, address, share)
            if connection.transport is not None and not connection.transport.is_closing():
                return connection, kind
            if kind is FailureKind.NO_RESOURCES:
                return None, kind
            self._resolver.addresses.failed[address] = monotonic()
        self._resolver.doubt()
        return None, kind

    async def _try(self, connection: UpstreamConnection, address: str, share: float) -> FailureKind:
        """One attempt; what it returns only matters when it failed."""
        loop = asyncio.get_running_loop()
        name = self._peer.server_name if self._tls else None
        try:
            async with asyncio.timeout(share):
                await loop.create_connection(
                    lambda: cast(asyncio.Protocol, connection),
                    address,
                    self._peer.connect_port,
                    ssl=self._tls,
                    server_hostname=name,
                )
        except ssl.SSLError as error:
            _log.error("TLS with %s failed: %s", self._peer, error)
            return FailureKind.TLS
        except ConnectionRefusedError:
            kind, problem = FailureKind.CONNECT_REFUSED, "refused"
        except TimeoutError:
            kind, problem = FailureKind.CONNECT_TIMEOUT, f"nothing within {share:g} s"
        except OSError as error:
            kind, problem = FailureKind.CONNECT_ERROR, repr(error)  # the text of some is empty
            if error.errno in _LACKS:
                kind = FailureKind.NO_RESOURCES
        else:
            return FailureKind.UPSTREAM_CLOSED
        _log.warning("connecting to %s, address %s, failed: %s", self._peer, address, problem)
        return kind

    async def _refresh(self) -> None:
        """Ask for the name again and let go of addresses that it no longer has."""
        await self._resolver.refresh()
        known = self._resolver.addresses.known
        for connection in list(self._open):
            if connection.address not in known:
                connection.retire()
                if connection in self._idle:
                    connection.close()

    def _note(self, transition: Transition | None) -> None:
        if transition is None:
            return
        _log.warning("circuit breaker of %s: %s", self._peer, transition.name.lower())
        if transition is Transition.OPENED:
            self._ledger.count(Counter.BREAKER_OPENED)
        if transition is not Transition.CLOSED:
            # Attempts that are under way go on; for nobody else will one be made.
            while len(self._waiting) > self._connecting:
                self._next().upstream_failed(FailureKind.BREAKER_OPEN)
