"""Which region's upstreams a request goes to.

Rules are asked in one order: the host the browser used, the project's API key, a header set by a
trusted proxy in front, the default. Must not know which proxies are trusted, where a key was found,
or what a region's upstreams are.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.settings.schema import RegionRules
from proxy.wire.request import VALID_HOST


def forwarded_host(values: bytes) -> bytes | None:
    """The last value of X-Forwarded-Host (lines joined with ", "), which is the one that the nearest proxy wrote;
    None where it could not stand in a Host field: it decides where the data goes, and is passed on."""
    last = values.rpartition(b",")[2].strip(b" \t")
    return last if VALID_HOST.match(last) else None


def host_name(host: bytes) -> bytes:
    """A Host field's value (RFC 9110, 7.2) without its port and trailing dot, in lower case.

    IPv6 literals keep their brackets. The field is already known to be valid.
    """
    host = host.lower()
    if host.startswith(b"["):
        return host[: host.find(b"]") + 1]
    name, _, _ = host.partition(b":")
    return name.removesuffix(b".")


class RegionPolicy:
    """Rules to a region's name. `needs_key`: some rule asks for API keys, so they are worth extracting.
    `header_name` (lower case): the field whose value `select` wants, None where no rule asks for one."""

    __slots__ = ("_default", "_hosts", "_keys", "_values", "header_name", "needs_key")

    def __init__(self, rules: RegionRules) -> None:
        self._hosts = {host_name(host.encode()): region for host, region in rules.hosts.items()}
        self._keys = {key.encode(): region for key, region in rules.api_keys.items()}
        self._values: dict[bytes, str] = {}
        self.header_name: bytes | None = None
        if rules.header is not None:
            self.header_name = rules.header.name.lower().encode()
            self._values = {_folded(value.encode()): region for value, region in rules.header.values.items()}
        self._default = None if rules.strict else rules.default
        self.needs_key = bool(self._keys)

    def select(self, host: bytes, keys: Sequence[bytes], header_value: bytes | None) -> str | None:
        """The region's name; None when no rule matches and the rules are strict, and when the request names several
        API keys that would go to different regions: one of them would reach the other's upstream.

        `header_value` must be None unless a trusted proxy sent it.
        """
        region = self._hosts.get(host_name(host)) if self._hosts else None
        if region is not None:
            return region
        region = self._values.get(_folded(header_value)) if header_value is not None else None
        otherwise = self._default if region is None else region
        if not keys or not self._keys:
            return otherwise
        regions = {self._keys.get(key, otherwise) for key in keys}
        return regions.pop() if len(regions) == 1 else None


def _folded(value: bytes) -> bytes:
    return value.strip(b" \t").lower()
