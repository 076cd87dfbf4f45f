"""A connection on a TLS listener until its handshake is over.

It takes a place from the moment it is accepted, since it holds memory from then on; with the handshake's end the place
is the connection's own. Must not know how a handshake is made (see `runtime.accepting`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from proxy.edge.room import BEGINNING, FRESH, GRACE, Guest
from proxy.model.cut import Cut
from proxy.model.failure import FailureKind
from proxy.model.verdict import Reason
from proxy.observe.ledger import Counter
from proxy.runtime.timers import TICK

if TYPE_CHECKING:
    from proxy.edge.connection import ClientConnection
    from proxy.edge.gateway import Gateway


class Arrival(Guest):
    """`refusal` is why the connection is going to be refused, once it can be told so."""

    __slots__ = ("_client", "_gateway", "_is_judged", "_stop", "refusal")

    def __init__(self, gateway: Gateway, home: str, client: ClientConnection) -> None:
        Guest.__init__(self)
        self.home = home
        self.refusal: Reason | None = None
        self._gateway = gateway
        self._client = client
        self._stop: Callable[[], object] | None = None
        self._is_judged = False  # counted as something else than a failed handshake

    # -- the listener's side

    def protocol(self) -> asyncio.Protocol:
        """What serves the connection once the handshake is over."""
        return cast(asyncio.Protocol, self._client)  # it has the methods, not the class

    def began(self, stop: Callable[[], object]) -> None:
        """The handshake goes on by itself; `stop` ends it."""
        self._stop = stop

    def failed(self) -> None:
        """There will be no connection: what the client sent was wrong, or it is gone, or it was stopped."""
        if not self._is_judged:
            self._gateway.ledger.count(Counter.TLS_HANDSHAKES_FAILED)
        self._gateway.closed(self)
        self._client.arrival = None  # or the two would keep each other

    # -- the room's side

    def standing(self, now: float) -> int:
        since = self.deadline - TICK - self._gateway.timeouts.tls_handshake
        return BEGINNING if now - since >= GRACE else FRESH

    def make_way(self) -> None:
        self._is_judged = True
        self._gateway.ledger.cut(Cut.HANDSHAKE)
        self.cut()

    def cut(self) -> None:
        self._is_judged = True
        if self._stop is not None:
            self._stop()

    # -- the gateway's side

    def expire(self, now: float) -> None:
        if not self._is_judged:
            self._gateway.ledger.count(Counter.TLS_HANDSHAKES_TIMED_OUT)
        self.cut()

    def drain(self) -> None:
        """Its request may be on the way, but not for long."""
        self._gateway.hurry(self)

    def move(self, gateway: Gateway) -> None:
        """Arrive at another gateway instead."""
        former, self._gateway = self._gateway, gateway
        former.hand_over(self, gateway)

    def fail(self, kind: FailureKind) -> None:
        """End now."""
        self.cut()

    def abort(self) -> None:
        """End now."""
        self.cut()
