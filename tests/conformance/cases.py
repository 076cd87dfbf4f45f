"""The shape of a request case and the bytes that cases are made of.

A case is data: what is written to the socket and what may come of it. Expectations are those of
RFC 9110 and 9112; where the RFC leaves a choice, the stricter one is expected, because this proxy
carries two known routes and may refuse everything else. It must not know which proxy is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = b"Host: replay.example.com"
ORIGIN_VALUE = "https://app.example.com"
ORIGIN = b"Origin: " + ORIGIN_VALUE.encode()
KEY = b"0123456789abcdef0123456789abcdef"
TRACK_PATH = b"/sessions/v2/track"
TRACK = TRACK_PATH + b"?device_id=device-1&session_id=1795239913738&type=replay"
CONFIG = b"/config/" + KEY + b"?config_group=browser"
POST_LINE = b"POST " + TRACK + b" HTTP/1.1"
GET_LINE = b"GET " + CONFIG + b" HTTP/1.1"
# What an attacker wants to be read as a request of its own, should the bounds be seen differently.
SMUGGLED = b"GET /config/smuggled HTTP/1.1\r\nHost: replay.example.com\r\n\r\n"
BODY_LIMIT = 16 * 1024 * 1024  # bytes; configured alike for every proxy under test

Writes = tuple[bytes | float, ...]  # a float is a pause in seconds


@dataclass(frozen=True)
class Refusal:
    """A request that must be refused.

    `statuses` are those that may be answered; 0 stands for closing without an answer. `closes`: the
    connection must end, None when it may stay. `cors`: the answer must be readable for ORIGIN; None where
    the fault comes before the Origin field can be read. `begun`: the head is sound, so a request may have been
    begun upstream, but it must never be completed. `text` must appear in the answer's body.
    """

    name: str
    section: str
    writes: Writes
    statuses: frozenset[int]
    closes: bool | None = True
    cors: bool | None = True
    begun: bool = False
    method: bytes = b"POST"
    text: bytes = b""
    allow: frozenset[str] = frozenset()


def head(first: bytes, *lines: bytes) -> bytes:
    """A request head with its end."""
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def post(*lines: bytes) -> bytes:
    """The head of an upload with a Host, an Origin and these field lines."""
    return head(POST_LINE, HOST, ORIGIN, *lines)


def get(*lines: bytes) -> bytes:
    """The head of a config request with a Host, an Origin and these field lines."""
    return head(GET_LINE, HOST, ORIGIN, *lines)


def chunked(*chunks: bytes) -> bytes:
    """A body in the chunked coding, one chunk for each piece."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
