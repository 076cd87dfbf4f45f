"""Answers that no vendor should send, by name: broken framing, broken fields, surplus bytes.

Pure: a request in, steps out. Must not know how steps are played or how a preset was chosen.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.standin.answers import CHUNKED, Request, chunk, whole
from proxy.standin.steps import End, Ending, Idle, Plan, Send, Step

BODY = b'{"code":200}'
HUGE_HEAD_BYTES = 64 << 10
MANY_FIELDS = 500
INTERIM_ANSWERS = 1000
UNSOLICITED_AFTER = 0.05  # seconds; time enough for a pool to have taken the connection back
POISON = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Poisoned: yes\r\n"
    b'Content-Length: 17\r\n\r\n{"poisoned":true}'
)
TIMEOUT_408 = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
# Fixed, so that a failure can be repeated; no CRLF and nothing that looks like a status line.
GARBAGE = bytes(range(128, 256)) + b"\x00\x01\x02\x16\x03\x01 not http at all"


def with_fields(fields: bytes, body: bytes = BODY) -> bytes:
    """A 200 whose field lines are exactly `fields`, each with its line end."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + fields + b"\r\n" + body


def with_odd_field(field: bytes) -> bytes:
    """A 200 that is fine but for one field line, given without its line end."""
    return with_fields(field + b"\r\nContent-Length: 12\r\n")


FIXED: dict[str, tuple[int, bytes]] = {
    "dup_length": (200, with_fields(b"Content-Length: 12\r\nContent-Length: 12\r\n")),
    "conflicting_length": (200, with_fields(b"Content-Length: 12\r\nContent-Length: 5\r\n")),
    "length_and_chunked": (
        200,
        with_fields(b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n", chunk(BODY) + chunk(b"")),
    ),
    "bad_chunk": (200, with_fields(CHUNKED.encode(), b"zz\r\n" + BODY + b"\r\n0\r\n\r\n")),
    "bare_lf": (200, with_fields(b"Content-Length: 12\r\n").replace(b"\r\n", b"\n")),
    "header_injection": (200, with_odd_field(b"X-Odd: a\rX-Injected: yes\r\nX-Nul: a\x00b")),
    "cr_in_value": (200, with_odd_field(b"X-Odd: a\rX-Injected: yes")),
    "nul_in_value": (200, with_odd_field(b"X-Nul: a\x00b")),
    "obs_fold": (200, with_odd_field(b"X-Folded: a\r\n b")),
    "space_before_colon": (200, with_odd_field(b"X-Spaced : a")),
    "huge_head": (200, with_odd_field(b"X-Huge: ".ljust(HUGE_HEAD_BYTES, b"h"))),
    "many_fields": (200, with_odd_field(b"\r\n".join(b"X-Field-%d: v" % n for n in range(MANY_FIELDS)))),
    "status_000": (0, with_fields(b"Content-Length: 12\r\n").replace(b" 200 OK", b" 000 Nothing")),
    "garbage": (0, GARBAGE),
    "switching_101": (101, SWITCHING),
    "body_on_204": (204, b"HTTP/1.1 204 No Content\r\nContent-Length: 12\r\n\r\n" + BODY),
    "body_on_304": (304, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n" + BODY),
}


def answer(request: Request) -> bytes:
    """The bytes that would be sent without any preset."""
    return whole(request.default, request.date, request.method, request.close)


def interim_flood(request: Request) -> tuple[Step, ...]:
    """A thousand 100 (Continue) before the answer."""
    return Send(CONTINUE * INTERIM_ANSWERS), Send(answer(request))


def early_hints_103(request: Request) -> tuple[Step, ...]:
    """One 103 before the answer; legal, to be swallowed."""
    return Send(EARLY_HINTS), Send(answer(request))


def surplus(request: Request) -> tuple[Step, ...]:
    """A second answer right behind the first: poison for the next client."""
    return (Send(answer(request) + POISON),)


def unsolicited(request: Request) -> tuple[Step, ...]:
    """A 408 that nobody asked for, on the idle connection."""
    return Send(answer(request)), Idle(UNSOLICITED_AFTER), Send(TIMEOUT_408)


def http09(request: Request) -> tuple[Step, ...]:
    """A body without any head."""
    return Send(request.default.body or BODY), End(Ending.CLOSE)


AROUND: dict[str, Callable[[Request], tuple[Step, ...]]] = {
    "interim_flood": interim_flood,
    "early_hints_103": early_hints_103,
    "surplus": surplus,
    "unsolicited": unsolicited,
    "http09": http09,
}
NAMES = tuple(sorted((*FIXED, *AROUND)))


def preset(name: str, request: Request) -> Plan:
    """The plan of a preset. Raises ValueError with all names when there is none of that name."""
    if name in FIXED:
        status, data = FIXED[name]
        return Plan((Send(data),), status)
    if name in AROUND:
        return Plan(AROUND[name](request), request.default.status)
    raise ValueError(f"no preset {name!r}; there are {', '.join(NAMES)}")
