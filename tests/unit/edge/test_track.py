"""Proves that an upload is delivered once or said to have failed: bodies arrive byte for byte, a truncated message
never looks complete in either direction, and a repeat can't deliver twice."""

from __future__ import annotations

import asyncio
import gzip
import os

import pytest

from proxy.edge.track import UNPROVEN
from proxy.model.failure import FAILURES, FailureKind
from proxy.model.record import Outcome
from proxy.model.verdict import Reason
from tests.unit.edge.stage import AT_ONCE, TRACK, Client, Stage, chunked, ok, post, run, stage
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Seen, Vendor, Visit

MIB = 1 << 20


async def failed(one: Stage, client: Client, kind: FailureKind) -> None:
    """The next answer says, readably, that it failed in this way, and so does the record."""
    answer = await client.answer()
    assert (answer.status, answer.one("x-gateway-reason")) == (FAILURES[kind].status, kind.value)
    assert answer.all("access-control-allow-origin") == ["https://app.example.com"]
    record = await one.record()
    assert (record.outcome, record.failure, record.status) == (Outcome.FAILED, kind, FAILURES[kind].status)


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 131_072, 200_001, 3 * MIB])
@pytest.mark.parametrize("coding", ["counted", "chunked"])
def test_a_body_arrives_byte_for_byte(size: int, coding: str) -> None:
    body = gzip.compress(os.urandom(size))

    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            for _ in range(2):  # on a new upstream connection and on a used one
                if coding == "counted":
                    await client.send(post(body, b"Content-Encoding: gzip"))
                else:
                    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
                    await client.send(chunked(*pieces, b"", lines=(b"Content-Encoding: gzip",)))
                assert (await client.answer()).status == 200
            for seen in one.vendor.requests:
                assert seen.body == body
                assert seen.all(b"content-encoding") == [b"gzip"]
                assert seen.target == TRACK
                assert seen.all(b"transfer-encoding") == ([b"chunked"] if coding == "chunked" else [])
            assert len(one.vendor.visits) == 1
            assert [record.received_bytes for record in one.book.records] == [len(body)] * 2

    run(main)


@pytest.mark.parametrize(
    ("answer", "body", "framing"),
    [
        (ok(b"x" * 100_000), b"x" * 100_000, "length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n0\r\nT: v\r\n\r\n", b"abc", "chunked"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", "none"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", b"", "length"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh", b"oh", "length"),
        (b"HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\n\r\n", b"", "length"),
    ],
)
def test_what_the_vendor_answers_is_relayed_whole(answer: bytes, body: bytes, framing: str) -> None:
    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: answer
            client = await one.client()
            for _ in range(3):
                got = await client.ask(post(b"abc"))
                assert (got.body, got.framing, got.complete) == (body, framing, True)
                assert got.all("access-control-allow-origin") == ["https://app.example.com"]
                record = one.book.records[-1]
                assert (record.status, record.upstream_status, record.sent_bytes) == (got.status, got.status, len(body))
                assert record.outcome is (Outcome.REFUSED if got.status >= 400 else Outcome.DELIVERED)
            assert len(one.vendor.visits) == 1

    run(main)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_answer_that_ends_with_its_connection_is_relayed_as_what_it_is(version: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(b"HTTP/1.1 200 OK\r\n\r\nhalf ")
        await visit.writer.drain()
        visit.send(b"and half")

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            client = await one.client()
            answer = await client.ask(post(b"abc", b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/" + version))
            assert answer.body == b"half and half"
            assert answer.framing == ("chunked" if version == b"1.1" else "close")
            assert (await one.record()).outcome is Outcome.DELIVERED

    run(main)


def test_the_vendors_word_that_data_was_thrown_away_is_passed_on_and_counted() -> None:
    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: ok(b"{}", b"X-Session-Replay-Event-Skipped: 4005")
            client = await one.client()
            answer = await client.ask(post(b"abc"))
            assert answer.one("x-session-replay-event-skipped") == "4005"
            record = await one.record()
            assert (record.outcome, record.skipped_code) == (Outcome.SKIPPED, 4005)

    run(main)


PARTIAL = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\npart",
]


class TestTruncatedMessages:
    @pytest.mark.parametrize("answer", PARTIAL)
    @pytest.mark.parametrize("version", [b"1.1", b"1.0"])
    def test_a_truncated_answer_never_looks_complete(self, answer: bytes, version: bytes) -> None:
        async def script(visit: Visit) -> None:
            await visit.request()
            visit.send(answer)
            await visit.writer.drain()
            await go.wait()

        go = asyncio.Event()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.send(post(b"abc", b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/" + version))
                await eventually(lambda: one.book.records or any(c.relay for c in one.connections()))
                head = await client.reader.readuntil(b"\r\n\r\n")
                go.set()
                rest = await client.until_closed()
                assert rest.count(b"part") == 1
                assert not rest.endswith(b"0\r\n\r\n")
                assert len(rest) < 100
                if version == b"1.0":
                    assert b"Connection: close" in head or b"Content-Length: 100" in head
                record = await one.record()
                expected = (Outcome.FAILED, FailureKind.TRUNCATED_ANSWER, 200)
                assert (record.outcome, record.failure, record.status) == expected

        run(main)

    def test_a_bad_chunk_before_the_answers_head_went_out_is_a_bad_answer(self) -> None:
        async def main() -> None:
            async with stage() as one:
                one.vendor.reply = lambda seen: PARTIAL[1] + b"zz\r\n"
                client = await one.client()
                await client.send(post(b"abc"))
                await failed(one, client, FailureKind.BAD_ANSWER)

        run(main)

    def test_a_bad_chunk_after_it_cuts_the_answer(self) -> None:
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.request()
            visit.send(PARTIAL[1])
            await go.wait()
            visit.send(b"zz\r\nmore\r\n0\r\n\r\n")
            await visit.reader.read()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                await client.reader.readuntil(b"part\r\n")
                go.set()
                assert await client.until_closed() == b""
                assert (await one.record()).failure is FailureKind.BAD_ANSWER

        run(main)

    @pytest.mark.parametrize("bad", [b"zz\r\n", b"3\nabc\n", b"3\r\nabcX\r\n", b"0\r\nContent-Length: 5\r\n\r\n"])
    def test_a_bad_chunk_in_the_upload_is_refused_and_never_completed(self, bad: bytes) -> None:
        async def main() -> None:
            async with stage(limits=AT_ONCE) as one:
                client = await one.client()
                await client.send(chunked(b"abc"))
                await one.vendor.until(lambda: one.vendor.requests)
                await client.send(bad)
                assert (await client.answer()).one("x-gateway-reason") == "bad_framing"
                assert (await one.record()).reason is Reason.BAD_FRAMING
                await one.vendor.until(lambda: one.vendor.open == 0)
                assert not one.vendor.requests[0].complete

        run(main)


class TestLimits:
    def test_a_body_that_grows_too_large_is_refused_so_that_the_sdk_splits_it(self) -> None:
        async def main() -> None:
            async with stage(limits={"body": "1MiB"}) as one:
                client = await one.client()
                await client.send(chunked(*[b"x" * 100_000] * 11))
                answer = await client.answer()
                assert answer.status == 413
                assert b"Payload exceeds" in answer.body
                assert (await one.record()).reason is Reason.BODY_TOO_LARGE
                await one.vendor.until(lambda: one.vendor.open == 0)
                assert not any(seen.complete for seen in one.vendor.requests)

        run(main)

    @pytest.mark.parametrize("request_", [chunked(b"x" * 2000), chunked(b"x" * 2000, b""), post(b"x" * 2000)])
    def test_one_that_is_too_large_at_once_is_not_carried_at_all(self, request_: bytes) -> None:
        async def main() -> None:
            async with stage(limits={"body": "1KiB"}) as one:
                client = await one.client()
                assert (await client.ask(request_)).status == 413
                assert (await one.record()).outcome is Outcome.REJECTED
                assert one.vendor.visits == []

        run(main)

    def test_memory_is_set_aside_and_given_back(self) -> None:
        async def main() -> None:
            go = asyncio.Event()

            async def script(visit: Visit) -> None:
                while await visit.request() is not None:
                    await go.wait()
                    visit.send(ok())

            limits = {"inflight_bytes": "300KiB", "exchange_bytes": "192KiB"}
            async with stage(Vendor(script=script), limits=limits) as one:
                first, second, third = [await one.client() for _ in range(3)]
                await first.send(post(b"x" * 200_000))
                await eventually(lambda: one.gateway._inflight == 192 << 10)
                answer = await second.ask(chunked(b"x" * 120_000, b""))
                assert (answer.status, answer.one("x-gateway-reason")) == (503, "memory")
                await third.send(post(b"x" * 1000))
                await eventually(lambda: one.gateway._inflight == (192 << 10) + 1000)
                go.set()
                assert (await first.answer()).status == (await third.answer()).status == 200
                await one.quiet()

        run(main)

    def test_what_is_announced_and_does_not_come_takes_little_room(self) -> None:
        async def main() -> None:
            limits = {"inflight_bytes": "1MiB", "exchange_bytes": "512KiB"}
            async with stage(limits=limits) as one:
                dripping = [await one.client() for _ in range(20)]
                for client in dripping:
                    await client.send(post(b"x", declared=10_000_000))
                await eventually(lambda: one.gateway.exchanges == 20)
                assert one.gateway._inflight == 20 * UNPROVEN
                client = await one.client()
                assert (await client.ask(post(b"x" * 60_000))).status == 200
                await dripping[0].send(b"x" * 200_000)  # enough to be sent on
                await eventually(lambda: one.gateway._inflight == 19 * UNPROVEN + (512 << 10))
                await dripping[1].send(b"x" * 200_000)  # no room for it any more
                answer = await dripping[1].answer()
                assert (answer.status, answer.one("x-gateway-reason")) == (503, "memory")
                assert one.gateway._inflight == 18 * UNPROVEN + (512 << 10)
                for client in dripping:
                    client.reset()

        run(main)


class TestRepeats:
    """One visit is used twice; what happens to the second request on it decides."""

    @staticmethod
    def dying(last: bytes = b"", *, reset: bool = True) -> Vendor:
        """The first connection answers once and dies with the second request; later ones are well."""

        async def script(visit: Visit) -> None:
            while (seen := await visit.head()) is not None:
                if visit.number == 1 and visit.turn == 2:
                    visit.send(last)
                    await visit.writer.drain()
                    await asyncio.sleep(0.02 if last else 0)
                    if reset:
                        visit.reset()
                    return
                await visit.body(seen)
                visit.send(ok())

        return Vendor(script=script)

    @pytest.mark.parametrize("reset", [False, True])
    @pytest.mark.parametrize("request_", [post(b"x" * 1000), chunked(b"abc", b"")])
    def test_an_upload_on_a_connection_that_died_idle_is_sent_once_more(self, request_: bytes, reset: bool) -> None:
        async def main() -> None:
            async with stage(self.dying(reset=reset)) as one:
                client = await one.client()
                assert (await client.ask(request_)).status == 200
                assert (await client.ask(request_)).status == 200
                record = await one.record(2)
                assert (record.retried, record.reused, record.outcome) == (True, False, Outcome.DELIVERED)
                assert [seen.complete for seen in one.vendor.requests] == [True, False, True]
                assert one.vendor.requests[2].body == one.vendor.requests[0].body

        run(main)

    @pytest.mark.parametrize("last", [b"H", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 100 Continue\r\n\r\n"])
    @pytest.mark.parametrize("reset", [False, True])
    def test_once_a_byte_of_an_answer_came_it_is_not_sent_again(self, last: bytes, reset: bool) -> None:
        async def main() -> None:
            async with stage(self.dying(last, reset=reset)) as one:
                client = await one.client()
                await client.ask(post(b"abc"))
                answer = await client.ask(post(b"abc"))
                assert (answer.status, answer.one("x-gateway-reason")) == (502, "truncated_answer")
                assert len(one.vendor.requests) == 2
                assert not (await one.record(2)).retried

        run(main)

    def test_an_upload_on_a_fresh_connection_is_not_sent_again(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.request()
            visit.reset()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                await failed(one, client, FailureKind.UPSTREAM_CLOSED)
                assert len(one.vendor.requests) == 1

        run(main)

    def test_an_upload_too_large_to_be_held_is_not_sent_again(self) -> None:
        async def main() -> None:
            async with stage(self.dying(), limits={"retry_body": "64KiB"}) as one:
                client = await one.client()
                await client.ask(post(b"abc"))
                await client.send(post(b"x" * 100_000))
                assert (await client.answer()).one("x-gateway-reason") == "upstream_closed"
                assert not (await one.record(2)).retried

        run(main)

    def test_it_is_sent_twice_and_no_more(self) -> None:
        async def script(visit: Visit) -> None:
            if visit.number == 1 and await visit.request() is not None:
                visit.send(ok())
            await visit.request()
            visit.reset()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.ask(post(b"abc"))
                await client.send(post(b"def"))
                assert (await client.answer()).one("x-gateway-reason") == "upstream_closed"
                assert [seen.body for seen in one.vendor.requests] == [b"abc", b"def", b"def"]
                assert (await one.record(2)).retried

        run(main)

    def test_a_vendor_that_refuses_connections_is_called_twice(self) -> None:
        async def main() -> None:
            async with stage() as one:
                await one.vendor.close()
                client = await one.client()
                await client.send(post(b"abc"))
                await failed(one, client, FailureKind.CONNECT_REFUSED)
                assert one.book.records[0].retried

        run(main)


class TestEarlyAnswers:
    """A vendor may answer before it has the whole upload, and read the rest or not."""

    @pytest.mark.parametrize("reads_on", [False, True])
    @pytest.mark.parametrize("size", [1000, 4 * MIB])
    def test_the_answer_arrives_and_the_rest_is_never_a_request(self, reads_on: bool, size: int) -> None:
        async def script(visit: Visit) -> None:
            seen = await visit.head()
            assert seen is not None
            visit.send(ok(b"too much", status=b"413 Too Large"))
            await visit.writer.drain()
            if reads_on:
                await visit.body(seen)
            else:
                await visit.reader.read(100)

        async def main() -> None:
            async with stage(Vendor(script=script), limits=AT_ONCE) as one:
                client = await one.client()
                request = post(b"x" * size)
                await client.send(request[: len(request) // 2])
                answer = await client.answer()
                assert (answer.status, answer.body, answer.all("connection")) == (413, b"too much", ["close"])
                assert all(pool.gauges()[1] == 0 for pool in one.gateway._pools.values())
                await client.send(request[len(request) // 2 :] + post(b"smuggled"))
                client.end()
                assert await client.until_closed() == b""
                record = await one.record()
                assert (record.outcome, record.status) == (Outcome.REFUSED, 413)
                await one.vendor.until(lambda: one.vendor.open == 0)
                assert [seen.body for seen in one.vendor.requests if b"smuggled" in seen.body] == []

        run(main)

    def test_the_body_may_come_to_its_end_while_the_answer_is_on_its_way(self) -> None:
        async def script(visit: Visit) -> None:
            while (seen := await visit.head()) is not None:
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                await visit.body(seen)
                visit.send(b"half")

        async def main() -> None:
            async with stage(Vendor(script=script), limits=AT_ONCE) as one:
                client = await one.client()
                request = post(b"abcdef")
                await client.send(request[:-3])
                await one.vendor.until(lambda: one.vendor.requests)
                await client.send(request[-3:])
                answer = await client.answer()
                assert answer.body == b"halfhalf"
                record = await one.record()
                assert record.outcome is Outcome.DELIVERED
                assert one.vendor.requests[0].complete

        run(main)

    def test_bad_framing_after_the_answers_head_cuts_both_sides(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.head()
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            await visit.reader.read()

        async def main() -> None:
            async with stage(Vendor(script=script), limits=AT_ONCE) as one:
                client = await one.client()
                await client.send(chunked(b"abc"))
                await client.reader.readuntil(b"half")
                await client.send(b"zz\r\n")
                assert await client.until_closed() == b""
                record = await one.record()
                assert (record.outcome, record.reason, record.status) == (Outcome.REJECTED, Reason.BAD_FRAMING, 200)

        run(main)


def test_every_upload_gets_its_own_answer_among_many() -> None:
    def reply(seen: Seen) -> bytes:
        return ok(b'{"body":"%b"}' % seen.body)

    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = reply

            async def visitor(number: int) -> None:
                client = await one.client()
                for turn in range(5):
                    body = b"%d.%d" % (number, turn)
                    assert (await client.ask(post(body))).body == b'{"body":"%b"}' % body

            await asyncio.gather(*(visitor(number) for number in range(20)))
            await one.quiet()
            assert one.book.outcomes == {Outcome.DELIVERED: 100}
            assert len(one.vendor.visits) <= 40

    run(main)
