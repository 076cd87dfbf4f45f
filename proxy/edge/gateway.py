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

from proxy.edge.arrival import Arrival
from proxy.edge.config import ConfigDesk
from proxy.edge.connection import FIRST_BYTE_WHILE_DRAINING, ClientConnection, TlsClientConnection
from proxy.edge.room import Guest, Room
from proxy.model.failure import FailureKind
from proxy.model.record import Record
from proxy.model.verdict import Reason
from proxy.observe.ledger import Counter, Gauge, Ledger
from proxy.observe.logs import AccessLog
from proxy.policy.admission import Admission, Admit
from proxy.policy.answers import Answers
from proxy.policy.bounds import LimitsInUse, TimeoutsInUse
from proxy.policy.describe import Describer
from proxy.policy.headers import ClientSide, HeaderPolicy
from proxy.policy.limits import network_key
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
        self.room = Room(self.limits, ledger)
        self.exchanges: int = 0
        self._inflight: int = 0
        self._unknown_headers = UnknownHeaders()
        self._access = AccessLog(settings.log.access, loop, sample=settings.log.sample)
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

    def protocol_factory(self) -> Callable[[], asyncio.Protocol]:
        """Makes the protocol of each connection that is accepted without TLS."""
        # A compiled class can't have asyncio's base classes; the loop asks for the methods alone.
        return lambda: cast(asyncio.Protocol, ClientConnection(self, False))

    def arrives(self, peer: str) -> Arrival:
        """A connection from this address was accepted on a TLS listener: its handshake begins."""
        latest = self.latest()
        client = TlsClientConnection(latest, True)
        client.side = latest.headers.client(peer, True)
        client.home = latest.home(client.side)
        client.arrival = arrival = Arrival(latest, client.home, client)
        latest.ledger.count(Counter.TLS_HANDSHAKES_BEGUN)
        arrival.refusal = latest.room.enter(arrival, latest.wheel.now)
        latest.room.shake_hands(arrival)
        latest.wheel.after(arrival, latest.timeouts.tls_handshake)
        if arrival.refusal is not None:
            latest.room.part(arrival)
        if latest.draining:
            arrival.drain()
        return arrival

    # -- the worker's side

    def drain(self) -> None:
        """Take no further requests: idle connections close, busy ones after their answer."""
        for each in self._all:
            each.draining = True
        for client in self.clients():
            client.drain()
        for pool in self._pools.values():
            pool.close()

    def clients(self) -> list[ClientConnection | Arrival]:
        """All connections, those in their TLS handshake included."""
        return cast(list[ClientConnection | Arrival], self.room.guests())

    @property
    def connections(self) -> int:
        """How many they are."""
        return len(self.room)

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
        for client in former.clients():
            client.move(self)
        for pool in former._pools.values():
            pool.close()

    def latest(self) -> Gateway:
        """The gateway that has succeeded this one last; itself while none has."""
        latest = self
        while latest.successor is not None:
            latest = latest.successor
        return latest

    def hand_over(self, client: Guest, successor: Gateway) -> None:
        """A connection goes on by a successor's settings, its deadline unchanged."""
        deadline = client.deadline
        self.room.hand_over(client, successor.room)
        self.wheel.remove(client)
        successor.wheel.set(client, deadline)

    def abort(self) -> None:
        """The drain limit is reached: cut what is left."""
        for former in self._predecessors:
            former.abort()
        for client in self.clients():
            client.fail(FailureKind.DRAIN_TIMEOUT)
        for pool in self._pools.values():
            pool.abort()

    async def close(self) -> None:
        """Let go of everything."""
        self.abort()
        for client in self.clients():
            client.abort()
        self.wheel.close()
        self._access.close()
        # Transports report their end in the loop's next turn.
        await asyncio.sleep(0)

    # -- the connections' side

    def opened(self, client: ClientConnection, tls: bool, arrival: Arrival | None) -> Reason | None:
        """Count a connection, after its TLS handshake if it has one; why it must be refused, if it must.
        `arrival` has kept its place until now, if there was one."""
        if tls:
            self.ledger.count(Counter.TLS_HANDSHAKES_COMPLETED)
        self.ledger.count(Counter.CONNECTIONS_ACCEPTED)
        if arrival is None:
            refusal = self.room.enter(client, self.wheel.now)
        else:
            refusal = arrival.refusal
            self.closed(arrival)
            self.room.stay(client)
        if refusal is not None:
            self.ledger.count(Counter.CONNECTIONS_REFUSED)
        return refusal

    def part(self, client: Guest) -> None:
        """A connection has had its last answer."""
        self.room.part(client)

    def closed(self, client: Guest) -> None:
        """A connection is gone."""
        self.room.leave(client)
        self.wheel.remove(client)

    def hurry(self, client: Guest) -> None:
        """A connection has no longer than this for its request."""
        self.wheel.after(client, FIRST_BYTE_WHILE_DRAINING)

    def home(self, side: ClientSide) -> str:
        """What a client's connections are counted as; empty where nobody counts them: a proxy's are many people's."""
        if side.trusted or not self.limits.connections_per_ip or not side.peer:
            return ""
        return network_key(side.peer)

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

    def advise(self, verdict: Admit) -> None:
        """A request was let in that would have been refused for its origin or its token, if that were enforced."""
        if verdict.is_foreign:
            self.ledger.count(Counter.FOREIGN_SERVED)
        if verdict.advice is not None:
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
