"""A vendor's bytes, cut anywhere, as the answer to an upload, a question for the configuration or a HEAD.

An input is a byte that chooses the request and whether the vendor hangs up at the end, a byte with the number of cuts,
two bytes for each cut, and the stream. However it is cut, the client gets the same whole answer or can tell that there
is none; and whoever comes next gets an answer of his own.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Final

from proxy.model.record import Outcome
from tests.conformance.wire import Answer
from tests.fuzz.client import MOST_CUTS
from tests.fuzz.world import Visit, World, cut
from tests.unit.edge.stage import get, ok, post
from tests.unit.upstream.vendor import Script, Seen
from tests.unit.upstream.vendor import Visit as Call
from tests.unit.wire.witness import Witness

BYTE_BY_BYTE: Final = 400  # bytes of a stream that is short enough for it
REQUESTS: Final = (post(b"hello"), get(), get(method=b"HEAD"))
OWN: Final = b'{"for":"the next one"}'
NEXT: Final = (post(b"next"), get(), get(method=b"HEAD"))


@cache
def world() -> World:
    return World()


def own(seen: Seen) -> bytes:
    return ok(b"" if seen.method == b"HEAD" else OWN)


def says(pieces: list[bytes], hangs_up: bool) -> Script:
    """The first request gets these bytes, all others answers of their own."""

    async def script(call: Call) -> None:
        if call.number == 1:
            await call.request()
            for piece in pieces:
                call.send(piece)
                await asyncio.sleep(0)
            if hangs_up:
                return
        while (seen := await call.request()) is not None:
            call.send(own(seen))

    return script


def check(data: bytes) -> None:
    """AssertionError, or whatever escapes, if the gateway does what it must not."""
    if len(data) < 2:
        return
    which = data[0] % len(REQUESTS)
    hangs_up = bool(data[0] & 0x80)
    cuts = data[1] % (MOST_CUTS + 1)
    places = [int.from_bytes(data[2 + 2 * at : 4 + 2 * at]) for at in range(cuts)]
    stream = data[2 + 2 * cuts :]
    ways = [[stream] if stream else [], cut(stream, places)]
    if len(stream) <= BYTE_BY_BYTE:
        ways.append([stream[at : at + 1] for at in range(len(stream))])
    fates = [fate(answered(pieces, hangs_up, which), stream, which) for pieces in ways]
    assert all(each == fates[0] for each in fates), fates


def answered(pieces: list[bytes], hangs_up: bool, which: int) -> Visit:
    """One request that is answered so, and another one by somebody else."""
    visit = world().visit([REQUESTS[which]], says(pieces, hangs_up), own, then=NEXT[which])
    (last,) = visit.later
    assert (last.status, last.body) == (200, b"" if which == 2 else OWN), "the next client got another's answer"
    return visit


def fate(visit: Visit, stream: bytes, which: int) -> tuple[object, ...]:
    """The whole answer that was relayed, or that there was none."""
    (record,) = visit.records[: visit.so_far]
    if which != 2 and has_surplus(stream):
        assert visit.requests[-1].visit > 1, "a connection with surplus bytes was used again"
    if record.outcome is Outcome.FAILED:
        return ("broken",)
    (answer,) = visit.answers
    assert answer.status == record.status
    return (record.outcome, answer.status, answer.body, told(answer))


def has_surplus(stream: bytes) -> bool:
    """Whether llhttp, asked by itself, sees bytes behind the final answer."""
    witness = Witness.of(stream, answers=True)
    while witness.end is not None and witness.status < 200:
        stream = stream[witness.end :]
        witness = Witness.of(stream, answers=True)
    return witness.end is not None and witness.end < len(stream)


def told(answer: Answer) -> list[tuple[str, str]]:
    """Its fields but those that differ each time, or by what of the answer was here when its head was sent on."""
    changing = ("x-request-id", "date", "connection", "content-length", "transfer-encoding")
    return [field for field in answer.fields if field[0].lower() not in changing]
