"""What all client connections of one worker share: policies, pools, timers, counts.

Built from settings; other settings make another gateway, which succeeds this one: what is in hand ends here, what
comes next is served there. Must not know of processes, sockets or signals.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from typing import Final, cast

from proxy.edge.config import ConfigDesk
from proxy.edge.connection import ClientConnection, TlsClientConnection
from proxy.model.failure import FailureKind
from proxy.model.record import Record
from proxy.model.verdict import Reason
from proxy.observe.ledger import Counter, Gauge, Ledger
from proxy.observe.logs import AccessLog
from proxy.policy.admission import Admission
from proxy.policy.answers import Answers
from proxy.policy.bounds import LimitsInUse, TimeoutsInUse
from proxy.policy.describe import Describer
from proxy.policy.headers import HeaderPolicy
from proxy.policy.origins import CorsPolicy, UnknownHeaders
from proxy.policy.targets import Target
from proxy.runtime.clock import wall
from proxy.runtime.timers import TimerWheel
from proxy.settings import Settings
from proxy.spool.tee import Tee
from proxy.upstream.pool import Pool
from proxy.wire.answer import AnswerReader
from proxy.wire.referee import Referees

# As much as the loop reads at once.
READ_BUFFER: Final = 256 * 1024

_log = logging.getLogger("proxy.edge")


class Gateway:
    """The data plane of one worker."""

    def __init__(
        self, settings: Settings, ledger: Ledger, loop: asyncio.AbstractEventLoop, tee: Tee | None = None
    ) -> None:
        self.settings = settings
        self.tee = tee
        archive = settings.archive
        self.describer = Describer(archive.headers if archive else (), archive.client_ip if archive else "off")
        self.limits = LimitsInUse(settings.limits)
        self.timeouts = TimeoutsInUse(settings.timeouts)
        self.ledger = ledger
        self.cors = CorsPolicy(settings.cors, (settings.jwt.header,) if settings.jwt else ())
        self.headers = HeaderPolicy(settings)
        self.admission = Admission(settings, self.headers, self.cors)
        self.answers = Answers(settings)
        self.reader = self.headers.reader(settings)
        self.referees = Referees()
        self.wheel = TimerWheel(loop, self._each_second)
        self.read_buffer = memoryview(bytearray(READ_BUFFER))
        self.on_keys_wanted: Callable[[], None] = lambda: None
        self.draining = False
        self.successor: Gateway | None = None
        self._predecessors: list[Gateway] = []  # whose last requests are still in hand
        self.date = _date_line()
        self.connections: int = 0
        self.exchanges: int = 0
        self._inflight: int = 0
        self._unknown_headers = UnknownHeaders()
        self._access = AccessLog(settings.log.access, loop, sample=settings.log.sample)
        self._clients: set[ClientConnection] = set()
        self._pools: dict[tuple[object, ...], Pool] = {}
        cookies = [name.encode() for name in settings.headers.forward_cookies]
        answer_reader = AnswerReader(fields=settings.limits.answer_fields, cookies=cookies)
        for target in self.admission.targets:
            if target.peer.identity not in self._pools:
                self._pools[target.peer.identity] = Pool(target.peer, settings, answer_reader, self.wheel, ledger)
        self._by_target = {id(t): self._pools[t.peer.identity] for t in self.admission.targets}
        self.config_answers = ConfigDesk(self)
        # Unique over workers and restarts without a system call per request.
        self._id_prefix = os.urandom(6).hex().encode()
        self._ids = count()

    def protocol_factory(self, tls: bool) -> Callable[[], asyncio.Protocol]:
        """Makes the protocol of each accepted connection."""
        # A compiled class can't have asyncio's base classes; the loop asks for the methods alone.
        kind = TlsClientConnection if tls else ClientConnection
        return lambda: cast(asyncio.Protocol, kind(self, tls))

    # -- the worker's side

    def drain(self) -> None:
        """Take no further requests: idle connections close, busy ones after their answer."""
        for each in self._all:
            each.draining = True
        for client in list(self._clients):
            client.drain()
        for pool in self._pools.values():
            pool.close()

    @property
    def _all(self) -> list[Gateway]:
        return [*self._predecessors, self]

    @property
    def in_hand(self) -> tuple[int, int]:
        """Connections and requests, those that its predecessors have still to end included."""
        return sum(each.connections for each in self._all), sum(each.exchanges for each in self._all)

    @property
    def has_predecessors(self) -> bool:
        """Whether requests that began before a reload are still in hand."""
        return bool(self._predecessors)

    def succeed(self, former: Gateway) -> None:
        """Take over from a gateway with other settings: its connections as soon as they have no request in hand."""
        former.successor = self
        self._predecessors = former._all
        former._predecessors = []
        if former.settings.upstreams == self.settings.upstreams:  # else its answers may be another vendor's
            for entry in former.config_answers.last_good.entries():
                self.config_answers.load(entry)
        self.config_answers.on_store = former.config_answers.on_store
        for client in list(former._clients):
            client.move(self)
        for pool in former._pools.values():
            pool.close()

    def latest(self) -> Gateway:
        """The gateway that has succeeded this one last; itself while none has."""
        latest = self
        while latest.successor is not None:
            latest = latest.successor
        return latest

    def hand_over(self, client: ClientConnection, successor: Gateway) -> None:
        """A connection goes on by a successor's settings, its deadline unchanged."""
        deadline = client.deadline
        self.closed(client)
        successor.connections += 1
        successor._clients.add(client)
        successor.wheel.set(client, deadline)

    def abort(self) -> None:
        """The drain limit is reached: cut what is left."""
        for former in self._predecessors:
            former.abort()
        for client in list(self._clients):
            client.fail(FailureKind.DRAIN_TIMEOUT)
        for pool in self._pools.values():
            pool.abort()

    async def close(self) -> None:
        """Let go of everything."""
        self.abort()
        for client in list(self._clients):
            client.abort()
        self.wheel.close()
        self._access.close()
        # Transports report their end in the loop's next turn.
        await asyncio.sleep(0)

    # -- the connections' side

    def opened(self, client: ClientConnection, tls: bool) -> bool:
        """Count a connection, after its TLS handshake if it has one; False when there is no room for it."""
        if tls:
            self.ledger.count(Counter.TLS_HANDSHAKES_COMPLETED)
        self.connections += 1
        self._clients.add(client)
        self.ledger.count(Counter.CONNECTIONS_ACCEPTED)
        if self.connections <= self.limits.connections:
            return True
        self.ledger.count(Counter.CONNECTIONS_REFUSED)
        return False

    def closed(self, client: ClientConnection) -> None:
        """A connection is gone."""
        self.connections -= 1
        self._clients.discard(client)
        self.wheel.remove(client)

    def request_id(self) -> bytes:
        """A new id: 20 or more hexadecimal digits."""
        return b"%b%08x" % (self._id_prefix, next(self._ids))

    def pool(self, target: Target) -> Pool:
        """The connections that can carry requests to a target."""
        return self._by_target[id(target)]

    def reserve(self, size: int) -> bool:
        """Set memory aside for a request's body; False when `limits.inflight_bytes` is used up."""
        if self._inflight + size > self.limits.inflight_bytes:
            return False
        self._inflight += size
        return True

    def unreserve(self, size: int) -> None:
        """Give it back."""
        self._inflight -= size

    def record(self, record: Record) -> None:
        """A request is over."""
        self.ledger.record(record)
        self._access.record(record)

    def advise(self, reason: Reason) -> None:
        """A request was let in that would have been refused for its token, if that were enforced."""
        self.ledger.count(Counter.TOKENS_ADVISED)

    def unknown_headers(self, names: tuple[bytes, ...]) -> None:
        """An allowed origin's preflight asked for header names that no known SDK sends."""
        self.ledger.count(Counter.UNKNOWN_CORS_HEADERS, len(names))
        for name in names:
            if self._unknown_headers.first_time(name):
                _log.warning("preflights ask for a header that no known SDK sends; granted: %r", name.decode())

    def _each_second(self, now: float) -> None:
        self.date = _date_line()
        for pool in self._pools.values():
            pool.tick()
        if self.successor is not None:
            self._fade()
            return
        self._tell()
        tokens = self.admission.tokens
        if tokens is not None and tokens.wants_keys:
            tokens.wants_keys = False
            self.on_keys_wanted()
        if self.tee is not None:
            self.tee.tick(now)

    def _fade(self) -> None:
        """Go once the last request is over."""
        if self.connections or self.exchanges:
            return
        for pool in self._pools.values():
            pool.abort()
        self.wheel.close()
        self._access.close()
        self.latest()._predecessors.remove(self)

    def _tell(self) -> None:
        ledger = self.ledger
        ledger.lag(self.wheel.take_lag())
        opened = idle = troubled = 0
        for pool in (pool for each in self._all for pool in each._pools.values()):
            more = pool.gauges()
            opened, idle, troubled = opened + more[0], idle + more[1], troubled + more[2]
        for target in self.admission.targets:
            ledger.breaker(target.region, target.route, self.pool(target).is_troubled)
        connections, exchanges = self.in_hand
        ledger.gauge(Gauge.CONNECTIONS, connections)
        ledger.gauge(Gauge.EXCHANGES, exchanges)
        ledger.gauge(Gauge.INFLIGHT_BYTES, sum(each._inflight for each in self._all))
        ledger.gauge(Gauge.UPSTREAM_CONNECTIONS, opened)
        ledger.gauge(Gauge.UPSTREAM_IDLE, idle)
        ledger.gauge(Gauge.BREAKERS_OPEN, troubled)


def _date_line() -> bytes:
    return b"Date: " + formatdate(wall(), usegmt=True).encode() + b"\r\n"
