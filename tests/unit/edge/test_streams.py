"""Proves for whole streams of requests what single cases can't: however they are cut, each arrives once, in order, and
is answered in order; however they are damaged, nothing is sent upstream that was not one sound request, every request
has exactly one record, and nothing is left in hand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.record import Outcome
from tests.unit.edge.stage import CONFIG, JSON, ORIGIN, TRACK, Stage, chunked, get, ok, post, run, stage
from tests.unit.upstream.stage import closing_vendors
from tests.unit.upstream.vendor import Seen
from tests.unit.wire import heads


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@dataclass(frozen=True)
class Ask:
    """One request, what of it must arrive upstream, and the status it must get."""

    raw: bytes
    method: bytes
    body: bytes | None
    status: int


bodies = st.binary(max_size=40) | st.integers(1, 100_000).map(lambda size: b"x" * size)
AHEAD = {"pipelined": "1MiB"}  # more than any of these streams has
PREFLIGHT = get(TRACK, b"Access-Control-Request-Method: POST", method=b"OPTIONS")
asks = st.one_of(
    bodies.map(lambda body: Ask(post(body), b"POST", body, 200)),
    bodies.map(lambda body: Ask(post(body, b"Expect: 100-continue", b"X-A: " + b"y" * 300), b"POST", body, 200)),
    st.lists(bodies.filter(bool), max_size=4).map(lambda ps: Ask(chunked(*ps, b""), b"POST", b"".join(ps), 200)),
    st.just(Ask(get(CONFIG), b"GET", b"", 200)),
    st.just(Ask(get(CONFIG, method=b"HEAD"), b"HEAD", b"", 200)),
    st.just(Ask(PREFLIGHT, b"OPTIONS", None, 204)),
    st.just(Ask(get(b"/nowhere"), b"GET", None, 404)),
    st.just(Ask(post(b"", target=b"/nowhere"), b"POST", None, 404)),
    st.just(Ask(get(TRACK), b"GET", None, 405)),
    st.just(Ask(b"\r\n\r\n" + post(b""), b"POST", b"", 200)),
)


def reply(seen: Seen) -> bytes:
    """Says which request it answers, in one of the ways in which a body can be framed."""
    if seen.method == b"HEAD":
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 32\r\n\r\n"
    if seen.method == b"GET":
        return ok(JSON)
    body = b'{"turn":%d}' % len(seen.body)
    if len(seen.body) % 3 == 1:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"HTTP/1.1 100 Continue\r\n\r\n" * (len(seen.body) % 2) + ok(body)


async def carried(one: Stage, pieces: list[bytes], requests: list[Ask]) -> None:
    client = await one.client()
    sending = asyncio.create_task(client.send(*pieces))
    for ask in requests:
        answer = await client.answer(ask.method)
        assert answer.status == ask.status
        if ask.body is not None and ask.method == b"POST":
            assert answer.body == b'{"turn":%d}' % len(ask.body)
    await sending
    await client.close()


@given(st.data(), st.lists(asks, min_size=1, max_size=6))
@settings(max_examples=150)
def test_a_stream_of_requests_arrives_whole_and_is_answered_in_order(
    loop: asyncio.Runner, data: st.DataObject, requests: list[Ask]
) -> None:
    stream = b"".join(ask.raw for ask in requests)
    pieces = data.draw(heads.cut(stream))

    async def main() -> None:
        async with stage(limits=AHEAD) as one:
            one.vendor.reply = reply
            await carried(one, pieces, requests)
            await one.leave()
            expected = [(ask.method, ask.body) for ask in requests if ask.body is not None]
            assert [(seen.method, seen.body) for seen in one.vendor.requests] == expected
            assert all(seen.complete for seen in one.vendor.requests)
            assert [seen.target for seen in one.vendor.requests if seen.method == b"POST"] == [TRACK] * sum(
                ask.method == b"POST" and ask.body is not None for ask in requests
            )
            records = one.book.records
            assert [(r.method, r.status) for r in records] == [(ask.method, ask.status) for ask in requests]
            assert [r.received_bytes for r in records if r.upstream_began] == [len(body or b"") for _, body in expected]

    loop.run(closing_vendors(main))


@given(st.lists(st.lists(asks, min_size=1, max_size=3), min_size=2, max_size=5))
@settings(max_examples=30)
def test_streams_side_by_side_do_not_mix(loop: asyncio.Runner, several: list[list[Ask]]) -> None:
    async def main() -> None:
        async with stage(limits=AHEAD) as one:
            one.vendor.reply = reply
            await asyncio.gather(*(carried(one, [ask.raw for ask in requests], requests) for requests in several))
            await one.leave()
            assert len(one.book.records) == sum(map(len, several))

    loop.run(closing_vendors(main))


SOUND = [
    post(b"hello"),
    post(b"x" * 70_000),
    chunked(b"abc", b"de", b""),
    get(CONFIG),
    PREFLIGHT,
    post(b"", b"Connection: close"),
    get(b"/nowhere"),
    post(b"abc", b"Expect: 100-continue"),
]
raw_heads = st.builds(lambda head, tail: head + b"\r\n\r\n" + tail, heads.request_heads(), heads.tails).map(
    lambda raw: raw.replace(b" /x ", b" " + TRACK + b" ", 1)
)
damaged = st.lists(heads.mutated(st.sampled_from(SOUND)) | raw_heads | st.sampled_from(SOUND), min_size=1, max_size=4)


def statuses(back: bytes) -> list[int]:
    """The final statuses in what a client got."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ", back)]


async def endure(one: Stage, pieces: list[bytes]) -> bytes:
    """Send a stream, close the sending half, and take whatever comes back."""
    client = await one.client()
    try:
        await client.send(*pieces)
        client.end()
    except (ConnectionError, OSError):
        pass
    return await client.until_closed()


@given(st.data(), damaged)
@settings(max_examples=300)
def test_a_damaged_stream_is_refused_or_carried_but_never_both(
    loop: asyncio.Runner, data: st.DataObject, messages: list[bytes]
) -> None:
    pieces = data.draw(heads.cut(b"".join(messages)))

    async def main() -> None:
        async with stage(timeouts={"linger": "1s"}) as one:
            one.vendor.reply = reply
            back = await endure(one, pieces)
            await one.leave()
            records = one.book.records
            assert statuses(back) == [record.status for record in records if record.status]
            carried = [record for record in records if record.upstream_began]
            assert len(one.vendor.requests) == len(carried)
            for seen, record in zip(one.vendor.requests, carried, strict=True):
                assert seen.complete == (record.outcome is Outcome.DELIVERED)
                assert seen.target.startswith((b"/sessions/v2/track", b"/config"))
            if not any(piece for piece in pieces if piece.strip()):
                assert records == []

    loop.run(closing_vendors(main))


def test_the_bytes_behind_a_refused_request_are_never_a_request() -> None:
    hidden = post(b"hidden")
    prefixes = [
        post(b"", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        post(b"", b"Content-Length: 0"),
        b"POST / HTTP/1.1\r\n" + ORIGIN + b"\r\n\r\n",
        get(CONFIG, b"Content-Length: 5") + b"abc",
        get(CONFIG, b"Upgrade: h2c", b"Connection: upgrade"),
        b"CONNECT vendor.example:443 HTTP/1.1\r\nHost: vendor.example:443\r\n\r\n",
        get(CONFIG, b"Connection: close"),
        get(CONFIG, b"X-A : b"),
        chunked(b"abc") + b"X\r\n",
        b"\r\n" * 12,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        post(b"", b"Expect: nothing"),
    ]

    async def main() -> None:
        for prefix in prefixes:
            async with stage() as one:
                one.vendor.reply = reply
                back = await endure(one, [prefix + hidden])
                assert len(statuses(back)) == 1, prefix
                assert all(b"hidden" not in seen.body for seen in one.vendor.requests), prefix
                assert len(one.book.records) == 1

    run(main)


def test_a_refusal_arrives_although_the_client_goes_on_sending(loop: asyncio.Runner) -> None:
    """The connection is closed by its sending half first: a reset would destroy the answer before it is read."""
    head, body = post(b"hello").split(b"\r\n\r\n")

    async def main() -> None:
        async with stage(timeouts={"linger": "1s"}) as one:
            back = await endure(one, [head.replace(TRACK, b"/nowhere") + b"\r\n\r\n", body, *[post(b"hello")] * 20])
            assert statuses(back) == [404]
            assert not one.vendor.requests

    loop.run(closing_vendors(main))
