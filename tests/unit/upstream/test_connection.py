"""Proves how an upstream's answers are read: their bounds are the same however they are cut, whatever is ambiguous, cut
off or unasked fails the exchange, and a connection is used again only when nothing about it is in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.failure import FailureKind
from proxy.observe.ledger import Counter
from tests.unit.upstream.stage import EMPTY, REQUEST, Carrier, Stage, closing_vendors, eventually, run, stage
from tests.unit.upstream.vendor import OK, Seen, Vendor, Visit
from tests.unit.wire import heads
from tests.unit.wire.witness import Witness


def answering(*pieces: bytes, close: bool = False, reset: bool = False) -> Vendor:
    """A vendor that answers every request with these pieces, each in a packet of its own as far as that is possible."""

    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            for piece in pieces:
                visit.send(piece)
                await asyncio.sleep(0)
            if reset:
                await visit.writer.drain()
                await asyncio.sleep(0.01)
                visit.reset()
            if close or reset:
                return

    return Vendor(script=script)


def exchange(vendor: Vendor, *, times: int = 1, head_only: bool = False, **limits: object) -> list[Carrier]:
    """So many exchanges, one after the other, over one pool."""
    carriers: list[Carrier] = []

    async def main() -> None:
        async with stage(vendor) as one:
            pool = one.pool(limits=limits)
            for _ in range(times):
                carriers.append(await one.carry(pool, head_only=head_only))

    run(main)
    return carriers


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b'{"code":200}'),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n",
            200,
            b"abcde",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, 200, b'{"code":200}'),
        (b"HTTP/1.1 104 Who Knows\r\n\r\n" + OK, 200, b'{"code":200}'),
        (b"HTTP/1.0 503 x\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 503, b"x"),
    ],
)
def test_answers_are_read_and_the_connection_is_used_again(answer: bytes, status: int, body: bytes) -> None:
    vendor = answering(answer)
    for carrier in exchange(vendor, times=3):
        assert carrier.head is not None
        assert (carrier.head.status, carrier.body, carrier.failures) == (status, body, [])
    assert len(vendor.visits) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
    ],
)
def test_a_connection_in_doubt_is_not_used_again(answer: bytes) -> None:
    vendor = answering(answer)
    for carrier in exchange(vendor, times=2):
        assert (carrier.body, carrier.failures, carrier.reused) == (b"ok", [], False)
    assert len(vendor.visits) == 2


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    (carrier,) = exchange(answering(b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it", close=True))
    assert (carrier.body, carrier.complete) == (b"all of it", True)


def test_an_answer_without_a_length_that_is_reset_is_not_complete() -> None:
    (carrier,) = exchange(answering(b"HTTP/1.1 200 OK\r\n\r\npart", reset=True))
    assert (carrier.complete, carrier.failures) == (False, [FailureKind.TRUNCATED_ANSWER])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"H",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_an_answer_that_is_cut_off_is_a_failure_that_is_not_repeated(answer: bytes, reset: bool) -> None:
    (carrier,) = exchange(answering(answer, close=True, reset=reset))
    assert (carrier.complete, carrier.failures) == (False, [FailureKind.TRUNCATED_ANSWER])


@pytest.mark.parametrize("reset", [False, True])
def test_no_answer_at_all_is_a_failure_of_its_own(reset: bool) -> None:
    (carrier,) = exchange(answering(close=True, reset=reset))
    assert (carrier.head, carrier.failures) == (None, [FailureKind.UPSTREAM_CLOSED])


BAD = [
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"garbage\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 104 x\r\nContent-Length: 2\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
]


@pytest.mark.parametrize("answer", BAD)
def test_what_is_no_answer_or_ambiguous_is_bad(answer: bytes) -> None:
    for pieces in ([answer], [answer[at : at + 1] for at in range(len(answer))]):
        (carrier,) = exchange(answering(*pieces))
        assert carrier.failures == [FailureKind.BAD_ANSWER]
        assert not carrier.complete


def test_a_head_may_be_as_large_as_the_limit_however_it_is_cut() -> None:
    fields = b"HTTP/1.1 204 No Content\r\nX: "
    exact = fields + b"x" * (1024 - len(fields)) + b"\r\n\r\n"
    over = fields + b"x" * (1025 - len(fields)) + b"\r\n\r\n"
    for at in (0, 500, 1024, 1025, 1026, 1027):
        (carrier,) = exchange(answering(exact[:at], exact[at:]), answer_head="1KiB")
        assert carrier.complete, at
        (carrier,) = exchange(answering(over[:at], over[at:]), answer_head="1KiB")
        assert carrier.failures == [FailureKind.ANSWER_TOO_LARGE], at


def test_an_endless_head_is_not_waited_for() -> None:
    (carrier,) = exchange(answering(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000), answer_head="1KiB")
    assert carrier.failures == [FailureKind.ANSWER_TOO_LARGE]


def test_too_many_fields_are_a_bad_answer() -> None:
    (carrier,) = exchange(answering(b"HTTP/1.1 204 x\r\n" + b"X: y\r\n" * 11 + b"\r\n"), answer_fields=10)
    assert carrier.failures == [FailureKind.BAD_ANSWER]


def test_interim_answers_are_swallowed_up_to_a_number() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    (carrier,) = exchange(answering(interim * 10 + OK))
    assert carrier.body == b'{"code":200}'
    (carrier,) = exchange(answering(interim * 11 + OK))
    assert carrier.failures == [FailureKind.BAD_ANSWER]
    (carrier,) = exchange(answering(interim * 1000 + OK), interim_answers=1000)  # the most that can be set
    assert carrier.body == b'{"code":200}'
    for carrier in exchange(answering(interim * 10 + OK), times=3):
        assert carrier.complete  # counted anew for every exchange


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_the_answer_to_a_head_request_has_no_body(framing: bytes) -> None:
    vendor = answering(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n")
    for carrier in exchange(vendor, times=3, head_only=True):
        assert (carrier.complete, carrier.body) == (True, b"")
    assert len(vendor.visits) == 1


def test_a_body_after_the_answer_to_a_head_request_goes_to_nobody() -> None:
    vendor = answering(OK)
    for carrier in exchange(vendor, times=2, head_only=True):
        assert (carrier.complete, carrier.body) == (True, b"")
    assert len(vendor.visits) == 2


def test_an_answer_before_the_request_is_complete_costs_the_connection() -> None:
    async def script(visit: Visit) -> None:
        seen = await visit.head()
        assert seen is not None
        visit.send(OK)
        await visit.body(seen)  # never comes

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            early = Carrier(pool, REQUEST[:-2], complete=False)
            pool.acquire(early)
            await early.ended()
            assert early.complete
            assert pool.gauges()[1] == 0  # whoever got it next would continue somebody else's body
            await one.vendor.until(lambda: one.vendor.open == 0)

    run(main)


def test_bytes_that_nobody_asked_for_reach_nobody() -> None:
    gate = []

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(OK)
        gate.append(visit)
        if visit.number > 1:
            await visit.request()
        else:
            await visit.reader.read()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            assert (await one.carry(pool)).complete
            gate[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
            await eventually(lambda: one.counted(Counter.UPSTREAM_UNSOLICITED))
            carrier = await one.carry(pool)
            assert (carrier.body, carrier.reused) == (b'{"code":200}', False)
            assert one.counted(Counter.UPSTREAM_UNSOLICITED) == 1

    run(main)


def test_bytes_before_any_request_cost_the_connection() -> None:
    async def script(visit: Visit) -> None:
        if visit.number == 1:
            visit.send(b"220 smtp ready\r\n")
        await visit.request()
        visit.send(OK)
        await visit.request()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            early = Carrier(pool)
            pool.acquire(early)
            await early.ended()
            assert early.failures or early.complete
            assert b"smtp" not in early.body
            later = await one.carry(pool)
            assert later.body == b'{"code":200}'

    run(main)


def test_nothing_but_its_own_answer_reaches_a_carrier_that_gave_up() -> None:
    async def script(visit: Visit) -> None:
        while await visit.request() is not None:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            carrier = Carrier(pool)
            pool.acquire(carrier)
            await carrier.until(lambda: carrier.body)
            assert carrier.connection is not None
            carrier.connection.drop()
            await eventually(lambda: pool.gauges()[0] == 0)
            assert (carrier.body, carrier.complete, carrier.failures) == (b"abc", False, [])

    run(main)


def test_a_slow_reader_makes_the_upstream_wait() -> None:
    total = 32 << 20

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(total >> 16):
            visit.send(bytes(1 << 16))
            await visit.writer.drain()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            carrier = Carrier()
            one.pool().acquire(carrier)
            await carrier.until(lambda: carrier.head)
            assert carrier.connection is not None
            carrier.connection.hold()
            received = len(carrier.body)
            unsent = one.vendor.visits[0].writer.transport.get_write_buffer_size
            await eventually(lambda: unsent() or carrier.complete)
            assert len(carrier.body) - received <= 1 << 20
            carrier.connection.unhold()
            await carrier.ended()
            assert len(carrier.body) == total

    run(main)


def test_a_slow_upstream_makes_the_client_wait() -> None:
    gate = asyncio.Event

    async def main() -> None:
        go = gate()

        async def script(visit: Visit) -> None:
            seen = await visit.head()
            assert seen is not None
            await go.wait()
            await visit.body(seen)
            visit.send(OK)

        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            size = 16 << 20
            carrier = Carrier(pool, b"POST /t HTTP/1.1\r\nHost: v\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            pool.acquire(carrier)
            await carrier.until(lambda: carrier.writable)
            assert carrier.writable == [False]
            go.set()
            await carrier.ended()
            assert carrier.writable == [False, True]
            assert carrier.complete

    run(main)


@pytest.mark.parametrize(
    ("answer", "complete", "expected"),
    [
        (b"", True, FailureKind.UPSTREAM_TIMEOUT),
        (b"HTTP/1.1 2", True, FailureKind.UPSTREAM_TIMEOUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", True, FailureKind.UPSTREAM_STALLED),
        (b"", False, FailureKind.UPSTREAM_STALLED),
    ],
)
def test_an_upstream_that_says_no_more_is_not_waited_for(answer: bytes, complete: bool, expected: FailureKind) -> None:
    async def script(visit: Visit) -> None:
        await visit.head()
        visit.send(answer)
        await visit.reader.read()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            carrier = Carrier(pool, EMPTY, complete=complete)
            carrier.first_byte = 0.1
            pool.acquire(carrier)
            await carrier.until(lambda: carrier.connection)
            assert carrier.connection is not None
            if not complete:
                carrier.connection.due(asyncio.get_running_loop().time() + 0.1)
            await carrier.ended()
            assert carrier.failures == [expected]

    run(main)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


async def read_in_pieces(one: Stage, pieces: list[bytes]) -> Carrier:
    async def script(visit: Visit) -> None:
        await visit.request()
        for piece in pieces:
            visit.send(piece)
            await asyncio.sleep(0)
        visit.end()
        await visit.reader.read()

    one.vendor.script = script
    pool = one.pool()
    carrier = await one.carry(pool)
    pool.abort()
    return carrier


def what(carrier: Carrier) -> tuple[object, ...]:
    head = carrier.head
    return (head and (head.status, head.fields), carrier.body, carrier.complete, carrier.failures)


@given(st.data(), heads.answer_heads() | heads.mutated(heads.answer_heads()), heads.tails)
@settings(max_examples=60)
def test_cuts_do_not_matter_and_llhttp_agrees(
    loop: asyncio.Runner, data: st.DataObject, head: bytes, tail: bytes
) -> None:
    answer = head + b"\r\n\r\n" + tail
    cut = data.draw(heads.cut(answer))
    results: list[Carrier] = []

    async def main() -> None:
        async with stage() as one:
            for pieces in ([answer], cut):
                results.append(await read_in_pieces(one, pieces))

    loop.run(closing_vendors(main))
    whole, pieces = results
    assert (whole.complete, bool(whole.failures)) == (pieces.complete, bool(pieces.failures))
    if whole.complete:
        assert what(whole) == what(pieces)
        rest = answer
        while (witness := Witness.of(rest, answers=True)).end and 100 <= witness.status < 200:
            rest = rest[witness.end :]
        assert whole.head is not None
        assert (whole.head.status, whole.body) == (witness.status, witness.body)


def test_every_exchange_of_a_connection_gets_its_own_answer() -> None:
    def reply(seen: Seen) -> bytes:
        body = b"%d.%d" % (seen.visit, seen.turn)
        if seen.turn % 2:
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    vendor = Vendor(reply=reply)
    assert [carrier.body for carrier in exchange(vendor, times=50)] == [b"1.%d" % turn for turn in range(1, 51)]
