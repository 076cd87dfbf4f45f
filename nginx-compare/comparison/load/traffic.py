"""The requests of a real SDK as bytes: uploads, preflights, the configuration, beacons, a visitor's whole session.

Header names, values and order are those that Chromium sends for the browser SDK 1.50. Bodies are valid gzip of
exactly the asked size with random content, so that nothing below can compress them. Visitors differ in what theirs
do: device, session, page. Everything is the same at each run. It does no I/O.
"""

from __future__ import annotations

import base64
import functools
import gzip
import random
import struct
import uuid
from dataclasses import dataclass

HOST = "replay.example.com"
ORIGIN = "https://app.example.com"
KEY = "0123456789abcdef0123456789abcdef"
TRACK = "/sessions/v2/track"
SDK_FIELDS = (
    "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
    "x-client-version,x-sampling-hash-alg"
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
ACCEPTED = ("Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-US,en;q=0.9")
FETCHED = ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
GZIP_HEAD = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"  # deflate, with an extra field, no time, unknown system
SMALLEST_GZIP = 80
FIRST_SESSION = 1795239913738  # milliseconds: when a visit began


@dataclass(frozen=True)
class Step:
    """One request of a session: `pause` seconds after the answer before it, then these bytes."""

    pause: float
    request: bytes


def upload(size: int, session: int = FIRST_SESSION) -> bytes:
    """The POST of one batch whose body has `size` bytes on the wire (at least 80). Its length says nothing of who sent
    it: those of all sessions are as long."""
    fields = (
        f"Content-Length: {size}",
        f"Authorization: Bearer {KEY}",
        "Content-Encoding: gzip",
        "X-Sampling-Hash-Alg: xxhash32",
        f"X-Client-Url: {ORIGIN}/orders/{session % 100_000:05}?tab=items",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "X-Client-Version: 1.50.2",
        "Content-Type: application/json",
        "X-Client-Sample-Rate: 1",
        "X-Client-Library: standalone/1.50.2",
        f"Origin: {ORIGIN}",
        *FETCHED,
        *ACCEPTED,
    )
    return _head("POST", _track(session), fields) + packed(size)


def preflight(session: int = FIRST_SESSION, *, beacon: bool = False) -> bytes:
    """The OPTIONS before an upload, or before the beacon at the end of a visit."""
    fields = (
        "Accept: */*",
        "Access-Control-Request-Method: POST",
        f"Access-Control-Request-Headers: {'content-type' if beacon else SDK_FIELDS}",
        f"Origin: {ORIGIN}",
        f"User-Agent: {AGENT}",
        *FETCHED,
        *ACCEPTED,
    )
    return _head("OPTIONS", _track(session, beacon), fields)


def configuration(key: str = KEY) -> bytes:
    """The GET with which the SDK starts; those of one project are all alike."""
    fields = (f"User-Agent: {AGENT}", "Accept: */*", f"Origin: {ORIGIN}", *FETCHED, *ACCEPTED)
    return _head("GET", f"/config/{key}?config_group=browser", fields)


def beacon(size: int, session: int) -> bytes:
    """What a page sends when it is left: not compressed, the key in the query, the site's cookies along."""
    text = _random_text(size - len('{"version":2,"events":[""]}'), session)
    fields = (
        f"Content-Length: {size}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Content-Type: application/json",
        f"Origin: {ORIGIN}",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Mode: no-cors",
        "Sec-Fetch-Dest: empty",
        "Cookie: login=c2VjcmV0LXNlc3Npb24; consent=yes",
        *ACCEPTED,
    )
    return _head("POST", _track(session, beacon=True), fields) + b'{"version":2,"events":["' + text + b'"]}'


def visit(number: int, pace: float) -> list[Step]:
    """All requests of one visitor, in order, with the SDK's pauses divided by `pace`.

    Of twenty visits thirteen are to a small page, six to a busy one, one opens a table of 6,000 rows. The sizes are
    those measured of the real SDK: first batch, later batches, beacon.
    """
    first, later, last = _sizes(number % 20)
    session = FIRST_SESSION + number
    steps = [Step(0, configuration()), Step(0, preflight(session)), Step(0, upload(first, session))]
    pauses = (min(2 + index, 10) for index in range(len(later)))  # the flush interval grows by a second up to ten
    steps += [Step(pause / pace, upload(size, session)) for pause, size in zip(pauses, later, strict=True)]
    return [*steps, Step(2 / pace, preflight(session, beacon=True)), Step(0, beacon(last, session))]


@functools.cache
def packed(size: int) -> bytes:
    """Valid gzip of `size` bytes: a batch of random events, filled up by the header's extra field."""
    if size < SMALLEST_GZIP:
        raise ValueError(f"no batch of {size} bytes: at least {SMALLEST_GZIP}")
    raw = size * 4 // 3
    while True:
        plain = b'{"version":1,"events":["' + _random_text(raw, size) + b'"]}'
        body = gzip.compress(plain, 6, mtime=0)[10:]
        spare = size - len(GZIP_HEAD) - 2 - len(body)
        if 0 <= spare < 65_536:
            return GZIP_HEAD + struct.pack("<H", spare) + bytes(spare) + body
        raw = max(0, raw + (spare - 32 if spare < 0 else spare))


def _sizes(kind: int) -> tuple[int, list[int], int]:
    if kind < 13:
        return 1_900, [660, 140, 400, 250], 1_200
    later = [12_300, 9_000, 7_500, 6_100, 5_200, 4_400, 3_900, 3_300, 2_900, 2_700]
    return (102_000, later, 65_483) if kind < 19 else (748_000, later, 65_483)


def _track(session: int, beacon: bool = False) -> str:
    key = f"&api_key={KEY}" if beacon else ""
    device = uuid.UUID(int=random.Random(session).getrandbits(128), version=4)
    return f"{TRACK}?device_id={device}&session_id={session}&type=replay{key}"


def _head(method: str, target: str, fields: tuple[str, ...]) -> bytes:
    lines = (f"{method} {target} HTTP/1.1", f"Host: {HOST}", "Connection: keep-alive", *fields, "", "")
    return "\r\n".join(lines).encode()


def _random_text(size: int, seed: int) -> bytes:
    return base64.b64encode(random.Random(seed).randbytes(size))[:size]
