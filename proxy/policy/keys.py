"""Which API keys a request names, and whether they may use the gateway, from the page that asks.

An API key of the vendor is public (each page of the site shows it): the list keeps strangers from
using the gateway for their own projects, it authenticates nobody. An SDK names one key in one place;
which one the vendor takes when a request names several is not known, so each of them counts. Must not
know what a key leads to (regions, rate limits) or how a refusal is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from proxy.model.verdict import Reason
from proxy.policy.origins import OriginList
from proxy.policy.routing import Match
from proxy.settings.schema import Keys

# Each octet of the name as it is or percent-encoded, as a form's reader would take it.
_NAME = b"".join(b"(?:%c|(?i:%%%02x))" % (octet, octet) for octet in b"api_key")
_PARAMETER = re.compile(b"&" + _NAME + b"=([^&]+)")


def api_keys(match: Match, authorization: bytes | None) -> list[bytes]:
    """Every different key that the request names, percent-decoded; empty where it names none.

    The places are the config path's segment, the `api_key` parameters of the query (page-exit beacons,
    config requests of SDK versions up to 1.28) and the bearer token (uploads), asked in this order. An
    empty value is no key.
    """
    found = [unquote_to_bytes(match.suffix[1:])] if match.suffix else []
    if match.query:
        found += [unquote_to_bytes(value.replace(b"+", b" ")) for value in _PARAMETER.findall(b"&" + match.query[1:])]
    if authorization:
        found.append(_bearer(authorization))
    return list(dict.fromkeys(key for key in found if key))


def _bearer(authorization: bytes) -> bytes:
    parts = authorization.split(None, 1)
    return parts[1].rstrip() if len(parts) == 2 and parts[0].lower() == b"bearer" else b""


class KeyPolicy:
    """The list of API keys that are served, and of which pages some of them are. An empty list serves any, a missing
    key included."""

    __slots__ = ("_allowed", "_origins", "active")

    def __init__(self, keys: Keys) -> None:
        self._allowed = frozenset(key.encode() for key in keys.allow)
        self._origins = {key.encode(): OriginList(patterns) for key, patterns in keys.origins.items()}
        self.active = bool(self._allowed or self._origins)

    def judge(self, keys: Sequence[bytes], origin: bytes | None) -> Reason | None:
        """Why a request that names these keys is not served, if it isn't: with a list, all of them must be on it.

        `origin` is the value of its Origin field. One without is no page's that would have to ask for leave: browsers
        send it with every upload and with every question across origins (Fetch standard, 3.2), other programs send
        what they like."""
        if self._allowed and not (keys and self._allowed.issuperset(keys)):
            return Reason.UNKNOWN_KEY
        if self._origins and origin is not None:
            for key in keys:
                origins = self._origins.get(key)
                if origins is not None and not origins.allows(origin):
                    return Reason.KEY_ORIGIN
        return None
