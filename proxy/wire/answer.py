"""An upstream's answer head, from bytes to the values that the gateway acts on.

Reads only what llhttp has accepted. Fields that speak for the vendor's own site and would act on
the customer's domain instead (cookies, CORS, HSTS, reporting, alternative services) are left out.
Must not know what is added for the client, nor where the body goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.wire.lines import remember

FORWARD: Final = 0
DROP: Final = 1
LENGTH: Final = 2
CODING: Final = 3
CONNECTION: Final = 4
SET_COOKIE: Final = 5
NOTE: Final = 6

_KINDS: Final[dict[bytes, int]] = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"proxy-connection": CONNECTION,  # llhttp obeys it, and so must whoever goes by its judgement
    b"set-cookie": SET_COOKIE,
    b"cache-control": NOTE,
    b"content-type": NOTE,
    b"x-session-replay-event-skipped": NOTE,
} | dict.fromkeys(
    (
        # Hop by hop (RFC 9110, 7.6.1).
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"upgrade",
        # Ours to set.
        b"x-request-id",
        b"x-gateway-config",
        b"x-gateway-reason",
        # They would act on the customer's domain.
        b"set-cookie2",
        b"alt-svc",
        b"strict-transport-security",
        b"public-key-pins",
        b"expect-ct",
        b"clear-site-data",
        b"nel",
        b"report-to",
        b"reporting-endpoints",
        b"service-worker-allowed",
        b"origin-agent-cluster",
        b"accept-ch",
        b"critical-ch",
    ),
    DROP,
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\Z")
_NAMES_LEARNT: Final = 4096
_LONGEST_LEARNT: Final = 64  # so that all names together stay below a megabyte
_STATUS_LINES_LEARNT: Final = 256
_LENGTH_DIGITS: Final = 18


class BadAnswer(Exception):
    """The head can't be relayed; the text says why."""


class AnswerHead:
    """What an answer head says.

    `fields` are the field lines to relay, in order, without line ends; Content-Length is among
    them. `content_length` is in bytes, -1 when absent. `skipped` is the vendor's code for data
    thrown away under a 2xx (X-Session-Replay-Event-Skipped), 0 for none.
    """

    __slots__ = (
        "cache_control",
        "chunked",
        "content_length",
        "content_type",
        "fields",
        "keep_alive",
        "skipped",
        "status",
        "status_line",
    )

    def __init__(self, status: int, status_line: bytes, minor: int) -> None:
        self.status = status
        self.status_line = status_line
        self.fields: list[bytes] = []
        self.content_length = -1
        self.chunked = False
        self.keep_alive = minor == 1
        self.cache_control = False
        self.content_type = b""
        self.skipped = 0

    @property
    def bodiless(self) -> bool:
        """Whether no body can follow, whatever the fields say (RFC 9112, 6.3)."""
        return self.status < 200 or self.status in (204, 304)


class AnswerReader:
    """Reads answer heads of at most `fields` fields; Set-Cookie passes for the names in `cookies` only."""

    def __init__(self, *, fields: int, cookies: Iterable[bytes] = ()) -> None:
        self._fields = fields
        self._cookies = frozenset(cookies)
        self._kinds: dict[bytes, int] = dict(_KINDS)
        self._lines: dict[bytes, int] = {}  # FORWARD and DROP only
        self._status_lines: dict[bytes, tuple[int, bytes, int]] = {}

    def read(self, head: bytes) -> AnswerHead:
        """Read one head: the bytes up to and without the empty line. Raises BadAnswer."""
        lines = head.split(b"\r\n")
        if len(lines) > self._fields + 1:
            raise BadAnswer(f"more than {self._fields} fields")
        known = self._status_lines.get(lines[0])
        status, line, minor = known if known is not None else self._status_line(lines[0])
        answer = AnswerHead(status, line, minor)
        self._read_fields(answer, lines)
        if answer.chunked and answer.content_length >= 0:
            raise BadAnswer("both Content-Length and Transfer-Encoding")
        if answer.chunked and not minor:
            raise BadAnswer("a transfer coding in HTTP/1.0: its framing is faulty (RFC 9112, 6.1)")
        if status == 204 and answer.content_length >= 0:
            # Must not be sent on (RFC 9110, 8.6): a client might wait for that body.
            answer.fields = [line for line in answer.fields if not line.lower().startswith(b"content-length:")]
        return answer

    def _status_line(self, line: bytes) -> tuple[int, bytes, int]:
        match = _STATUS_LINE.match(line)
        if not match:
            raise BadAnswer("malformed status line")
        read = (int(match[2]), b"HTTP/1.1 " + match[2] + b" " + (match[3] or b""), int(match[1]))
        if len(self._status_lines) < _STATUS_LINES_LEARNT:
            self._status_lines[line] = read
        return read

    def _read_fields(self, answer: AnswerHead, lines: list[bytes]) -> None:
        kinds, known = self._kinds, self._lines
        name = value = b""
        fields = answer.fields
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
                    nominated = _connection(answer, value, nominated)
                else:
                    self._special(answer, kind, name, value, line)
        if nominated:
            if b"close" in nominated:
                answer.keep_alive = False
            answer.fields[:] = [x for x in answer.fields if x.partition(b":")[0].lower() not in nominated]

    def _special(self, answer: AnswerHead, kind: int, name: bytes, value: bytes, line: bytes) -> None:
        if kind == LENGTH:
            if answer.content_length >= 0 or not value.isdigit() or len(value) > _LENGTH_DIGITS:
                raise BadAnswer("malformed or repeated Content-Length")
            answer.content_length = int(value)
            answer.fields.append(line)
        elif kind == NOTE:
            answer.fields.append(line)
            _note(answer, name.lower(), value)
        elif kind == SET_COOKIE:
            if value.partition(b"=")[0].strip() in self._cookies:
                answer.fields.append(line)
        else:
            # A tab behind it is white space (RFC 9110, 5.6.3), but llhttp takes it for a part of the name.
            if answer.chunked or value.lower() != b"chunked" or line.endswith(b"\t"):
                raise BadAnswer("unknown or repeated transfer coding")
            answer.chunked = True

    def _learn(self, name: bytes) -> int:
        lower = name.lower()
        kind = DROP if lower.startswith(b"access-control-") else _KINDS.get(lower, FORWARD)
        if len(name) > _LONGEST_LEARNT:
            return kind
        if len(self._kinds) >= _NAMES_LEARNT:
            self._kinds.clear()
            self._kinds.update(_KINDS)
        self._kinds[name] = kind
        return kind


def _connection(answer: AnswerHead, value: bytes, nominated: list[bytes] | None) -> list[bytes] | None:
    """Apply one Connection field; returns the options seen so far, those naming fields among them."""
    if value == b"keep-alive":
        answer.keep_alive = True
        return nominated
    options = [option.strip(b" \t") for option in value.lower().split(b",")]
    if b"keep-alive" in options:
        answer.keep_alive = True
    # Framing and CORS can't be stripped by being named: they are handled before this list is.
    named = [x for x in options if x not in (b"keep-alive", b"", b"content-length", b"content-encoding")]
    return named if nominated is None else nominated + named


def _note(answer: AnswerHead, name: bytes, value: bytes) -> None:
    if name == b"cache-control":
        answer.cache_control = True
    elif name == b"content-type":
        answer.content_type = value
    else:
        answer.skipped = int(value) if value.isdigit() and len(value) < 6 else -1
