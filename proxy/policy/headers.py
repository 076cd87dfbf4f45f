"""The head that is sent upstream, and the head that is sent back: what passes, what is added.

One join per head. Must not know how heads are parsed or moved.
"""

from __future__ import annotations

from collections.abc import Set
from hashlib import sha256
from typing import Final

from proxy.model.verdict import Route
from proxy.policy.client_ip import ClientIpPolicy, neighbourhood
from proxy.policy.privacy import GPC, PrivacyPolicy, has_opted_out
from proxy.policy.region import forwarded_host
from proxy.policy.routing import Match
from proxy.policy.targets import Target
from proxy.settings import Settings
from proxy.settings.privacy import ADDRESS_FIELDS
from proxy.wire.answer import AnswerHead
from proxy.wire.request import RequestHead, RequestReader

# A longer or odder X-Request-Id is replaced: it ends up in logs and in the answer.
_REQUEST_ID_LIMIT: Final = 128
# Addresses whose forwarding lines are kept, half a kilobyte each; a full table is emptied.
_LINES_KEPT: Final = 1024
_CRLF: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_REQUEST_ID_OCTETS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@-")


class ClientSide:
    """Who is at the other end of a client connection: the address, whether it is a trusted proxy's, and the scheme."""

    __slots__ = ("peer", "scheme", "trusted")

    def __init__(self, policy: ClientIpPolicy, peer: str, tls: bool) -> None:
        self.peer = peer
        self.trusted = policy.trusts(peer)
        self.scheme = b"https" if tls else b"http"


def forwarding_lines(policy: ClientIpPolicy, address: str, scheme: bytes, drop: Set[bytes]) -> list[bytes]:
    """X-Real-IP, X-Forwarded-For and X-Forwarded-Proto for a client at `address`, without those that the
    operator sets or removes (`drop`, lower-case)."""
    value = policy.forwarded(address)
    fields = ((b"X-Real-IP", value), (b"X-Forwarded-For", value), (b"X-Forwarded-Proto", scheme))
    return [name + b": " + value for name, value in fields if value is not None and name.lower() not in drop]


class UpstreamHead:
    """The head for an upstream, ready but for what differs between requests with the same head: the length of the
    body and the request's id, which stands at the end of the last line."""

    __slots__ = ("_after", "_before", "_counted", "_identified")

    def __init__(self, first: list[bytes], request: RequestHead, last: list[bytes], *, identified: bool) -> None:
        self._identified = identified
        if request.content_length < 0:
            self._counted = False
            self._before = _CRLF.join([*first, *request.fields, *last])
            self._after = b""
            return
        length = b"Content-Length: %d" % request.content_length
        self._counted = length in request.fields
        at = request.fields.index(length) if self._counted else len(request.fields)
        before = [*first, *request.fields[:at]]
        after = [*request.fields[at + 1 :], *last]
        self._before = _CRLF.join([*before, b"Content-Length: "] if self._counted else [*before, *after])
        self._after = _CRLF.join([b"", *after]) if self._counted else b""

    def render(self, content_length: int, request_id: bytes) -> bytes:
        """The whole head, empty line included. `content_length` counts only if the request had such a field."""
        length = b"%d" % content_length if self._counted else b""
        return b"".join((self._before, length, self._after, request_id if self._identified else b"", _HEAD_END))


class ConfigQuestion:
    """A config request: `whole` is all that may change the answer, `key` a digest of the same without the conditions
    (If-None-Match), under which the answer is kept, `asker` the network of the one who asks, `head` what is sent."""

    __slots__ = ("asker", "head", "key", "whole")

    def __init__(self, key: bytes, whole: bytes, asker: str, head: UpstreamHead) -> None:
        self.key = key
        self.whole = whole
        self.asker = asker
        self.head = head


class HeaderPolicy:
    """Compiled from settings; one for the whole worker."""

    def __init__(self, settings: Settings) -> None:
        edits = settings.headers.upstream
        self._client_ip = ClientIpPolicy(settings.client_ip)
        self.privacy = PrivacyPolicy(settings.privacy)
        self._cookies = frozenset(name.encode() for name in settings.headers.forward_cookies)
        self._lines: dict[tuple[str, bytes], list[bytes]] = {}
        self._set = [
            f"{name}: {value.get_secret_value()}".encode("latin-1", "strict") for name, value in edits.set.items()
        ]
        self._drop = frozenset(name.lower().encode() for name in (*edits.set, *edits.remove))
        told = settings.client_ip.forward == "full"
        # What is said of the address besides: it must not go past the setting.
        self._other_addresses = frozenset(() if told else (name.lower().encode() for name in ADDRESS_FIELDS))
        self._host_field = b"X-Forwarded-Host: " if b"x-forwarded-host" not in self._drop else None
        self._id_field = b"X-Request-Id: " if b"x-request-id" not in self._drop else None
        # For us alone: a token that the vendor has could be used here by the vendor.
        self._token = settings.jwt.header.lower().encode() if settings.jwt else b""
        header = settings.region.header
        self._region_header = header.name.lower().encode() if header else None

    def reader(self, settings: Settings) -> RequestReader:
        """The reader whose heads this policy understands."""
        note = {*_CONDITIONS, b"accept-encoding", GPC, self._region_header or b"accept-encoding"}
        return RequestReader(
            target=settings.limits.target,
            fields=settings.limits.fields,
            drop=self._drop | self._other_addresses | ({self._token} if self._token else set()),
            note=note | _PREFLIGHT | ({self._token} if self._token else set()),
        )

    def client(self, peer: str, tls: bool) -> ClientSide:
        """What stays the same over a connection from `peer`."""
        return ClientSide(self._client_ip, peer, tls)

    def client_address(self, client: ClientSide, request: RequestHead) -> str:
        """The address of the client behind trusted proxies, for rate limits and forwarding."""
        if not client.trusted:
            return client.peer
        return self._client_ip.resolve(client.peer, request.notes.get(b"x-forwarded-for"))

    def told_address(self, client: ClientSide, request: RequestHead) -> str:
        """The same for those who are told of it, vendor and archive; empty if they are told nothing."""
        return "" if self.privacy.is_anonymous(request) else self.client_address(client, request)

    def make_private(self, request: RequestHead) -> None:
        """Leave of a head that was just read what the settings let pass on: nobody is told anything else of it."""
        if self.privacy.active:
            self.privacy.apply(request)

    def browser_host(self, client: ClientSide, request: RequestHead) -> bytes:
        """The host in the address that the browser used: what a trusted proxy says of it, else the Host field."""
        said = request.notes.get(b"x-forwarded-host") if client.trusted else None
        return (forwarded_host(said) if said else None) or request.host

    def region_value(self, client: ClientSide, request: RequestHead) -> bytes | None:
        """The region header's value, when a trusted proxy sent it."""
        if self._region_header is None or not client.trusted:
            return None
        return request.notes.get(self._region_header)

    def upstream_head(self, request: RequestHead, client: ClientSide, target: Target, match: Match) -> UpstreamHead:
        """The head for the upstream. Path, query and every end-to-end field are the client's own bytes."""
        first = [b"%b %b%b HTTP/1.1" % (request.method, target.path(match.suffix), match.query), target.host_line]
        last = [*self._forwarding(request, client), *self._set, *self._cookie_line(request)]
        if request.chunked:
            last.append(b"Transfer-Encoding: chunked")
        if self._id_field:
            last.append(self._id_field)
        return UpstreamHead(first, request, last, identified=self._id_field is not None)

    def config_question(self, request: RequestHead, client: ClientSide, target: Target, match: Match) -> ConfigQuestion:
        """What a config request asks."""
        identity = self.config_identity(request, target, match)
        return ConfigQuestion(
            sha256(identity).digest(),
            identity + self.config_conditions(request, match),
            neighbourhood(self.client_address(client, request)),
            self.upstream_head(request, client, target, match),
        )

    def config_identity(self, request: RequestHead, target: Target, match: Match) -> bytes:
        """All that may change what the vendor's configuration says. Whose address it is asked from does not,
        nor does the session's number, which SDKs up to 1.28 put into the query: with it, no answer would
        ever serve a second visit. That a visitor has opted out does: what the vendor tells one who has is for nobody
        else, and the other way about."""
        parameters = match.query[1:].split(b"&")
        parts = (
            request.method,
            target.region.encode(),
            match.suffix,
            b"&".join(each for each in parameters if not each.startswith(b"session_id=")),
            request.notes.get(b"accept-encoding", b""),
            request.authorization or b"",
            b"opted out" if has_opted_out(request) else b"",
            *self._cookie_line(request),
        )
        return b"\0".join(parts)

    def config_conditions(self, request: RequestHead, match: Match) -> bytes:
        """What else makes two questions different: the whole query, and what may turn the answer into a 304
        for one client alone."""
        return b"\0".join((b"", match.query, *(request.notes.get(name, b"") for name in _CONDITIONS)))

    def _forwarding(self, request: RequestHead, client: ClientSide) -> list[bytes]:
        scheme, host = client.scheme, request.host
        if client.trusted:
            told = request.notes.get(b"x-forwarded-proto", scheme)
            scheme = told if told in (b"http", b"https") else scheme
            host = self.browser_host(client, request)
        address = self.told_address(client, request)
        lines = self._lines.get((address, scheme))
        if lines is None:
            lines = forwarding_lines(self._client_ip, address, scheme, self._drop)
            if len(self._lines) >= _LINES_KEPT:
                self._lines.clear()
            self._lines[address, scheme] = lines
        return [*lines, self._host_field + host] if host and self._host_field else lines

    def _cookie_line(self, request: RequestHead) -> list[bytes]:
        if not self._cookies:
            return []
        pairs = (pair.strip() for pair in request.notes.get(b"cookie", b"").split(b";"))
        kept = [pair for pair in pairs if pair.partition(b"=")[0] in self._cookies]
        return [b"Cookie: " + b"; ".join(kept)] if kept else []


_CONDITIONS = (b"if-none-match", b"if-modified-since")
_PREFLIGHT = {b"access-control-request-method", b"access-control-request-headers"}


def answer_head(
    answer: AnswerHead, cors_fields: bytes, request_id: bytes, route: Route, *, chunked: bool, connection: bytes
) -> bytes:
    """The head for the client of an upstream's answer. `cors_fields` and `connection` are ready-made
    blocks of field lines, each line with its line end, or empty."""
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    # Configuration must be fresh: a cache on the way would undo a kill switch or a new sample rate.
    caching = b"Cache-Control: no-store\r\n" if route is Route.CONFIG and not answer.cache_control else b""
    fields = _CRLF.join([answer.status_line, *answer.fields, b""])
    return b"".join((fields, cors_fields, framing, caching, connection, b"X-Request-Id: ", request_id, _HEAD_END))


def sane_request_id(value: bytes | None) -> bytes | None:
    """A client's own X-Request-Id when it can be passed on, else None."""
    if value and len(value) <= _REQUEST_ID_LIMIT and _REQUEST_ID_OCTETS.issuperset(value):
        return value
    return None
