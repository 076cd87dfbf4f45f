"""Proves how a client's connection is kept, refused, timed and ended: every answer can be read, no client holds a place
for ever, and nothing is accepted from one who does not take what it is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.model.cut import Cut
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome
from proxy.model.verdict import REJECTIONS, Reason
from proxy.observe.ledger import Counter, Totals
from tests.conformance.wire import Answer
from tests.unit.edge.stage import (
    AT_ONCE,
    CONFIG,
    JSON,
    ORIGIN,
    TRACK,
    Client,
    Stage,
    chunked,
    get,
    ok,
    post,
    run,
    stage,
)
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Vendor, Visit

EVIL = b"Origin: https://evil.example"


def readable(answer: Answer) -> bool:
    """Whether a page of the asking origin can read the answer and somebody can find it in the log."""
    return (
        answer.all("access-control-allow-origin") == ["https://app.example.com"]
        and answer.all("access-control-allow-credentials") == ["true"]
        and "x-session-replay-event-skipped" in answer.listed("access-control-expose-headers")
        and len(answer.all("x-request-id")) == 1
    )


def refused(request: bytes, **settings: Any) -> tuple[Answer, Reason | None]:
    """The only answer to some bytes, and the reason on record."""
    results: list[tuple[Answer, Reason | None]] = []

    async def main() -> None:
        async with stage(**settings) as one:
            client = await one.client()
            answer = await client.ask(request)
            record = await one.record()
            assert (record.outcome, record.status) == (Outcome.REJECTED, answer.status)
            results.append((answer, record.reason))
            if REJECTIONS[record.reason or Reason.METHOD].close:
                assert answer.all("connection") == ["close"]
                client.end()
                assert await client.until_closed() == b""
            assert one.vendor.requests == []

    run(main)
    return results[0]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"garbage\r\n" + ORIGIN + b"\r\n\r\n", Reason.BAD_REQUEST),
        (get(CONFIG, b"X-A : 1"), Reason.BAD_REQUEST),
        (get(CONFIG, b"Connection: authorization"), Reason.BAD_REQUEST),
        (get(CONFIG, b"Host: other"), Reason.BAD_HOST),
        (get(CONFIG, version=b"2.0"), Reason.BAD_VERSION),
        (get(b"/config/../x"), Reason.BAD_TARGET),
        (get(b"/" + b"x" * 9000), Reason.TARGET_TOO_LONG),
        (get(CONFIG, b"X-A: " + b"x" * 40_000), Reason.HEAD_TOO_LARGE),
        (get(CONFIG, *[b"X-A: 1"] * 101), Reason.HEAD_TOO_LARGE),
        (post(b"abc", b"Content-Length: 3"), Reason.BAD_FRAMING),
        (post(b"abc", b"Transfer-Encoding: chunked"), Reason.BAD_FRAMING),
        (get(TRACK, b"Transfer-Encoding: gzip, chunked", method=b"POST"), Reason.UNKNOWN_CODING),
        (get(CONFIG, b"Upgrade: websocket", b"Connection: upgrade"), Reason.UPGRADE),
        (post(b"abc", b"Expect: nothing"), Reason.EXPECTATION),
        (get(CONFIG, b"Content-Length: 3") + b"abc", Reason.UNEXPECTED_BODY),
        (get(TRACK, b"Content-Length: 3", method=b"OPTIONS") + b"abc", Reason.UNEXPECTED_BODY),
        (get(b"/nowhere"), Reason.UNKNOWN_PATH),
        (get(TRACK), Reason.METHOD),
        (get(CONFIG, method=b"TRACE"), Reason.TUNNEL),
        (post(b"abc", declared=20 << 20), Reason.BODY_TOO_LARGE),
    ],
)
def test_what_is_refused_can_be_read_and_is_on_record(request_: bytes, reason: Reason) -> None:
    answer, recorded = refused(request_)
    assert recorded is reason
    assert answer.status in (REJECTIONS[reason].status, REJECTIONS[reason].config_status)
    assert readable(answer)
    assert answer.one("x-gateway-reason") == reason.value


def test_a_foreign_page_can_not_read_a_refusal() -> None:
    answer, _ = refused(
        b"GET /nowhere HTTP/1.1\r\nHost: a\r\n" + EVIL + b"\r\n\r\n", cors={"allow_origins": ["https://a.b"]}
    )
    assert answer.all("access-control-allow-origin") == []
    assert answer.all("vary") == ["Origin"]


@pytest.mark.parametrize("size", [1000, 1024, 1025, 1026, 1027, 1028])
def test_the_limit_of_a_head_does_not_depend_on_the_cuts(size: int) -> None:
    async def main() -> None:
        async with stage(limits={"head": "1KiB", "target": "512B"}) as one:
            one.vendor.reply = lambda seen: ok(JSON)
            start = get(CONFIG)[:-4] + b"\r\nX: "
            exact = start + b"x" * (1024 - len(start)) + b"\r\n\r\n"
            client = await one.client()
            await client.send(exact[:size], exact[size:])
            assert (await client.answer(b"GET")).status == 200
            over = exact.replace(b"X: x", b"X: xx")
            await client.send(over[:size], over[size:])
            assert (await client.answer(b"GET")).status == 431

    run(main)


def test_a_head_that_goes_wrong_is_refused_before_it_is_complete() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            answer = await client.ask(b"GET /config HTTP/1.1\r\nHost: a\r\n" + ORIGIN + b"\r\nX-A : ")
            assert (answer.status, readable(answer)) == (400, True)

    run(main)


@pytest.mark.parametrize(
    ("request_", "kept", "field"),
    [
        (get(b"/nowhere"), True, []),
        (get(b"/nowhere", b"Connection: close"), False, ["close"]),
        (get(b"/nowhere", version=b"1.0"), False, ["close"]),
        (get(b"/nowhere", b"Connection: keep-alive", version=b"1.0"), True, ["keep-alive"]),
        (post(b"", b"Connection: close"), False, ["close"]),
        (post(b""), True, []),
        (get(CONFIG, b"Connection: close"), False, ["close"]),
    ],
)
def test_whether_the_connection_stays_is_said_and_done(request_: bytes, kept: bool, field: list[str]) -> None:
    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: ok(JSON)
            client = await one.client()
            answer = await client.ask(request_)
            assert answer.all("connection") == field
            if kept:
                assert (await client.ask(get(b"/nowhere"))).status == 404
            else:
                assert await client.until_closed() == b""

    run(main)


def test_after_so_many_requests_a_connection_is_closed() -> None:
    async def main() -> None:
        async with stage(limits={"requests_per_connection": 3}) as one:
            client = await one.client()
            await client.send(get(b"/nowhere") * 5)
            fields = [(await client.answer(b"GET")).all("connection") for _ in range(3)]
            assert fields == [[], [], ["close"]]
            assert await client.until_closed() == b""
            assert len(one.book.records) == 3

    run(main)


def test_an_answer_survives_what_the_client_still_sends_behind_it() -> None:
    async def main() -> None:
        async with stage() as one:
            for request in (
                post(b"", b"Connection: close"),
                get(b"/nowhere", b"Connection: close"),
                b"garbage\r\n\r\n",
            ):
                client = await one.client()
                await client.send(request + post(b"x" * 50_000), b"y" * 100_000, b"z")
                answer = await client.answer()
                assert answer.all("connection") == ["close"]
                client.end()
                assert await client.until_closed() == b""

    run(main)


AHEAD = 1000
FEW_AHEAD: dict[str, Any] = {"limits": {"pipelined": AHEAD}}


class TestPipelining:
    @staticmethod
    def cut(one: Stage) -> int:
        return Totals([one.book.row]).cuts()[Cut.PIPELINED]

    def test_who_sends_too_much_ahead_gets_the_answer_in_hand_and_no_other(self) -> None:
        async def main() -> None:
            go = asyncio.Event()

            async def script(visit: Visit) -> None:
                while await visit.request() is not None:
                    await go.wait()
                    visit.send(ok())

            async with stage(Vendor(script=script), **FEW_AHEAD) as one:
                client = await one.client()
                await client.send(post(b"first"))
                await one.vendor.until(lambda: one.vendor.requests)
                await client.send(post(b"next") * 200)
                await eventually(lambda: any(c._buffer for c in one.connections()))
                assert max(len(c._buffer) for c in one.connections()) <= AHEAD + 1
                go.set()
                answer = await client.answer()
                assert (answer.status, answer.all("connection")) == (200, ["close"])
                client.end()
                assert await client.until_closed() == b""
                assert [seen.body for seen in one.vendor.requests] == [b"first"]
                assert self.cut(one) == 1

        run(main)

    def test_a_heap_of_requests_that_are_answered_at_once_is_no_more_than_one(self) -> None:
        async def main() -> None:
            async with stage(**FEW_AHEAD) as one:
                client = await one.client()
                client.writer.write(get(b"/nowhere") * 5000)
                answer = await client.answer(b"GET")
                assert (answer.status, answer.all("connection")) == (404, ["close"])
                client.end()
                assert await client.until_closed() == b""
                assert len(one.book.records) == 1

        run(main)

    def test_what_is_sent_ahead_after_an_answer_has_begun_ends_with_it(self) -> None:
        """Its head has said that the connection stays; it ends all the same. No half is taken for a request."""

        async def main() -> None:
            go = asyncio.Event()

            async def script(visit: Visit) -> None:
                await visit.request()
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                await go.wait()
                visit.send(b"half")

            async with stage(Vendor(script=script), **FEW_AHEAD) as one:
                client = await one.client()
                await client.send(post(b"first"))
                await client.reader.readuntil(b"half")
                await client.send(get(b"/nowhere") * 100)
                await eventually(lambda: any(c._buffer for c in one.connections()))
                go.set()
                assert await client.reader.readexactly(4) == b"half"
                client.end()
                assert await client.until_closed() == b""
                assert self.cut(one) == len(one.book.records) == 1

        run(main)

    def test_a_few_are_answered_one_after_the_other(self) -> None:
        async def main() -> None:
            async with stage(**FEW_AHEAD) as one:
                client = await one.client()
                await client.send(post(b"abc") * 4)
                assert [(await client.answer()).status for _ in range(4)] == [200] * 4
                assert self.cut(one) == 0

        run(main)


class TestTinyChunks:
    def test_they_are_refused_when_there_are_many(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await one.client()
                await client.send(chunked(*[b"x"] * 2000, b""))
                answer = await client.answer()
                assert (answer.status, answer.one("x-gateway-reason")) == (400, "tiny_chunks")
                record = await one.record()
                assert record.reason is Reason.TINY_CHUNKS
                assert not any(seen.complete for seen in one.vendor.requests)

        run(main)

    @pytest.mark.parametrize(
        ("chunks", "settings"),
        [
            ([b"x"] * 1000, {}),
            ([b"x" * 100] * 2000, {}),
            ([b"x" * 100_000] + [b"x"] * 1500, {}),
            ([b"x"] * 2000, {"limits": {"chunk_average": 0}}),
        ],
    )
    def test_a_few_small_ones_are_not(self, chunks: list[bytes], settings: dict[str, Any]) -> None:
        async def main() -> None:
            async with stage(**settings) as one:
                client = await one.client()
                await client.send(chunked(*chunks, b""))
                assert (await client.answer()).status == 200
                assert one.vendor.requests[0].body == b"".join(chunks)

        run(main)

    def test_an_answer_may_have_them(self) -> None:
        async def script(visit: Visit) -> None:
            while await visit.request() is not None:
                visit.send(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
                )

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                assert (await client.ask(post(b"abc"))).body == b"x" * 5000

        run(main)


def test_empty_lines_before_a_request_are_ignored_but_not_endlessly() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            await client.send(b"\r", b"\n\r\n", b"\r\n" + get(b"/nowhere"))
            assert (await client.answer()).status == 404
            await client.send(b"\r\n" * 100 + get(b"/nowhere"))
            assert (await client.answer()).status == 400

    run(main)


def test_an_expectation_is_answered_at_once() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            request = post(b"abc", b"Expect: 100-continue")
            await client.send(request[:-3])
            async with asyncio.timeout(10):
                assert await client.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(b"abc")
            assert (await client.answer()).status == 200
            await client.send(request)  # did not wait for it: no interim answer is needed
            assert (await client.answer()).interim == ()
            refusal = post(b"", b"Expect: 100-continue", target=b"/nowhere", declared=5)
            answer = await client.ask(refusal)
            assert (answer.status, answer.interim) == (404, ())

    run(main)


class TestClientsThatLeave:
    def test_a_client_that_closes_its_half_still_gets_all_answers(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await one.client()
                await client.send(post(b"one") + post(b"two") + get(b"/nowhere"))
                client.end()
                assert [(await client.answer()).status for _ in range(3)] == [200, 200, 404]
                assert await client.until_closed() == b""
                assert [seen.body for seen in one.vendor.requests] == [b"one", b"two"]

        run(main)

    @pytest.mark.parametrize("half", [post(b"abc")[:50], post(b"abc", declared=5), chunked(b"abc")])
    @pytest.mark.parametrize("before", [0, 1, 2])
    def test_half_a_request_is_not_waited_for(self, before: int, half: bytes) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await one.client()
                client.writer.write(post(b"whole") * before + half)  # in one packet with the end, if that can be had
                client.end()
                for _ in range(before):
                    assert (await client.answer()).status == 200
                rest = await client.until_closed()
                await one.quiet()
                record = one.book.records[-1]
                assert record.reason is Reason.INCOMPLETE or record.outcome is Outcome.CLIENT_GONE
                assert (b"incomplete" in rest) is (record.reason is Reason.INCOMPLETE)
                assert record.ended - record.began < 5  # what an idle client is given
                assert [seen.body for seen in one.vendor.requests if seen.complete] == [b"whole"] * before

        run(main)

    def test_one_that_comes_and_goes_leaves_no_record(self) -> None:
        async def main() -> None:
            async with stage() as one:
                for leave in ("end", "reset"):
                    client = await one.client()
                    await eventually(lambda: one.gateway.connections == 1)
                    getattr(client, leave)()
                    await eventually(lambda: one.gateway.connections == 0)
                assert one.book.records == []

        run(main)

    @pytest.mark.parametrize("leave", ["end", "reset"])
    @pytest.mark.parametrize("request_", [post(b"abc", declared=10), chunked(b"abc")])
    def test_one_that_leaves_in_its_body_is_gone_and_nothing_of_it_is_complete(
        self, request_: bytes, leave: str
    ) -> None:
        async def main() -> None:
            async with stage(limits=AT_ONCE) as one:
                client = await one.client()
                await client.send(request_)
                await one.vendor.until(lambda: one.vendor.requests)
                getattr(client, leave)()
                record = await one.record()
                assert (record.outcome, record.failure, record.status) == (
                    Outcome.CLIENT_GONE,
                    FailureKind.CLIENT_GONE,
                    0,
                )
                await one.vendor.until(lambda: one.vendor.open == 0)
                assert not one.vendor.requests[0].complete

        run(main)

    def test_an_upload_received_whole_is_delivered_although_its_client_left(self) -> None:
        async def main() -> None:
            go = asyncio.Event()

            async def script(visit: Visit) -> None:
                while await visit.request() is not None:
                    await go.wait()
                    visit.send(ok())

            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                await one.vendor.until(lambda: one.vendor.requests and one.vendor.requests[0].complete)
                client.reset()
                await eventually(lambda: one.gateway.connections == 0)
                go.set()
                record = await one.record()
                assert (record.outcome, record.upstream_status) == (Outcome.DELIVERED, 200)

        run(main)


class TestClientsThatTakeTheirTime:
    def test_a_head_that_does_not_come_to_its_end(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_head": "100ms"}) as one:
                client = await one.client()
                await client.send(get(CONFIG, b"X-A: 1")[:-5])
                answer = await client.answer()
                assert (answer.status, readable(answer)) == (408, True)
                assert (await one.record()).reason is Reason.HEAD_TIMEOUT

        run(main)

    def test_a_head_is_timed_as_a_whole_and_not_by_the_byte(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_head": "200ms"}) as one:
                client = await one.client()
                request = get(CONFIG)

                async def drip() -> None:
                    for at in range(len(request) - 5):
                        client.writer.write(request[at : at + 1])
                        await asyncio.sleep(0.05)

                dripping = asyncio.create_task(drip())
                answer = await client.answer()
                assert answer.one("x-gateway-reason") == "head_timeout"
                dripping.cancel()

        run(main)

    def test_a_second_head_is_timed_too(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_head": "100ms"}) as one:
                client = await one.client()
                await client.send(get(b"/nowhere") + get(CONFIG)[:-5])
                assert [(await client.answer()).status for _ in range(2)] == [404, 408]

        run(main)

    @pytest.mark.parametrize("request_", [post(b"abc", declared=10), chunked(b"abc")])
    def test_a_body_that_stops_coming(self, request_: bytes) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_body_idle": "100ms"}, limits=AT_ONCE) as one:
                client = await one.client()
                await client.send(request_)
                assert (await client.answer()).one("x-gateway-reason") == "body_timeout"
                assert (await one.record()).reason is Reason.BODY_TIMEOUT
                assert not one.vendor.requests[0].complete

        run(main)

    def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"keep_alive": "100ms"}) as one:
                fresh, used = await one.client(), await one.client()
                await used.ask(get(b"/nowhere"))
                assert await fresh.until_closed() == b""
                assert await used.until_closed() == b""
                assert len(one.book.records) == 1

        run(main)

    def test_one_that_goes_on_sending_after_a_refusal_is_not_listened_to_for_ever(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"linger": "100ms"}) as one:
                client = await one.client()
                await client.send(b"garbage\r\n\r\n")
                assert (await client.answer()).status == 400
                assert await client.until_closed() == b""  # the half that is closed
                await eventually(lambda: one.gateway.connections == 0)

        run(main)


async def flood(one: Stage, client: Client, request: bytes, number: int) -> asyncio.Task[None]:
    """Send many requests and read nothing."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def send() -> None:
        try:
            for _ in range(number):
                client.writer.write(request)
                await client.writer.drain()
        except ConnectionError:
            pass

    return asyncio.create_task(send())


BIG = ok(b"x" * 100_000)


class TestClientsThatDoNotRead:
    def stuck(self, one: Stage) -> bool:
        return any(client._stuck for client in one.connections())

    def test_what_they_may_leave_unread_is_bounded(self) -> None:
        async def main() -> None:
            async with stage(limits={"requests_per_connection": 100_000}) as one:
                one.vendor.reply = lambda seen: BIG
                client = await one.client()
                sending = await flood(one, client, post(b"abc"), 400)
                await eventually(lambda: self.stuck(one))
                (connection,) = one.connections()
                assert connection._transport is not None
                assert connection._transport.get_write_buffer_size() < 3 * len(BIG)
                begun = len(one.book.records)
                assert begun < 400
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                for _ in range(400):
                    assert (await client.answer()).status == 200
                await sending
                assert len(one.book.records) == 400

        run(main)

    def test_they_are_cut_off_after_a_while(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_write": "150ms"}) as one:
                one.vendor.reply = lambda seen: BIG
                client = await one.client()
                sending = await flood(one, client, post(b"abc"), 400)
                await eventually(lambda: self.stuck(one))
                await eventually(lambda: one.gateway.connections == 0)
                client.writer.transport.abort()
                await sending

        run(main)

    @pytest.mark.parametrize(
        "last", [b"", b"garbage\r\n\r\n", post(b"", b"Connection: close"), post(b"abc", declared=9)]
    )
    def test_they_have_a_time_limit_again_once_they_have_read(self, last: bytes) -> None:
        """Whatever state the connection is in when the client takes the answers after all."""

        async def main() -> None:
            short = {"keep_alive": "300ms", "linger": "300ms", "client_body_idle": "300ms", "client_head": "300ms"}
            async with stage(timeouts=short) as one:
                one.vendor.reply = lambda seen: BIG
                client = await one.client()
                sending = await flood(one, client, post(b"abc"), 100)
                await eventually(lambda: self.stuck(one))
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                await sending
                await client.send(last)
                for _ in range(100):
                    assert (await client.answer()).status == 200
                await eventually(lambda: one.gateway.connections == 0)

        run(main)

    def test_an_idle_connection_has_its_time_limit_again_once_all_is_read(self) -> None:
        """The last answer is complete, for the gateway, while the client has not taken it."""

        async def main() -> None:
            async with stage(timeouts={"keep_alive": "300ms"}) as one:
                one.vendor.reply = lambda seen: BIG
                client = await one.client()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                sent = 0
                while not self.stuck(one):
                    sent += 1
                    await client.send(post(b"abc"))
                    await eventually(lambda: len(one.book.records) == sent)  # noqa: B023
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                for _ in range(sent):
                    assert (await client.answer()).status == 200
                await eventually(lambda: one.gateway.connections == 0)

        run(main)

    def test_one_answer_larger_than_any_buffer_arrives_whole(self) -> None:
        async def main() -> None:
            async with stage() as one:
                one.vendor.reply = lambda seen: ok(b"x" * (32 << 20))
                client = await one.client()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(post(b"abc"))
                await eventually(lambda: self.stuck(one))
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                assert len((await client.answer()).body) == 32 << 20

        run(main)


def test_a_preflight_is_answered_here() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            names = b"authorization,content-encoding,content-type,x-client-library,x-jwt"
            ask = (b"Access-Control-Request-Method: POST", b"Access-Control-Request-Headers: " + names)
            answer = await client.ask(get(TRACK, *ask, method=b"OPTIONS"))
            assert answer.status == 204
            assert answer.all("access-control-allow-origin") == ["https://app.example.com"]
            assert "x-jwt" in answer.listed("access-control-allow-headers")
            assert answer.all("content-length") == answer.all("allow") == []
            record = await one.record()
            assert (record.outcome, record.status) == (Outcome.PREFLIGHT, 204)
            assert one.book.read(Counter.UNKNOWN_CORS_HEADERS) == 1
            plain = await client.ask(get(CONFIG, method=b"OPTIONS"))
            assert plain.listed("allow") == {"get", "head", "options"}
            assert one.vendor.visits == []

    run(main)


def test_a_request_id_of_the_clients_own_goes_all_the_way() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            for sent, expected in ((b"mine-1", True), (b"a b", False), (b"x" * 200, False)):
                answer = await client.ask(post(b"abc", b"X-Request-Id: " + sent))
                assert (answer.one("x-request-id") == sent.decode()) is expected
                seen = one.vendor.requests[-1]
                assert seen.all(b"x-request-id") == [(answer.one("x-request-id") or "").encode()]
                assert one.book.records[-1].request_id == seen.all(b"x-request-id")[0]
            assert len({record.request_id for record in one.book.records}) == 3

    run(main)
