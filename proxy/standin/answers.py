"""The vendor's answers as values, and their bytes: default answers and the head of every other one.

Pure: the date is an argument. Must not know of connections, rules or misbehaviour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import pairwise

# What the real vendor sends of its own accord; a gateway must neither double nor relay it blindly.
VENDOR_FIELDS: tuple[tuple[str, str], ...] = (
    ("Server", "standin"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "false"),
    ("Set-Cookie", "vendor=1; Path=/"),
)
CONFIG = {"sessionReplay": {"sr_sampling_config": {"capture_enabled": True, "sample_rate": 1}}}
BODILESS = frozenset({204, 304})
TRACK_PATH = b"/sessions/v2/track"
CHUNKED = "Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """An answer before it is put into bytes. `fields` replace vendor fields of the same name."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What an answer may depend on. `date` is an IMF-fixdate (RFC 9110, 5.6.7); `close` says that
    the client asked for the end of the connection; `default` is what is answered without any rule."""

    method: bytes
    date: str
    close: bool
    default: Answer


def reason_phrase(status: int) -> str:
    """The phrase of RFC 9110, or `Unknown` for a number that it does not list."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def head_bytes(answer: Answer, date: str, framing: str, close: bool) -> bytes:
    """The head of `answer`; `framing` is the field line, with CRLF, that says where the body ends."""
    given = {name.lower() for name, _ in answer.fields}
    fields = [("Date", date), *VENDOR_FIELDS]
    if answer.body or framing == CHUNKED:
        fields.append(("Content-Type", answer.content_type))
    lines = [f"{name}: {value}\r\n" for name, value in fields if name.lower() not in given]
    lines += [f"{name}: {value}\r\n" for name, value in answer.fields]
    if close:
        lines.append("Connection: close\r\n")
    start = f"HTTP/1.1 {answer.status} {reason_phrase(answer.status)}\r\n"
    return (start + "".join(lines) + framing + "\r\n").encode("latin-1")


def length_field(length: int) -> str:
    """The Content-Length line, with CRLF."""
    return f"Content-Length: {length}\r\n"


def whole(answer: Answer, date: str, method: bytes, close: bool) -> bytes:
    """Head and body with a Content-Length, as RFC 9110 wants it for this method and status."""
    if answer.status in BODILESS:
        return head_bytes(answer, date, "", close)
    head = head_bytes(answer, date, length_field(len(answer.body)), close)
    return head if method == b"HEAD" else head + answer.body


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding; empty data gives the last chunk and the end of the message."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def pieces(body: bytes, count: int) -> list[bytes]:
    """`body` in `count` pieces of at least one byte; a short body is padded with white space."""
    padded = body.ljust(count)
    cuts = (len(padded) * index // count for index in range(count + 1))
    return [padded[start:end] for start, end in pairwise(cuts)]


def is_config(target: bytes) -> bool:
    """Whether the target is one of the two shapes: `/config/<key>` or `/config?api_key=..`."""
    path, _, query = target.partition(b"?")
    return path.startswith(b"/config/") or (path == b"/config" and b"api_key=" in query)


class Defaults:
    """What one site answers when no rule says otherwise, with the bytes prepared for speed.

    The cache holds at most a few entries (answers x HEAD x close) and lives for one second.
    """

    __slots__ = ("_bytes", "_date", "bad_gzip", "config", "not_found", "preflight", "refused", "track")

    def __init__(self, site: str, region: str) -> None:
        body = {"configs": CONFIG, "region": region, "site": site}
        self.config = Answer(200, json.dumps(body, separators=(",", ":")).encode())
        self.track = Answer(200, b'{"code":200}')
        self.bad_gzip = Answer(400, b'{"code":400,"error":"the body is not valid gzip"}')
        self.refused = Answer(400, b'{"code":400,"error":"the request is not strict HTTP/1.1"}')
        self.not_found = Answer(404, b'{"code":404,"error":"no such path"}')
        preflight = (("Access-Control-Allow-Methods", "GET, POST"), ("Access-Control-Allow-Headers", "*"))
        self.preflight = Answer(204, fields=preflight)
        self._bytes: dict[tuple[Answer, bool, bool], bytes] = {}
        self._date = ""

    def choose(self, method: bytes, target: bytes, decoded_ok: bool | None) -> Answer:
        """The default answer to a whole request; `decoded_ok` False means that its gzip was broken."""
        if method == b"POST" and target.partition(b"?")[0].endswith(TRACK_PATH):
            return self.bad_gzip if decoded_ok is False else self.track
        if method in (b"GET", b"HEAD") and is_config(target):
            return self.config
        return self.preflight if method == b"OPTIONS" else self.not_found

    def bytes_of(self, answer: Answer, date: str, method: bytes, close: bool) -> bytes:
        """`whole`, remembered as long as the date stays the same object."""
        if date is not self._date:
            self._date = date
            self._bytes.clear()
        key = (answer, method == b"HEAD", close)
        found = self._bytes.get(key)
        if found is None:
            found = self._bytes[key] = whole(answer, date, method, close)
        return found


def field_pairs(fields: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Fields given as JSON object as pairs; a list of values gives one line each."""
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        pairs += [(name, str(item)) for item in (value if isinstance(value, list) else [value])]
    return tuple(pairs)
