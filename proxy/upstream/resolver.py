"""Names to addresses, asked again within bounds, and which address to try first.

The last good addresses are kept when the name server fails: an upstream that still answers is
worth more than a fresh list. Must not know what is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.runtime.tasks import spawn

# An address that failed is tried last for so many seconds.
PENALTY = 10.0
# More addresses than this are not tried or kept; public names have at most a dozen.
ADDRESSES = 16


class Unresolvable(OSError):
    """No address is known for the name."""


@dataclass(slots=True)
class Addresses:
    """What is known of one name. Times are monotonic seconds; `asked` is when it was last asked."""

    known: tuple[str, ...] = ()
    asked: float = float("-inf")
    failed: dict[str, float] = field(default_factory=dict)
    turn: int = 0

    def order(self, now: float) -> list[str]:
        """All addresses, the next in turn first, those that failed lately last."""
        self.turn += 1
        start = self.turn % len(self.known) if self.known else 0
        turned = [*self.known[start:], *self.known[:start]]
        return sorted(turned, key=lambda address: now - self.failed.get(address, float("-inf")) < PENALTY)

    def learn(self, addresses: tuple[str, ...], now: float) -> None:
        """Take a new list."""
        self.known = addresses[:ADDRESSES]
        self.asked = now
        self.failed = {address: at for address, at in self.failed.items() if address in self.known}


class Resolver:
    """Resolves one name; `lifetime` in seconds is how long an answer is used before asking again."""

    def __init__(self, host: str, port: int, lifetime: float, clock: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._lifetime = lifetime
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self.addresses = Addresses()

    @property
    def due(self) -> bool:
        """Whether it is time to ask again."""
        return self._asking is None and self._clock() - self.addresses.asked >= self._lifetime

    async def order(self) -> list[str]:
        """Addresses in the order to try them. Raises Unresolvable when none is known."""
        if self.due or not self.addresses.known:
            await self.refresh()
        if not self.addresses.known:
            raise Unresolvable(f"no address is known for {self._host}")
        return self.addresses.order(self._clock())

    async def refresh(self) -> None:
        """Ask the system's resolver; concurrent callers share one question. Failure keeps what was known."""
        if self._asking is None:
            # A task of its own: the answer is worth having even when the one who asked could not wait for it.
            self._asking = spawn(self._ask(), "upstream-ask")
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
            self.addresses.learn(addresses or self.addresses.known, self._clock())
        except OSError:
            # Ask again soon, but not for every connection.
            self.addresses.asked = self._clock() - self._lifetime + min(1.0, self._lifetime)
        finally:
            self._asking = None
