"""Which route a request target belongs to, and what of it goes to the upstream.

The raw bytes are matched and the raw bytes are forwarded: nothing is decoded, resolved or quoted again,
so that the path that was checked is the path that is sent. Recognised is the exact track path and the
config path with at most one segment; everything else is refused. Must not know of methods, regions or
upstream URLs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from proxy.model.verdict import Reason, Route
from proxy.settings.schema import Paths

# RFC 9112, 3.2 allows visible ASCII only; a fragment is never part of a target (RFC 9110, 7.1).
_TARGET_OCTETS = bytes(octet for octet in range(0x21, 0x7F) if octet != ord("#"))

# What two readers of a path could understand in two ways. Alternatives are anchored by their first
# octet and repeat nothing without bound, so a search is linear.
_AMBIGUOUS = re.compile(
    rb"""
      //                                    # an empty segment
    | /(?:\.|%2[eE]){1,2}(?:/|\Z)           # a dot segment, plain or encoded
    | [\\;]                                 # a slash to some, a parameter to others
    | %(?![0-9a-fA-F]{2})                   # a broken escape
    | %(?:[01][0-9a-fA-F]|7[fF])            # an encoded control octet
    | %(?:2[fF]|5[cC])                      # an encoded slash or backslash
    """,
    re.VERBOSE,
)


class Match(NamedTuple):
    """A recognised target. The upstream's target is its own path + `suffix` + `query`, byte for byte.

    `suffix` is b"" or b"/<one segment>" (the API key on the config route); `query` is b"" or begins
    with b"?".
    """

    route: Route
    suffix: bytes
    query: bytes


class Router:
    """Matches request targets in origin form (RFC 9112, 3.2.1) against the public paths."""

    __slots__ = ("_exact", "_key_parents")

    def __init__(self, paths: Paths) -> None:
        # The SDK appends "?..." or "/<key>" to configServerUrl as it is written: a URL that ends in a slash
        # gives /config/?... (versions up to 1.28) or /config//<key> (versions since 1.29).
        self._key_parents = {
            path.encode("ascii") + slash: Route.CONFIG for path in paths.config for slash in (b"", b"/")
        }
        self._exact = self._key_parents | {path.encode("ascii"): Route.TRACK for path in paths.track}

    def match(self, target: bytes) -> Match | Reason:
        """BAD_TARGET for what is not a plain path, UNKNOWN_PATH for a plain one that is not served."""
        if target.translate(None, _TARGET_OCTETS):
            return Reason.BAD_TARGET
        end = target.find(b"?")
        path, query = (target, b"") if end < 0 else (target[:end], target[end:])
        route = self._exact.get(path)
        if route is not None:
            return Match(route, b"", query)
        parent, _, key = path.rpartition(b"/")
        route = self._key_parents.get(parent)
        if route is not None and key:
            suffix = b"/" + key
            if key.isalnum() or not _AMBIGUOUS.search(suffix):
                return Match(route, suffix, query)
        return _refusal(path)


def _refusal(path: bytes) -> Reason:
    if not path.startswith(b"/") or _AMBIGUOUS.search(path):
        return Reason.BAD_TARGET
    return Reason.UNKNOWN_PATH
