"""Proves that a page gets its configuration in time whatever the vendor does: one question for all who ask the same,
the last known good answer when there is none, the vendor's own word when it refuses, and nothing invented that would
stop the SDK."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from proxy.model.failure import FAILURES, FailureKind
from proxy.model.record import Outcome
from proxy.observe.ledger import Counter
from proxy.runtime.clock import monotonic, wall
from tests.unit.edge.stage import CONFIG, JSON, VENDOR, Client, Stage, get, ok, post, run, stage
from tests.unit.upstream.names import Names, run_with
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Seen, Vendor, Visit

GOOD = ok(JSON, b"ETag: e-1")
QUICK = {"config_total": "150ms"}
BAD_ANSWERS = [
    ok(b"", status=b"503 Out"),
    ok(JSON, status=b"500 Oh"),
    ok(b"slow down", status=b"429 Busy"),
    ok(b"", status=b"408 Late"),
    ok(b""),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n{}{}{",
    b"garbage\r\n\r\n",
]


class Waiting:
    """A vendor that answers when it is told to."""

    def __init__(self, answer: bytes = GOOD) -> None:
        self.go = asyncio.Event()
        self.answer = answer

    async def __call__(self, visit: Visit) -> None:
        while await visit.request() is not None:
            await self.go.wait()
            visit.send(self.answer)


async def primed(one: Stage) -> Client:
    """A client after the vendor has given a good answer once."""
    one.vendor.reply = lambda seen: GOOD
    client = await one.client()
    assert (await client.ask(get())).body == JSON
    return client


def test_a_configuration_is_fetched_and_relayed() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await primed(one)
            answer = await client.ask(get())
            assert (answer.body, answer.framing) == (JSON, "length")
            assert answer.all("cache-control") == ["no-store"]
            assert answer.all("x-gateway-config") == answer.all("age") == []
            assert answer.all("access-control-allow-origin") == ["https://app.example.com"]
            (seen, _) = one.vendor.requests
            assert (seen.method, seen.target, seen.all(b"host")) == (b"GET", CONFIG, [VENDOR])
            assert [record.outcome for record in one.book.records] == [Outcome.DELIVERED] * 2
            assert [record.sent_bytes for record in one.book.records] == [len(JSON)] * 2
            assert one.book.read(Counter.CONFIG_STORED) == 1

    run(main)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n"
        + JSON
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + JSON,
    ],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_however_the_vendor_frames_it_it_is_relayed_with_a_length(answer: bytes, version: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(answer)

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            client = await one.client()
            got = await client.ask(get(CONFIG, b"Connection: keep-alive", version=version))
            assert (got.body, got.framing, got.keeps_alive) == (JSON, "length", True)

    run(main)


def test_a_head_request_gets_the_head() -> None:
    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: GOOD.partition(JSON)[0]
            client = await one.client()
            for _ in range(2):
                answer = await client.ask(get(method=b"HEAD"))
                assert (answer.status, answer.declared, answer.body) == (200, len(JSON), b"")
            assert len(one.vendor.visits) == 1

    run(main)


def test_those_who_ask_the_same_at_the_same_time_share_one_question() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            clients = [await one.client() for _ in range(10)]
            for number, client in enumerate(clients):
                await client.send(get(CONFIG, b"User-Agent: %d" % number, b"X-Request-Id: id-%d" % number))
            await eventually(lambda: one.gateway.exchanges == 10)
            waiting.go.set()
            answers = [await client.answer(b"GET") for client in clients]
            assert {answer.body for answer in answers} == {JSON}
            assert [answer.one("x-request-id") for answer in answers] == [f"id-{number}" for number in range(10)]
            assert len(one.vendor.requests) == 1
            assert one.book.read(Counter.CONFIG_COALESCED) == 9
            assert one.book.outcomes == {Outcome.DELIVERED: 10}

    run(main)


@pytest.mark.parametrize(
    "other",
    [
        get(b"/config/key-2?config_group=browser"),
        get(b"/config/key-1?config_group=other"),
        get(CONFIG, method=b"HEAD"),
        get(CONFIG, b"Accept-Encoding: gzip"),
        get(CONFIG, b"If-None-Match: e-1"),
        get(CONFIG, b"Authorization: Bearer k"),
        get(CONFIG, b"Sec-GPC: 1"),
    ],
)
def test_those_who_ask_something_else_have_their_own_answer(other: bytes) -> None:
    async def main() -> None:
        waiting = Waiting(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        async with stage(Vendor(script=waiting)) as one:
            first, second = await one.client(), await one.client()
            await first.send(get())
            await second.send(other)
            await eventually(lambda: one.gateway.exchanges == 2)
            waiting.go.set()
            await first.answer(b"GET")
            await second.answer(b"GET")
            assert len(one.vendor.requests) == 2

    run(main)


def test_one_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            first, second = await one.client(), await one.client()
            await first.send(get())
            await eventually(lambda: one.gateway.exchanges == 1)
            await second.send(get())
            await eventually(lambda: one.gateway.exchanges == 2)
            first.reset()
            await eventually(lambda: one.gateway.exchanges == 1)
            waiting.go.set()
            assert (await second.answer(b"GET")).body == JSON
            assert one.book.outcomes == {Outcome.CLIENT_GONE: 1, Outcome.DELIVERED: 1}
            assert len(one.vendor.requests) == 1

    run(main)


class TestOutages:
    @pytest.mark.parametrize("answer", BAD_ANSWERS)
    def test_the_last_good_answer_stands_in_for_a_bad_one(self, answer: bytes) -> None:
        async def main() -> None:
            async with stage(timeouts=QUICK) as one:
                client = await primed(one)
                one.vendor.reply = lambda seen: answer
                for _ in range(2):
                    got = await client.ask(get())
                    assert (got.status, got.body) == (200, JSON)
                    assert got.all("x-gateway-config") == ["stale"]
                    assert got.all("cache-control") == ["no-store"]
                    assert got.all("etag") == ["e-1"]
                    assert got.all("age") == ["0"]
                    assert got.all("access-control-allow-origin") == ["https://app.example.com"]
                assert [record.outcome for record in one.book.records[1:]] == [Outcome.STALE] * 2
                assert {record.upstream_status for record in one.book.records[1:]} == {0}

        run(main)

    @pytest.mark.parametrize("answer", [answer for answer in BAD_ANSWERS if answer.startswith(b"HTTP/1.1 ")][:7])
    def test_without_one_the_vendors_own_word_is_relayed(self, answer: bytes) -> None:
        async def main() -> None:
            async with stage() as one:
                one.vendor.reply = lambda seen: answer
                client = await one.client()
                got = await client.ask(get())
                assert got.status == int(answer[9:12])
                assert got.all("x-gateway-config") == []

        run(main)

    @pytest.mark.parametrize("status", [b"401 No", b"403 No", b"404 No", b"400 No"])
    def test_the_vendors_refusal_is_never_replaced(self, status: bytes) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await primed(one)
                one.vendor.reply = lambda seen: ok(b"{}", status=status)
                assert (await client.ask(get())).status == int(status[:3])
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                expected = 503 if status[:3] in (b"401", b"403") else 200
                assert (await client.ask(get())).status == expected  # a key that is refused has no good answer left

        run(main)

    def test_a_vendor_that_is_out_is_called_and_replaced(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await primed(one)
                await one.vendor.close()
                answer = await client.ask(get())
                assert (answer.status, answer.all("x-gateway-config")) == (200, ["stale"])
                other = await client.ask(get(b"/config/key-2"))
                kind = FailureKind.CONNECT_REFUSED
                assert (other.status, other.one("x-gateway-reason")) == (FAILURES[kind].status, kind.value)
                assert other.all("access-control-allow-origin") == ["https://app.example.com"]

        run(main)

    def test_without_a_good_answer_a_slow_vendor_is_a_failure_in_time(self) -> None:
        async def main() -> None:
            waiting = Waiting()
            async with stage(Vendor(script=waiting), timeouts=QUICK) as one:
                client = await one.client()
                answer = await client.ask(get())
                assert (answer.status, answer.one("x-gateway-reason")) == (504, "upstream_timeout")
                waiting.go.set()
                await eventually(lambda: one.book.read(Counter.CONFIG_STORED))  # it came late, but it came
                assert (await client.ask(get())).body == JSON
                assert len(one.vendor.requests) == 2

        run(main)

    def test_one_who_joins_a_question_that_is_late_is_not_kept_waiting(self) -> None:
        async def main() -> None:
            waiting = Waiting()
            waiting.go.set()
            async with stage(Vendor(script=waiting), timeouts={"config_total": "1s"}) as one:
                client, other = await one.client(), await one.client()
                assert (await client.ask(get())).body == JSON
                waiting.go.clear()
                assert (await client.ask(get())).all("x-gateway-config") == ["stale"]
                assert (await other.ask(get())).all("x-gateway-config") == ["stale"]
                record = one.book.records[-1]
                assert record.ended - record.began < 1.0  # what it would have waited for
                assert len(one.vendor.requests) == 2
                waiting.go.set()
                await eventually(lambda: not one.gateway.config_answers._fetches)

        run(main)

    def test_an_answer_for_another_coding_or_key_does_not_stand_in(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await primed(one)
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                for other in (get(CONFIG, b"Accept-Encoding: br"), get(b"/config/key-2?config_group=browser")):
                    assert (await client.ask(other)).status == 503

        run(main)

    @pytest.mark.parametrize("gpc", ["forward", "strip"])
    @pytest.mark.parametrize("lines", [(), (b"Sec-GPC: 1",)])
    def test_an_answer_for_one_who_has_opted_out_does_not_stand_in_for_others(
        self, lines: tuple[bytes, ...], gpc: str
    ) -> None:
        async def main() -> None:
            async with stage(privacy={"gpc": gpc}) as one:
                one.vendor.reply = lambda seen: GOOD
                client = await one.client()
                await client.ask(get(CONFIG, *lines))
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                same, others = get(CONFIG, *lines), get(CONFIG, *(() if lines else (b"Sec-GPC: 1",)))
                assert (await client.ask(others)).status == 503
                assert (await client.ask(same)).all("x-gateway-config") == ["stale"]

        run(main)

    def test_conditions_do_not_matter_when_the_last_good_answer_is_given(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await primed(one)
                one.vendor.reply = lambda seen: b"HTTP/1.1 304 Not Modified\r\nETag: e-1\r\n\r\n"
                fresh = await client.ask(get(CONFIG, b"If-None-Match: e-1"))
                assert (fresh.status, fresh.body) == (304, b"")
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                stale = await client.ask(get(CONFIG, b"If-None-Match: e-1"))
                assert (stale.status, stale.body) == (200, JSON)

        run(main)

    @pytest.mark.parametrize(("lines", "age"), [((), 0), ((b"Age: 3600",), 3600)])
    def test_the_last_good_answer_is_dated_and_as_old_as_it_is(self, lines: tuple[bytes, ...], age: int) -> None:
        async def main() -> None:
            async with stage() as one:
                one.vendor.reply = lambda seen: ok(JSON, b"Date: Sun, 06 Nov 1994 08:49:37 GMT", *lines)
                client = await one.client()
                await client.ask(get())
                began = monotonic()
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                answer = await client.ask(get())
                assert answer.all("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
                (told,) = answer.all("age")
                assert age <= int(told) <= age + 1 + monotonic() - began

        run(main)

    def test_a_date_that_the_vendor_does_not_give_is_when_its_answer_came(self) -> None:
        async def main() -> None:
            async with stage() as one:
                before = int(wall())
                client = await primed(one)
                after = wall()
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                (date,) = (await client.ask(get())).all("date")
                assert before <= parsedate_to_datetime(date).timestamp() <= after

        run(main)

    def test_a_cookie_for_one_is_not_given_to_others(self) -> None:
        async def main() -> None:
            async with stage(headers={"forward_cookies": ["consent"]}) as one:
                one.vendor.reply = lambda seen: ok(JSON, b"Set-Cookie: consent=1")
                client = await one.client()
                assert (await client.ask(get())).all("set-cookie") == ["consent=1"]
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                answer = await client.ask(get())
                assert (answer.all("x-gateway-config"), answer.all("set-cookie")) == (["stale"], [])

        run(main)

    def test_invented_questions_do_not_push_out_a_real_one(self) -> None:
        async def main() -> None:
            proxy = {"trusted_proxies": ["127.0.0.0/8"]}
            async with stage(client_ip=proxy, config_cache={"entries": 8}) as one:
                one.vendor.reply = lambda seen: GOOD
                client = await one.client()
                await client.ask(get(CONFIG, b"X-Forwarded-For: 198.51.100.1"))
                for number in range(40):
                    invented = get(CONFIG + b"&x=%d" % number, b"X-Forwarded-For: 203.0.113.%d" % (number % 250))
                    await client.ask(invented)
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                assert (await client.ask(get())).body == JSON
                assert (await client.ask(get(CONFIG + b"&x=0"))).status == 503

        run(main)

    def test_switched_off_nothing_stands_in(self) -> None:
        async def main() -> None:
            async with stage(config_cache={"stale_if_error": "0s"}) as one:
                client = await primed(one)
                one.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                assert (await client.ask(get())).status == 503

        run(main)

    def test_what_one_worker_learns_another_can_give(self) -> None:
        async def main() -> None:
            entries: list[bytes] = []
            async with stage() as one, stage() as other:
                one.gateway.config_answers.on_store = entries.append
                await primed(one)
                assert len(entries) == 1
                other.gateway.config_answers.load(entries[0])
                other.vendor.reply = lambda seen: ok(b"", status=b"503 Out")
                client = await other.client()
                assert (await client.ask(get())).body == JSON
                one.vendor.reply = lambda seen: ok(b"{}", status=b"403 No")
                assert (await one.clients[0].ask(get())).status == 403
                assert len(entries) == 2
                other.gateway.config_answers.load(entries[1])
                assert (await client.ask(get())).status == 503

        run(main)


class TestRepeats:
    def test_a_question_on_a_connection_that_died_idle_is_asked_once_more(self) -> None:
        async def script(visit: Visit) -> None:
            while await visit.head() is not None:
                if visit.number == 1 and visit.turn == 2:
                    await go.wait()
                    visit.reset()
                    return
                visit.send(GOOD)

        go = asyncio.Event()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client, second = await one.client(), await one.client()
                await client.ask(get())
                await client.send(get())
                await one.vendor.until(lambda: len(one.vendor.requests) == 2)
                await second.send(get())  # joins when the question is on its way already
                await eventually(lambda: one.gateway.exchanges == 2)
                go.set()
                assert (await client.answer(b"GET")).body == JSON
                assert (await second.answer(b"GET")).body == JSON
                assert len(one.vendor.requests) == 3
                assert one.book.outcomes == {Outcome.DELIVERED: 3}

        run(main)

    def test_it_is_asked_twice_and_no_more(self) -> None:
        async def script(visit: Visit) -> None:
            if visit.number == 1:
                await visit.request()
                visit.send(GOOD)
            await visit.request()
            visit.reset()

        async def main() -> None:
            async with stage(Vendor(script=script), config_cache={"stale_if_error": "0s"}) as one:
                client = await one.client()
                await client.ask(get())
                answer = await client.ask(get())
                assert answer.one("x-gateway-reason") == "upstream_closed"
                assert len(one.vendor.requests) == 3

        run(main)


class TestSizes:
    @pytest.mark.parametrize("size", [1024, 1025, 300_000])
    @pytest.mark.parametrize("coding", ["counted", "chunked"])
    def test_an_answer_may_be_as_large_as_the_limit(self, size: int, coding: str) -> None:
        def reply(seen: Seen) -> bytes:
            body = b"x" * size
            if coding == "counted":
                return ok(body)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            return head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)

        async def main() -> None:
            async with stage(limits={"config_answer": "1KiB"}) as one:
                one.vendor.reply = reply
                client = await one.client()
                answer = await client.ask(get())
                if size == 1024:
                    assert (answer.status, len(answer.body)) == (200, 1024)
                else:
                    assert (answer.status, answer.one("x-gateway-reason")) == (502, "answer_too_large")
                    assert (await one.record()).failure is FailureKind.ANSWER_TOO_LARGE

        run(main)

    def test_one_that_is_too_large_when_it_is_complete_costs_no_other_its_connection(self) -> None:
        """Its connection is somebody else's at the moment at which it turns out to be too large."""

        names, hold = Names(["127.0.0.1"]), asyncio.Event()

        async def script(visit: Visit) -> None:
            while (seen := await visit.request()) is not None:
                if seen.method == b"GET":
                    await hold.wait()
                visit.send(ok(b"x" * 2000))

        async def main() -> None:
            vendor = Vendor(script=script)
            limits, timeouts = {"config_answer": "1KiB"}, {"resolve": "10ms", "first_byte": "2s"}
            async with stage(vendor, connect="vendor.example", limits=limits, timeouts=timeouts) as one:
                reader, uploader = await one.client(), await one.client()
                await reader.send(get())
                await vendor.until(lambda: vendor.requests)
                pool = one.gateway.pool(one.gateway.admission.targets[0])
                await eventually(lambda: pool._resolver.due)
                names.gate = asyncio.Event()
                await uploader.send(post(b"abc"))
                await eventually(lambda: pool._waiting)
                hold.set()
                assert (await reader.answer(b"GET")).one("x-gateway-reason") == "answer_too_large"
                assert (await uploader.answer()).status == 200
                names.gate.set()
                await eventually(lambda: not pool._connecting)

        run_with(names, main)


def test_many_pages_at_once() -> None:
    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: GOOD

            async def page(number: int) -> None:
                client = await one.client()
                for _ in range(3):  # the plugin asks three times
                    assert (await client.ask(get(b"/config/key-%d" % (number % 4)))).body == JSON

            await asyncio.gather(*(page(number) for number in range(20)))
            await one.quiet()
            assert one.book.outcomes == {Outcome.DELIVERED: 60}
            assert len(one.vendor.requests) + one.book.read(Counter.CONFIG_COALESCED) == 60

    run(main)
