"""Which web pages may read the answers: CORS from one list of origins (Fetch standard, "CORS protocol").

The page-exit beacon is sent with credentials, so an allowed origin is always named, never answered
with `*`. Answers come as ready header blocks, each line with its CRLF. Must not know which answer it
is, whether a foreign origin's request is served, or that anybody logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from proxy.model.verdict import Route
from proxy.policy.answers import ALLOWED_METHODS
from proxy.settings.schema import Cors

# What the browser SDK's uploads carry; versions since 1.36.0 ask for exactly these.
SDK_HEADERS = (
    b"Authorization",
    b"Content-Encoding",
    b"Content-Type",
    b"X-Client-Library",
    b"X-Client-Sample-Rate",
    b"X-Client-Url",
    b"X-Client-Version",
    b"X-Sampling-Hash-Alg",
)
# The SDK's kill switch and pause are in the first; unreadable, they are ignored.
EXPOSED_HEADERS = (b"X-Session-Replay-Event-Skipped", b"Retry-After", b"X-Request-Id")

# A scheme, a host name of 253 octets (RFC 1035, 2.3.4) and a port, with room.
_LONGEST_ORIGIN = 300
# A page's script may add headers of its own; no honest one adds this many. Further names are not granted.
_MOST_REQUESTED_NAMES = 64
_LONGEST_REQUESTED = 4096
# A full cache is emptied: whoever is still there is back at the price of one miss (microseconds), and a flood of
# invented origins would defeat any finer order. At worst, with the longest values in every place, these are 1 MiB
# and for both routes together 7 MiB per worker.
_REMEMBERED_ANSWERS = 1024
_REMEMBERED_PREFLIGHTS = 256
_REMEMBERED_NAMES = 256

_VARY = b"Vary: Origin\r\n"
_VARY_PREFLIGHT = b"Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\r\n"

_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_SCHEME_OCTETS = _LOWER + _DIGITS + b"+-."
_LABEL_OCTETS = _LOWER + _DIGITS + b"-_"
_LITERAL_OCTETS = b"0123456789abcdef:."
_TOKEN_OCTETS = _LOWER + _LOWER.upper() + _DIGITS + b"!#$%&'*+-.^_`|~"  # RFC 9110, 5.6.2

Preflight = tuple[bytes, tuple[bytes, ...]]


class _Origin(NamedTuple):
    """A serialised origin taken apart. `port` is b"" or b":" and digits; default ports are not written."""

    scheme: bytes
    host: bytes
    port: bytes


class OriginList:
    """Patterns of origins as the settings spell them. Compared exactly, case included, or for wildcard sub-domains by
    scheme, labels and port. `null` is never among them: every sandbox and file says it."""

    __slots__ = ("_any", "_exact", "_wildcards")

    def __init__(self, patterns: Iterable[str]) -> None:
        listed = [pattern.encode("ascii") for pattern in patterns]
        self._any = b"*" in listed
        self._exact = frozenset(origin for origin in listed if b"*" not in origin)
        self._wildcards = tuple(_wildcard(origin) for origin in listed if b"://*." in origin)

    def allows(self, origin: bytes) -> bool:
        """Whether the value of an Origin field is one of these."""
        if origin in self._exact:
            return True
        if not self._any and not self._wildcards:
            return False
        parts = _parse(origin)
        return parts is not None and (self._any or any(_is_below(parts, wildcard) for wildcard in self._wildcards))


class CorsPolicy:
    """What `cors` of the settings comes to."""

    __slots__ = (
        "_allow_headers",
        "_answer_tail",
        "_answers",
        "_config_preflights",
        "_known_names",
        "_max_age",
        "_origins",
        "_track_preflights",
    )

    def __init__(self, cors: Cors, more: Iterable[str] = ()) -> None:
        """`more` are names of header fields that pages need for other settings' sake."""
        self._origins = OriginList(cors.allow_origins)
        self._allow_headers = b", ".join(_distinct(SDK_HEADERS, (*cors.allow_headers, *more)))
        self._known_names = frozenset(self._allow_headers.lower().split(b", "))
        self._max_age = b"Access-Control-Max-Age: %d\r\n" % int(cors.max_age)
        self._answer_tail = (
            b"Access-Control-Expose-Headers: %b\r\n" % b", ".join(_distinct(EXPOSED_HEADERS, cors.expose_headers))
            + _VARY
        )
        self._answers: dict[bytes, bytes] = {}
        self._track_preflights: dict[tuple[bytes, bytes | None], Preflight] = {}
        self._config_preflights: dict[tuple[bytes, bytes | None], Preflight] = {}

    def allows(self, origin: bytes) -> bool:
        """Whether the value of an Origin field is one of ours."""
        return origin in self._answers or self._origins.allows(origin)

    def answer_fields(self, origin: bytes | None) -> bytes:
        """The fields of any answer that is not a preflight's; for a foreign or absent origin only Vary."""
        if origin is None:
            return _VARY
        fields = self._answers.get(origin)
        if fields is not None:
            return fields
        if not self.allows(origin):
            return _VARY
        if len(self._answers) >= _REMEMBERED_ANSWERS:
            self._answers.clear()
        fields = self._answers[origin] = _named(origin) + self._answer_tail
        return fields

    def preflight_fields(
        self, origin: bytes | None, method: bytes | None, requested: bytes | None, route: Route
    ) -> Preflight:
        """The fields of the 204 to an OPTIONS request, and the header names asked for that nobody listed (lower case).

        Those names are granted too: a script that sends a header of its own must not lose its uploads for
        it. For a foreign or absent origin there is only Vary, and no names. `method` and `requested` are the
        values of Access-Control-Request-Method and -Headers; without the first the request is no preflight,
        and what it asks for is not granted. Which methods are allowed depends on the route alone.
        """
        if origin is None:
            return _VARY_PREFLIGHT, ()
        if method is None:
            requested = None
        cache = self._track_preflights if route is Route.TRACK else self._config_preflights
        preflight = cache.get((origin, requested))
        if preflight is not None:
            return preflight
        if not self.allows(origin):
            return _VARY_PREFLIGHT, ()
        preflight = self._preflight(origin, requested, route)
        if requested is None or len(requested) <= _LONGEST_REQUESTED:
            if len(cache) >= _REMEMBERED_PREFLIGHTS:
                cache.clear()
            cache[origin, requested] = preflight
        return preflight

    def _preflight(self, origin: bytes, requested: bytes | None, route: Route) -> Preflight:
        unknown = tuple(name for name in _names(requested or b"") if name not in self._known_names)
        fields = (
            _named(origin),
            b"Access-Control-Allow-Methods: %b\r\n" % b", ".join(ALLOWED_METHODS[route]),
            b"Access-Control-Allow-Headers: %b\r\n" % b", ".join((self._allow_headers, *unknown)),
            self._max_age,
            _VARY_PREFLIGHT,
        )
        return b"".join(fields), unknown


class UnknownHeaders:
    """The unknown header names that were told to the operator, so that each is told once.

    When it is full nothing counts as new any more: names are the clients' choice, and so would be the
    number of log lines.
    """

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[bytes] = set()

    def first_time(self, name: bytes) -> bool:
        if name in self._told or len(self._told) >= _REMEMBERED_NAMES:
            return False
        self._told.add(name)
        return True


def _named(origin: bytes) -> bytes:
    return b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Allow-Credentials: true\r\n" % origin


def _distinct(ours: Iterable[bytes], operators: Iterable[str]) -> list[bytes]:
    known = {name.lower() for name in ours}
    added = (name.encode("ascii") for name in operators)
    return [*ours, *(name for name in added if name.lower() not in known)]


def _names(requested: bytes) -> list[bytes]:
    """The distinct valid names of an Access-Control-Request-Headers value, lower case, in order, within the bounds."""
    if len(requested) > _LONGEST_REQUESTED:
        # The name that is cut in the middle is not the one that was asked for.
        requested = requested[:_LONGEST_REQUESTED].rpartition(b",")[0]
    listed = requested.lower().split(b",", _MOST_REQUESTED_NAMES)[:_MOST_REQUESTED_NAMES]
    names = (name.strip(b" \t") for name in listed)
    return list(dict.fromkeys(name for name in names if name and not name.translate(None, _TOKEN_OCTETS)))


def _parse(origin: bytes) -> _Origin | None:
    """An origin as browsers serialise it (RFC 6454, 6.2; lower case, ASCII), or None. `file://` is what old web views
    on Android say for the pages of an app."""
    scheme, mark, authority = origin.partition(b"://")
    if not mark or len(origin) > _LONGEST_ORIGIN or not scheme[:1].isalpha() or scheme.translate(None, _SCHEME_OCTETS):
        return None
    if authority.startswith(b"["):
        host, bracket, port = authority.partition(b"]")
        host += bracket
        valid = bool(bracket) and len(host) > 2 and not host[1:-1].translate(None, _LITERAL_OCTETS)
    else:
        host = authority.partition(b":")[0]
        port = authority[len(host) :]
        valid = _is_name(host) or origin == b"file://"
    return _Origin(scheme, host, port) if valid and _is_port(port) else None


def _is_name(host: bytes) -> bool:
    return all(label and not label.translate(None, _LABEL_OCTETS) for label in host.removesuffix(b".").split(b"."))


def _is_port(text: bytes) -> bool:
    return not text or (text.startswith(b":") and text[1:].isdigit() and len(text) <= len(":65535"))


def _wildcard(origin: bytes) -> _Origin:
    scheme, _, domain = origin.partition(b"://*")
    host = domain.partition(b":")[0]
    return _Origin(scheme, host, domain[len(host) :])


def _is_below(origin: _Origin, wildcard: _Origin) -> bool:
    """`wildcard.host` begins with the dot before the domain. Both hosts are whole labels, so what stands before
    that dot is one label or more."""
    return origin.scheme == wildcard.scheme and origin.port == wildcard.port and origin.host.endswith(wildcard.host)
