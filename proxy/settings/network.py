"""Addresses, host names and networks as the file spells them. Resolves nothing and opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from proxy.settings.units import Parsed, UnreadableError, text_of

ANY_HOST = "0.0.0.0"

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^:\[\]/@?#\s]*):([0-9]{1,5})")
HOST_NAME_MAX = 253  # RFC 1035, 2.3.4, without the root's dot


@dataclass(frozen=True, slots=True)
class Address:
    """A host (name, IPv4 or IPv6 without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether this can't be reached from another machine."""
        return is_loopback(self.host)


def bracketed(host: str) -> str:
    """The host as it stands in an authority: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Whether the host, a name or an address, means this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_host(host: str) -> bool:
    """Whether this is a host name or an address without brackets. All-digit last labels must be IPv4."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        return _is_ip(host)
    return len(host) <= HOST_NAME_MAX and _NAME.fullmatch(host) is not None


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def listen_address() -> Parsed:
    """Where to listen: `0.0.0.0:8080`, `[::]:8443`, `:8080` (every IPv4 address). Port 0 takes a free one."""
    expected = "an address to listen on, such as 0.0.0.0:8080, [::]:8443 or :8080"

    def parse(value: object) -> Address:
        return value if isinstance(value, Address) else _address(value, expected, ANY_HOST, 0)

    return Parsed(parse, {"type": "string", "pattern": r"^.*:[0-9]{1,5}$"})


def dial_address() -> Parsed:
    """Where to connect to: `127.0.0.1:9443`, `gateway.internal:443`, `[::1]:443`."""
    expected = "an address to connect to, such as 127.0.0.1:9443 or replay.internal:443"

    def parse(value: object) -> Address:
        return value if isinstance(value, Address) else _address(value, expected, "", 1)

    return Parsed(parse, {"type": "string", "pattern": r"^.+:[0-9]{1,5}$"})


def _address(value: object, expected: str, default_host: str, lowest_port: int) -> Address:
    match = _HOST_AND_PORT.fullmatch(text_of(value, expected))
    if match is None:
        raise UnreadableError(expected)
    host, port = match[1].strip("[]") or default_host, int(match[2])
    if not is_host(host) or match[1].startswith("[") != (":" in host) or not lowest_port <= port <= 65535:
        raise UnreadableError(expected)
    return Address(host.lower(), port)


def network() -> Parsed:
    """A network or a single address: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`."""
    expected = "a network such as 10.0.0.0/8, or one address"

    def parse(value: object) -> IPv4Network | IPv6Network:
        if isinstance(value, IPv4Network | IPv6Network):
            return value
        try:
            net = ip_network(text_of(value, expected), strict=False)
        except ValueError as wrong:
            raise UnreadableError(expected) from wrong
        _refuse_host_bits(net, str(value))
        return net

    return Parsed(parse, {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"})


def _refuse_host_bits(net: IPv4Network | IPv6Network, text: str) -> None:
    # 10.1.2.3/8 is more often a slip than a wish for 16 million trusted addresses.
    if ip_address(text.partition("/")[0]) != net.network_address:
        raise UnreadableError(f"a network whose bits after the first {net.prefixlen} are zero, or one address")


def host_name() -> Parsed:
    """A host as browsers name it, lower-cased, without a port; IPv6 in brackets is accepted."""
    expected = "a host name such as replay-eu.example.com, without scheme, port and path"

    def parse(value: object) -> str:
        host = text_of(value, expected)
        plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not is_host(plain):
            raise UnreadableError(expected)
        return bracketed(str(IPv6Address(plain)) if ":" in plain else plain.lower())

    return Parsed(parse, {"type": "string", "pattern": r"^[^/:\s]+$|^\[[0-9A-Fa-f:.]+\]$"})
