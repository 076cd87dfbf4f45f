"""How often one address or one API key may ask: token buckets in bounded memory.

Must not know what the keys are or what a refusal looks like. Each worker process has buckets of its
own, so a rate holds per worker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from proxy.policy.client_ip import parse_address

# One subscriber line or host has a /64 as a rule (RFC 6177, RFC 7421): its 2^64 addresses are one client.
_IPV6_CLIENT_PREFIX = 64
_REMEMBERED_NETWORKS = 4096


class TokenBuckets:
    """A bucket of `burst` tokens for each key, refilled with `rate` tokens per second; rate 0 switches it off.

    A bucket begins full, so a forgotten key and a full bucket are the same thing. When the table has
    `capacity` keys, the one used longest ago is forgotten. Nothing is lost by that if its bucket was full
    again; else that key has a full burst once more. So a rate holds exactly as long as no more than
    `capacity` keys ask within the time that a bucket takes to fill; beyond that it errs in the client's
    favour, by at most one burst for each time a key is forgotten. A refused request counts as use: who
    is over the rate is not forgotten for trying on.
    """

    __slots__ = ("_buckets", "_burst", "_capacity", "_rate", "active")

    def __init__(self, rate: float, burst: int, capacity: int = 65536) -> None:
        self.active = rate > 0
        self._rate = rate
        self._burst = float(burst)
        self._capacity = capacity
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def take(self, key: Hashable, now: float) -> bool:
        """Take one token if there is one. `now` is in seconds of a monotonic clock."""
        if not self.active:
            return True
        buckets = self._buckets
        tokens, then = buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        taken = tokens >= 1
        buckets[key] = (tokens - 1 if taken else tokens, now)
        buckets.move_to_end(key)
        if len(buckets) > self._capacity:
            buckets.popitem(last=False)
        return taken

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._buckets)


def network_key(address: str) -> str:
    """What an address is counted as: itself, or its /64 for IPv6. Anything that is no address is itself."""
    return address if ":" not in address else _network(address)


@lru_cache(maxsize=_REMEMBERED_NETWORKS)
def _network(address: str) -> str:
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _IPV6_CLIENT_PREFIX), strict=False))
    return address if parsed is None else str(parsed)
