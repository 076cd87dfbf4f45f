"""A request head, from bytes to the few values that the gateway acts on.

Reads only what llhttp (see `referee`) has already accepted, so the syntax of names and values is
settled; what is checked here is meaning: framing (RFC 9112, 6), Host (RFC 9112, 3.2), connection
options (RFC 9110, 7.6.1) and the limits. Everything end-to-end stays a raw line, untouched.
Must not know where the request goes, who may send it, or what is added on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.model.verdict import Reason
from proxy.wire.lines import remember

# What becomes of a field, by its name.
FORWARD: Final = 0
DROP: Final = 1
HOST: Final = 2
LENGTH: Final = 3
CODING: Final = 4
CONNECTION: Final = 5
EXPECT: Final = 6
ORIGIN: Final = 7
AUTHORIZATION: Final = 8
UPGRADE: Final = 9
NOTE: Final = 10

_KINDS: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"expect": EXPECT,
    b"origin": ORIGIN,
    b"authorization": AUTHORIZATION,
    b"upgrade": UPGRADE,
    # Consumed by every hop (RFC 9110, 7.6.1), or set by this gateway alone.
    b"keep-alive": DROP,
    b"proxy-connection": CONNECTION,  # llhttp obeys it, and so must whoever goes by its judgement
    b"proxy-authenticate": DROP,
    b"proxy-authorization": DROP,
    b"te": DROP,
    b"trailer": DROP,
    b"http2-settings": DROP,
    b"forwarded": DROP,
    b"x-real-ip": DROP,
    b"x-forwarded-for": NOTE,
    b"x-forwarded-proto": NOTE,
    b"x-forwarded-host": NOTE,
    b"x-forwarded-port": DROP,
    b"x-forwarded-server": DROP,
    b"x-request-id": NOTE,
    b"cookie": NOTE,
}

# Fields meant for the last recipient may not be named in Connection (RFC 9110, 7.6.1): whoever does
# it wants a proxy to strip or to misread them. The same goes for what a trusted proxy in front has said.
_NEVER_NOMINATED: Final = frozenset(
    (b"host", b"content-length", b"content-type", b"content-encoding", b"authorization", b"origin", b"expect")
) | {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
VALID_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+\Z")
_NAMES_LEARNT: Final = 4096
_LONGEST_LEARNT: Final = 64  # so that all names together stay below a megabyte, whoever invents them
_HOSTS_LEARNT: Final = 1024
# Field blocks of requests without a body: a few hundred browsers make nearly all of them. With its lines taken apart a
# block is about 4 KiB: 2 MiB per worker. A full table is emptied.
_BLOCKS: Final = 512
_LONGEST_BLOCK: Final = 2048
# A length of 18 digits fits in 63 bits with room to add to it.
LENGTH_DIGITS: Final = 18


class RequestHead:
    """What a request head says.

    `fields` are the end-to-end field lines as received, in order, without line ends, the fields
    named above left out (Content-Length, Origin and Authorization stay in). `content_length` is in
    bytes, -1 when absent. `minor` is the HTTP/1 minor version. `notes` holds the values of the
    fields that were set aside, by lower-case name; repeated ones are joined by ", ". Heads with the same fields may
    share `fields` and `notes`: these are not changed, but replaced.
    """

    __slots__ = (
        "authorization",
        "chunked",
        "content_length",
        "expects_continue",
        "fields",
        "host",
        "keep_alive",
        "method",
        "minor",
        "notes",
        "origin",
        "target",
    )

    def __init__(self, method: bytes, target: bytes, minor: int) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.fields: list[bytes] = []
        self.host = b""
        self.origin: bytes | None = None
        self.authorization: bytes | None = None
        self.content_length = -1
        self.chunked = False
        self.keep_alive = minor == 1
        self.expects_continue = False
        self.notes: dict[bytes, bytes] = {}

    def adopt(self, other: RequestHead) -> None:
        """Take over what the fields of another head say; they are the same, the request line is this head's own."""
        self.fields = other.fields
        self.host = other.host
        self.origin = other.origin
        self.authorization = other.authorization
        self.content_length = other.content_length
        self.chunked = other.chunked
        self.keep_alive = other.keep_alive
        self.expects_continue = other.expects_continue
        self.notes = other.notes

    @property
    def has_body(self) -> bool:
        """Whether body bytes follow the head."""
        return self.chunked or self.content_length > 0


class _Rejected(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class RequestReader:
    """Reads request heads under the limits given: `target` in bytes, `fields` in number.

    `drop` names further fields never to be forwarded and `note` further fields to set aside, but
    forward all the same unless dropped; both lower-case.
    """

    def __init__(self, *, target: int, fields: int, drop: Iterable[bytes] = (), note: Iterable[bytes] = ()) -> None:
        self._target = target
        self._fields = fields
        dropped, noted = frozenset(drop), frozenset(note)
        self._base = _KINDS | dict.fromkeys(dropped.difference(_KINDS), DROP)
        self._base |= {name: NOTE for name in noted if _KINDS.get(name, DROP) == DROP}
        # Read here and forwarded all the same.
        self._passed = (noted.difference(_KINDS) | {b"origin", b"authorization"}) - dropped
        self._never_nominated = _NEVER_NOMINATED | noted
        self._kinds: dict[bytes, int] = dict(self._base)
        self._lines: dict[bytes, int] = {}  # FORWARD and DROP only
        self._hosts: set[bytes] = set()
        self._blocks: dict[bytes, RequestHead] = {}  # fields of preflights and config requests met before

    def read(self, head: bytes) -> RequestHead | Reason:
        """Read one head: the bytes up to and without the empty line. Returns the Reason to refuse it."""
        end = head.find(b"\r\n")
        line, block = (head, b"") if end < 0 else (head[:end], head[end:])
        try:
            request = self._request_line(line)
            # An upload's fields name the page and its own length; those of the others are the browser's alone.
            shared = request.minor == 1 and request.method != b"POST"
            known = self._blocks.get(block) if shared else None
            if known is not None:
                request.adopt(known)
                return request
            self._read_block(request, block)
            if shared:
                self._remember(request, block)
            return request
        except _Rejected as rejected:
            return rejected.reason

    def _remember(self, request: RequestHead, block: bytes) -> None:
        if len(block) > _LONGEST_BLOCK:
            return
        if len(self._blocks) >= _BLOCKS:
            self._blocks.clear()
        kept = RequestHead(b"", b"", request.minor)
        kept.adopt(request)
        self._blocks[block] = kept

    def _read_block(self, request: RequestHead, block: bytes) -> None:
        lines = block.split(b"\r\n")
        if len(lines) > self._fields + 1:
            raise _Rejected(Reason.HEAD_TOO_LARGE)
        self._read_fields(request, lines)
        if not request.host and request.minor:
            raise _Rejected(Reason.BAD_HOST)
        if request.chunked and (request.content_length >= 0 or not request.minor):
            raise _Rejected(Reason.BAD_FRAMING)

    def _request_line(self, line: bytes) -> RequestHead:
        parts = line.split(b" ")
        if len(parts) != 3 or not parts[0].isalpha():
            raise _Rejected(Reason.BAD_REQUEST)
        method, target, version = parts
        if method == b"CONNECT" or method == b"TRACE":
            raise _Rejected(Reason.TUNNEL)
        if len(target) > self._target:
            raise _Rejected(Reason.TARGET_TOO_LONG)
        if not _TARGET.match(target):
            raise _Rejected(Reason.BAD_TARGET)
        if version == b"HTTP/1.1":
            return RequestHead(method, target, 1)
        if version == b"HTTP/1.0":
            return RequestHead(method, target, 0)
        known_later = version.startswith(b"HTTP/") and version[5:6] > b"1"
        raise _Rejected(Reason.BAD_VERSION if known_later else Reason.BAD_REQUEST)

    def _read_fields(self, request: RequestHead, lines: list[bytes]) -> None:
        kinds, known = self._kinds, self._lines
        name = value = b""
        fields = request.fields
        nominated: list[bytes] | None = None
        for number in range(1, len(lines)):
            line = lines[number]
            kind = known.get(line)
            if kind is None:
                name, _, value = line.partition(b":")
                kind = kinds.get(name)
                if kind is None:
                    kind = self._learn(name)
                if kind <= DROP:
                    remember(known, line, kind)
            if kind == FORWARD:
                fields.append(line)
            elif kind != DROP:
                value = value.strip(b" \t")
                if kind == CONNECTION:
                    nominated = _connection(request, value, nominated)
                else:
                    self._special(request, kind, name, value, line)
        if nominated:
            if not self._never_nominated.isdisjoint(nominated):
                raise _Rejected(Reason.BAD_REQUEST)
            if b"close" in nominated:
                request.keep_alive = False
            request.fields[:] = _without(request.fields, nominated)
            for option in nominated:
                request.notes.pop(option, None)

    def _special(self, request: RequestHead, kind: int, name: bytes, value: bytes, line: bytes) -> None:
        if kind == LENGTH:
            request.fields.append(line)
            _length(request, value)
        elif kind == HOST:
            self._host(request, value)
        elif kind == ORIGIN:
            if b"origin" in self._passed:
                request.fields.append(line)
            # Two of them can't come from a browser; then neither is believed.
            request.origin = value if request.origin is None else b""
        elif kind == AUTHORIZATION:
            if request.authorization is not None:
                # Two readers could go by different ones: the key that was checked must be the key that is used.
                raise _Rejected(Reason.BAD_REQUEST)
            if b"authorization" in self._passed:
                request.fields.append(line)
            request.authorization = value
        elif kind == NOTE:
            self._note(request, name.lower(), value, line)
        elif kind == CODING:
            _coding(request, value)
        elif kind == EXPECT:
            _expect(request, value)
        else:
            raise _Rejected(Reason.UPGRADE)

    def _note(self, request: RequestHead, name: bytes, value: bytes, line: bytes) -> None:
        if name in self._passed:
            request.fields.append(line)
        earlier = request.notes.get(name)
        separator = b"; " if name == b"cookie" else b", "
        request.notes[name] = value if earlier is None else earlier + separator + value

    def _host(self, request: RequestHead, value: bytes) -> None:
        if request.host or (value not in self._hosts and not VALID_HOST.match(value)):
            raise _Rejected(Reason.BAD_HOST)
        if len(self._hosts) < _HOSTS_LEARNT:
            self._hosts.add(value)
        request.host = value

    def _learn(self, name: bytes) -> int:
        """The kind of a name in a spelling not met before; remembered, up to a bound."""
        if b"_" in name:
            # Servers behind CGI-like interfaces read X_Forwarded_For as X-Forwarded-For.
            return DROP
        kind = self._base.get(name.lower(), FORWARD)
        if len(name) > _LONGEST_LEARNT:
            return kind
        if len(self._kinds) >= _NAMES_LEARNT:
            self._kinds.clear()
            self._kinds.update(self._base)
        self._kinds[name] = kind
        return kind


def _length(request: RequestHead, value: bytes) -> None:
    if request.content_length >= 0 or not value.isdigit() or len(value) > LENGTH_DIGITS:
        raise _Rejected(Reason.BAD_FRAMING)
    request.content_length = int(value)


def _coding(request: RequestHead, value: bytes) -> None:
    if request.chunked:
        raise _Rejected(Reason.BAD_FRAMING)
    if value.lower() != b"chunked":
        raise _Rejected(Reason.UNKNOWN_CODING)
    request.chunked = True


def _expect(request: RequestHead, value: bytes) -> None:
    if value.lower() != b"100-continue" or request.expects_continue:
        raise _Rejected(Reason.EXPECTATION)
    # An HTTP/1.0 client can't be waiting for an interim answer (RFC 9110, 10.1.1).
    request.expects_continue = request.minor == 1


def _connection(request: RequestHead, value: bytes, nominated: list[bytes] | None) -> list[bytes] | None:
    """Apply one Connection field; returns the options seen so far, those naming fields among them."""
    if value == b"keep-alive":
        request.keep_alive = True
        return nominated
    options = nominated or []
    for raw in value.lower().split(b","):
        option = raw.strip(b" \t")
        if option == b"keep-alive":
            request.keep_alive = True
        elif option:
            options.append(option)
    return options


def _without(fields: list[bytes], names: list[bytes]) -> list[bytes]:
    return [line for line in fields if line.partition(b":")[0].lower() not in names]
