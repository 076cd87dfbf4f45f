"""Whose address a request comes from, and how much of it the upstream is told.

X-Forwarded-For is believed only as far as each hop that wrote it is a configured proxy. Must not know
of sockets or of the other forwarding fields.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from proxy.settings.schema import ClientIp

# Twenty hops of the longest addresses; the right end is kept, which is the one that can be believed.
_LONGEST_CHAIN = 1024
# Distinct (peer, chain) pairs and addresses whose answer is kept; least recently used goes first. With the
# longest chains that is 4 MiB per worker.
_REMEMBERED = 4096
# What still says "this town, this provider" but no longer "this household".
_KEPT_IPV4_BITS = 24
_KEPT_IPV6_BITS = 48


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address without its scope id, an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) as IPv4; None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


class ClientIpPolicy:
    """Addresses are text, as the socket gives them: without port, IPv6 without brackets. A peer that has no
    address (a Unix socket's is empty) is never trusted and never forwarded."""

    __slots__ = ("_forward", "_forwarded", "_trusted", "_walked")

    def __init__(self, settings: ClientIp) -> None:
        self._forward = settings.forward
        self._trusted = settings.trusted_proxies
        self._walked = lru_cache(maxsize=_REMEMBERED)(self._walk)
        self._forwarded = lru_cache(maxsize=_REMEMBERED)(self._mask)

    def trusts(self, peer: str) -> bool:
        """Whether the peer is a configured proxy. Costs 40 us where there are any: ask once per connection."""
        if not self._trusted:
            return False
        address = parse_address(peer)
        return address is not None and self._is_proxy(address)

    def resolve(self, peer: str, forwarded_for: bytes | None) -> str:
        """The client's address: the right-most of X-Forwarded-For (lines joined with ", ") that is no
        configured proxy, if the peer is one; else the peer.

        Ports and brackets are tolerated. Anything that is no address ends the walk, and the last good
        address counts: what stands left of it was written by nobody we know.
        """
        if forwarded_for is None or not self._trusted:
            return peer if ":" not in peer else self._walked(peer, b"")
        return self._walked(peer, forwarded_for[-_LONGEST_CHAIN:])

    def forwarded(self, address: str) -> bytes | None:
        """What the upstream is told: the address, its network (/24 or /48) or None for nothing."""
        return None if self._forward == "none" else self._forwarded(address)

    def _is_proxy(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)

    def _walk(self, peer: str, chain: bytes) -> str:
        client = parse_address(peer)
        if client is None:
            return peer
        # A chain of the full length was cut, and its first piece may be the tail of an address: not asked.
        hops = chain.decode("latin-1").split(",")[len(chain) == _LONGEST_CHAIN :]
        while hops and self._is_proxy(client):
            hop = _hop(hops.pop())
            if hop is None:
                break
            client = hop
        return str(client)

    def _mask(self, address: str) -> bytes | None:
        parsed = parse_address(address)
        if parsed is None:
            return None
        if self._forward == "full":
            return str(parsed).encode("ascii")
        return str(_network(parsed).network_address).encode("ascii")


@lru_cache(maxsize=_REMEMBERED)
def neighbourhood(address: str) -> str:
    """The network (/24 or /48) that an address is in: whoever has one address of it may well have more. Anything
    that is no address is itself."""
    parsed = parse_address(address)
    return address if parsed is None else str(_network(parsed))


def _network(address: IPv4Address | IPv6Address) -> IPv4Network | IPv6Network:
    bits = _KEPT_IPV4_BITS if isinstance(address, IPv4Address) else _KEPT_IPV6_BITS
    return ip_network((address, bits), strict=False)


def _hop(text: str) -> IPv4Address | IPv6Address | None:
    """One element of X-Forwarded-For: an address, [address], address:port (IPv4) or [address]:port."""
    text = text.strip(" \t")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        return parse_address(host) if bracket and (not rest or _is_port(rest)) else None
    host = text.partition(":")[0]
    return parse_address(host if _is_port(text[len(host) :]) else text)


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isdecimal()
