"""Which API key a request is for, and whether that key may use the gateway.

An API key of the vendor is public (each page of the site shows it): the list keeps strangers from
using the gateway for their own projects, it authenticates nobody. Must not know what a key leads to
(regions, rate limits) or how a refusal is answered.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from proxy.policy.routing import Match
from proxy.settings.schema import Keys

_PARAMETER = b"api_key="


def api_key(match: Match, authorization: bytes | None) -> bytes | None:
    """The key, percent-decoded, from the first place that has one; None where there is none.

    The order is the config path's segment, the first `api_key` parameter of the query (page-exit beacons,
    config requests of SDK versions up to 1.28), the bearer token (uploads). An empty value is no key.
    """
    if match.suffix:
        return unquote_to_bytes(match.suffix[1:])
    return (_from_query(match.query) if match.query else None) or (_bearer(authorization) if authorization else None)


def _from_query(query: bytes) -> bytes | None:
    if query.startswith(_PARAMETER, 1):
        begin = 1
    else:
        begin = query.find(b"&" + _PARAMETER) + 1
        if not begin:
            return None
    value, _, _ = query[begin + len(_PARAMETER) :].partition(b"&")
    return unquote_to_bytes(value.replace(b"+", b" "))


def _bearer(authorization: bytes) -> bytes | None:
    scheme, _, token = authorization.partition(b" ")
    return token.strip(b" \t") if scheme.lower() == b"bearer" else None


class KeyPolicy:
    """The list of API keys that are served. An empty list serves any, a missing key included."""

    __slots__ = ("_allowed", "active")

    def __init__(self, keys: Keys) -> None:
        self._allowed = frozenset(key.encode() for key in keys.allow)
        self.active = bool(self._allowed)

    def allows(self, key: bytes | None) -> bool:
        return not self.active or key in self._allowed
