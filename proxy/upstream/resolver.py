"""Names to addresses, asked again within bounds, and which address to try first.

The last good addresses are used while the name server fails or is slow: an upstream that still answers
is worth more than a fresh list. A name has at most one question under way, and after a failure none for
a moment, however many connections want its addresses. Must not know what is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.runtime.tasks import spawn

# An address that failed is tried last for so many seconds.
PENALTY = 10.0
# The name is not asked for again for so many seconds, also when the name server has failed or none of its addresses can
# be connected to; without an address connecting fails at once. The browser SDK's retry comes within a second and may
# then find the name again, or where it leads now; two questions a second flood nobody.
PAUSE = 0.5
# An answer is waited for so many seconds while there are old addresses to use in its place: a fraction of what a
# configuration may take (`timeouts.config_total`).
PATIENCE = 0.2
# Addresses that no answer has confirmed for so many seconds may be somebody else's by now. RFC 8767, 5 has one to
# three days.
STALE = 86400.0
# More addresses than this are not tried or kept; public names have at most a dozen.
ADDRESSES = 16


class Unresolvable(Exception):
    """No address is known for the name."""


@dataclass(slots=True)
class Addresses:
    """What is known of one name. Times are monotonic seconds; `learnt` is when the list came."""

    known: tuple[str, ...] = ()
    learnt: float = float("-inf")
    failed: dict[str, float] = field(default_factory=dict)
    turn: int = 0

    def usable(self, now: float) -> tuple[str, ...]:
        """The addresses, as long as they are not STALE."""
        return self.known if now - self.learnt < STALE else ()

    def order(self, now: float) -> list[str]:
        """All usable addresses, the next in turn first, those that failed lately last."""
        known = self.usable(now)
        self.turn += 1
        start = self.turn % len(known) if known else 0
        turned = [*known[start:], *known[:start]]
        return sorted(turned, key=lambda address: now - self.failed.get(address, float("-inf")) < PENALTY)

    def learn(self, addresses: tuple[str, ...], now: float) -> None:
        """Take a new list."""
        self.known = addresses[:ADDRESSES]
        self.learnt = now
        self.failed = {address: at for address, at in self.failed.items() if address in self.known}


class Resolver:
    """Resolves one name; `lifetime` in seconds is how long an answer is used before asking again."""

    def __init__(self, host: str, port: int, lifetime: float, clock: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._lifetime = lifetime
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._again = float("-inf")  # not to be asked before
        self._ended = float("-inf")  # when the last question was answered, or failed
        self.addresses = Addresses()

    @property
    def due(self) -> bool:
        """Whether it is time to ask again."""
        return self._asking is None and self._clock() >= self._again

    async def order(self) -> list[str]:
        """Addresses in the order to try them. Raises Unresolvable when none is known."""
        known = self.addresses.usable(self._clock())
        if self.due or (self._asking is not None and not known):
            await self._wait(PATIENCE if known else None)
        order = self.addresses.order(self._clock())
        if not order:
            raise Unresolvable(f"no address is known for {self._host}")
        return order

    async def refresh(self) -> None:
        """Ask the system's resolver; concurrent callers share one question. Failure keeps what was known."""
        await self._wait(None)

    def doubt(self) -> None:
        """None of the addresses could be connected to. The name may lead elsewhere by now, so it is asked again before
        the list's lifetime is over."""
        self._again = min(self._again, self._ended + PAUSE)

    async def _wait(self, limit: float | None) -> None:
        """Wait for the question under way, or a new one, for at most `limit` seconds."""
        if self._asking is None:
            # A task of its own: the answer is worth having even when the one who asked could not wait for it.
            self._asking = spawn(self._ask(), "upstream-ask")
        await asyncio.wait((self._asking,), timeout=limit)

    async def _ask(self) -> None:
        found: tuple[str, ...] = ()
        try:
            loop = asyncio.get_running_loop()
            infos = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            found = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError:
            pass  # what is known stays
        finally:
            self._asking = None
            self._ended = self._clock()
            self._again = self._ended + (self._lifetime if found else PAUSE)
        if found:
            self.addresses.learn(found, self._clock())
