"""A client's bytes, cut anywhere, with vendors that answer in several ways.

An input is a byte that chooses vendor and gateway, a byte with the number of cuts, two bytes for each cut, and the
stream. However it is cut, the same requests arrive at the vendor, whole and in order, and the same ones are refused.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from proxy.model.record import Outcome
from tests.fuzz.world import Visit, World, cut
from tests.unit.edge.stage import JSON, ok
from tests.unit.upstream.vendor import Script, Seen
from tests.unit.upstream.vendor import Visit as Call

MOST_CUTS: Final = 8
BYTE_BY_BYTE: Final = 400  # bytes of a stream that is short enough for it
# What breaks off before the vendor has answered is told in other words by how much was here by then.
UNFINISHED: Final = frozenset((Outcome.REJECTED, Outcome.CLIENT_GONE, Outcome.FAILED))


@cache
def world(at_once: bool) -> World:
    """`at_once`: uploads are carried on with their first bytes, instead of once they are whole."""
    return World(retry_body="0B") if at_once else World()


def counted(seen: Seen) -> bytes:
    return ok(JSON) if seen.method in (b"GET", b"HEAD") else ok(b'{"turn":%d}' % len(seen.body))


def in_chunks(seen: Seen) -> bytes:
    if seen.method == b"HEAD":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"


async def until_close(call: Call) -> None:
    """HTTP/1.0: the end of the connection is the end of the answer."""
    if await call.request() is not None:
        call.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}")


async def early(call: Call) -> None:
    """Answers what it has not read yet."""
    while (seen := await call.head()) is not None:
        call.send(ok(b"{}"))
        await call.body(seen)


async def silent(call: Call) -> None:
    """Takes everything, says nothing."""
    while await call.request() is not None:
        pass


async def refusing(call: Call) -> None:
    """Hangs up as soon as it has a head."""
    await call.head()


VENDORS: Final[tuple[tuple[Script | None, bool], ...]] = (
    (None, True),
    (None, True),
    (until_close, True),
    (early, False),
    (silent, True),
    (refusing, False),
)


def check(data: bytes) -> None:
    """AssertionError, or whatever escapes, if the gateway does what it must not."""
    if len(data) < 2:
        return
    number = data[0] % len(VENDORS)
    cuts = data[1] % (MOST_CUTS + 1)
    places = [int.from_bytes(data[2 + 2 * at : 4 + 2 * at]) for at in range(cuts)]
    stream = data[2 + 2 * cuts :]
    script, is_patient = VENDORS[number]
    reply = in_chunks if number == 1 else counted
    one = world(bool(data[0] & 0x80))
    whole = one.visit([stream], script, reply)
    ways = [cut(stream, places)] if cuts else []
    if len(stream) <= BYTE_BY_BYTE:
        ways.append([stream[at : at + 1] for at in range(len(stream))])
    for pieces in ways:
        again = one.visit(pieces, script, reply)
        if is_patient:
            same(whole, again)


def same(one: Visit, other: Visit) -> None:
    """The same requests, whole, and the same fate of each. One that is refused before its body has come ends the
    connection; where the body was here already, what follows is served."""
    fewer, more = sorted((fates(one), fates(other)), key=len)
    assert fewer == more[: len(fewer)]
    assert len(fewer) == len(more) or fewer[-1:] == [("unfinished",)]
    arrived, expected = sorted((carried(one), carried(other)), key=len)
    assert arrived == expected[: len(arrived)]
    assert len(arrived) == len(expected) or len(fewer) < len(more)


def carried(visit: Visit) -> list[tuple[object, ...]]:
    """What arrived whole, but for the ids that the gateway gives."""
    return [
        (seen.method, seen.target, seen.body, [field for field in seen.fields if field[0] != b"X-Request-Id"])
        for seen in visit.requests
        if seen.complete
    ]


def fates(visit: Visit) -> list[tuple[object, ...]]:
    """How each request ended."""
    return [
        ("unfinished",) if record.outcome in UNFINISHED else (record.method, record.outcome, record.status)
        for record in visit.records
    ]
