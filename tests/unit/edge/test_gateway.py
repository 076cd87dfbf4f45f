"""Proves that a worker's gateway comes to rest: it drains without losing what is in hand, cuts what does not end,
counts what is there, serves over TLS as over plain connections, and keeps nothing of clients that are gone."""

from __future__ import annotations

import asyncio
import gc
import ssl

import pytest
import trustme

from proxy.edge.connection import ClientConnection
from proxy.edge.gateway import Gateway
from proxy.edge.track import TrackRelay
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome
from proxy.observe.ledger import Counter, Gauge
from tests.unit.edge.stage import AT_ONCE, CONFIG, JSON, Stage, chunked, get, ok, post, run, stage
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Vendor, Visit


class Waiting:
    """A vendor that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        while await visit.request() is not None:
            await self.go.wait()
            visit.send(ok(JSON))


class TestDrain:
    def test_what_is_in_hand_is_finished_and_idle_connections_close(self) -> None:
        async def main() -> None:
            waiting = Waiting()
            async with stage(Vendor(script=waiting)) as one:
                idle, busy, asking, sending = [await one.client() for _ in range(4)]
                await idle.ask(get(b"/nowhere"))
                await busy.send(post(b"abc"))
                await asking.send(get(CONFIG))
                request = post(b"abcdef")
                await sending.send(request[:-3])
                await eventually(lambda: one.gateway.exchanges == 3)
                one.gateway.drain()
                assert await idle.until_closed() == b""
                await sending.send(request[-3:])
                waiting.go.set()
                for client in (busy, asking, sending):
                    answer = await client.answer(b"GET")
                    assert (answer.status, answer.all("connection")) == (200, ["close"])
                    assert await client.until_closed() == b""
                await eventually(lambda: one.gateway.connections == 0)
                await one.vendor.until(lambda: one.vendor.open == 0)

        run(main)

    def test_a_connection_accepted_at_the_last_moment_is_served_once(self) -> None:
        async def main() -> None:
            async with stage() as one:
                before = await one.client()
                await eventually(lambda: one.gateway.connections == 1)
                one.gateway.drain()
                late = await one.client()
                for client in (before, late):
                    answer = await client.ask(post(b"abc"))
                    assert (answer.status, answer.all("connection")) == (200, ["close"])
                    assert await client.until_closed() == b""

        run(main)

    def test_one_that_then_says_nothing_is_closed_soon(self) -> None:
        async def main() -> None:
            async with stage() as one:
                silent = await one.client()
                await eventually(lambda: one.gateway.connections == 1)
                one.gateway.drain()
                assert await silent.until_closed() == b""

        run(main)

    def test_a_head_that_has_begun_is_waited_for(self) -> None:
        async def main() -> None:
            async with stage() as one:
                client = await one.client()
                request = get(b"/nowhere")
                await client.send(request[:10])
                await eventually(lambda: any(c._buffer for c in one.connections()))
                one.gateway.drain()
                await client.send(request[10:])
                assert (await client.answer()).status == 404

        run(main)

    def test_pipelined_requests_behind_the_one_in_hand_are_not_begun(self) -> None:
        async def main() -> None:
            waiting = Waiting()
            async with stage(Vendor(script=waiting)) as one:
                client = await one.client()
                await client.send(post(b"first") + post(b"second"))
                await eventually(lambda: one.gateway.exchanges == 1)
                one.gateway.drain()
                waiting.go.set()
                assert (await client.answer()).all("connection") == ["close"]
                client.end()
                assert await client.until_closed() == b""
                assert [seen.body for seen in one.vendor.requests] == [b"first"]

        run(main)


class TestAbort:
    @pytest.mark.parametrize("close", [False, True])
    def test_what_does_not_end_is_cut_and_said_to_be_cut(self, close: bool) -> None:
        async def main() -> None:
            async with stage(Vendor(script=Waiting())) as one:
                idle, busy, asking, sending = [await one.client() for _ in range(4)]
                await busy.send(post(b"abc"))
                await asking.send(get(CONFIG))
                await sending.send(chunked(b"abc"))
                await eventually(lambda: one.gateway.exchanges == 3)
                one.gateway.drain()
                if close:
                    await one.gateway.close()
                else:
                    one.gateway.abort()
                assert await idle.until_closed() == b""
                for client in (busy, asking, sending):
                    answer = await client.answer(b"GET")
                    assert (answer.status, answer.one("x-gateway-reason")) == (503, "drain_timeout")
                    assert answer.all("access-control-allow-origin") or client is sending
                assert one.book.outcomes == {Outcome.FAILED: 3}
                assert {record.failure for record in one.book.records} == {FailureKind.DRAIN_TIMEOUT}

        run(main)

    def test_an_answer_on_its_way_is_cut_and_not_completed(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.request()
            visit.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
            await visit.reader.read()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                await client.reader.readuntil(b"part\r\n")
                one.gateway.abort()
                assert await client.until_closed() == b""
                record = await one.record()
                assert (record.failure, record.status) == (FailureKind.DRAIN_TIMEOUT, 200)

        run(main)

    def test_nothing_is_sent_again_after_it(self) -> None:
        """A used connection that dies would be a reason to repeat; not when it was us who cut it."""

        async def main() -> None:
            waiting = Waiting()
            waiting.go.set()
            async with stage(Vendor(script=waiting)) as one:
                client = await one.client()
                await client.ask(post(b"first"))
                waiting.go.clear()
                await client.send(post(b"second"))
                await one.vendor.until(lambda: len(one.vendor.requests) == 2)
                client.reset()  # received whole: it goes on without its client
                await eventually(lambda: one.gateway.connections == 0)
                one.gateway.abort()
                await one.record(2)
                assert [seen.body for seen in one.vendor.requests] == [b"first", b"second"]

        run(main)

    def test_a_gateway_can_be_closed_at_any_time(self) -> None:
        async def main() -> None:
            for request in (b"", get(CONFIG)[:20], get(CONFIG), post(b"abc"), chunked(b"abc"), b"garbage\r\n\r\n"):
                async with stage(Vendor(script=Waiting())) as one:
                    client = await one.client()
                    await client.send(request)
                    await one.gateway.close()
                    await eventually(lambda: one.gateway.connections == 0)

        run(main)


def test_gauges_say_what_is_there() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:

            def gauges() -> list[int]:
                one.gateway._each_second(0.0)
                names = (Gauge.CONNECTIONS, Gauge.EXCHANGES, Gauge.INFLIGHT_BYTES)
                return [one.book.read(gauge) for gauge in (*names, Gauge.UPSTREAM_CONNECTIONS, Gauge.UPSTREAM_IDLE)]

            assert gauges() == [0, 0, 0, 0, 0]
            clients = [await one.client() for _ in range(3)]
            for client in clients[:2]:
                await client.send(post(b"x" * 1000))
            await one.vendor.until(lambda: len(one.vendor.requests) == 2)
            assert gauges() == [3, 2, 2000, 2, 0]
            waiting.go.set()
            for client in clients[:2]:
                await client.answer()
            assert gauges() == [3, 0, 0, 2, 2]
            assert one.book.read(Counter.CONNECTIONS_ACCEPTED) == 3

    run(main)


def test_the_date_is_that_of_the_moment() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            answer = await client.ask(get(b"/nowhere"))
            date = answer.one("date")
            assert date is not None
            assert date.endswith(" GMT")
            assert len(date) == 29

    run(main)


def test_request_ids_are_unique_over_gateways() -> None:
    async def main() -> None:
        async with stage() as one, stage() as other:
            ids = [each.gateway.request_id() for each in (one, other) for _ in range(1000)]
            assert len(set(ids)) == 2000
            assert all(len(each) >= 20 and int(each, 16) for each in ids)

    run(main)


class TestRegions:
    def test_a_request_goes_to_its_own_region_and_no_other(self) -> None:
        async def main() -> None:
            other = Vendor(host=b"eu.vendor.example")
            await other.start()
            address = f"127.0.0.1:{other.port}"
            eu = {
                "track": {"url": "http://eu.vendor.example/sessions/v2/track", "connect": address},
                "config": {"url": "http://eu.vendor.example/config", "connect": address},
            }
            rules = {"api_keys": {"key-eu": "eu"}, "strict": False}
            async with stage(more_upstreams={"eu": eu}, region=rules) as one:
                client = await one.client()
                for key, vendor in ((b"key-us", one.vendor), (b"key-eu", other)) * 3:
                    before = len(vendor.requests)
                    assert (await client.ask(post(key, b"Authorization: Bearer " + key))).status == 200
                    assert (await client.ask(get(b"/config/" + key))).status == 200
                    assert [seen.target for seen in vendor.requests[before:]][1] == b"/config/" + key
                assert {record.region for record in one.book.records} == {"us", "eu"}
                assert all(b"key-eu" not in seen.target + seen.body for seen in one.vendor.requests)
                assert all(b"key-us" not in seen.target + seen.body for seen in other.requests)
                assert other.violations == []
            await other.close()

        run(main)


@pytest.fixture(scope="module")
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gw.example").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client


class TestTls:
    def test_it_serves_as_over_plain_connections(self, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        async def main() -> None:
            async with stage() as one:
                port = await one.listen(certificates[0])
                client = await one.client(port, certificates[1])
                for body in (b"abc", b"x" * 300_000):
                    assert (await client.ask(post(body))).status == 200
                await client.send(post(b"one") + post(b"two") + get(b"/nowhere"))
                assert [(await client.answer()).status for _ in range(3)] == [200, 200, 404]
                assert one.vendor.requests[0].all(b"x-forwarded-proto") == [b"https"]
                assert one.book.read(Counter.TLS_HANDSHAKES_COMPLETED) == 1
                await client.close()
                await eventually(lambda: one.gateway.connections == 0)

        run(main)

    def test_refusals_and_early_ends_arrive(self, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        async def main() -> None:
            async with stage(timeouts={"linger": "200ms"}) as one:
                port = await one.listen(certificates[0])
                for request in (b"garbage\r\n\r\n", post(b"x" * 70_000, target=b"/nowhere", declared=100_000)):
                    client = await one.client(port, certificates[1])
                    answer = await client.ask(request)
                    assert answer.status in (400, 404)
                    assert await client.until_closed() == b""
                await eventually(lambda: one.gateway.connections == 0)

        run(main)

    def test_large_answers_arrive_whole(self, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        async def main() -> None:
            async with stage() as one:
                one.vendor.reply = lambda seen: ok(b"x" * (8 << 20))
                port = await one.listen(certificates[0])
                client = await one.client(port, certificates[1])
                assert len((await client.ask(post(b"abc"))).body) == 8 << 20

        run(main)

    def test_a_client_that_leaves_has_left(self, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        async def main() -> None:
            async with stage(Vendor(script=Waiting()), limits=AT_ONCE) as one:
                port = await one.listen(certificates[0])
                client = await one.client(port, certificates[1])
                await client.send(chunked(b"abc"))
                await one.vendor.until(lambda: one.vendor.requests)
                client.reset()
                assert (await one.record()).outcome is Outcome.CLIENT_GONE
                await one.vendor.until(lambda: one.vendor.open == 0)

        run(main)


def alive(*kinds: type) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


async def a_day_of_work(one: Stage) -> None:
    """Connections that end in every way there is."""
    for request in (post(b"abc"), get(CONFIG), get(b"/nowhere"), b"garbage\r\n\r\n", chunked(b"abc"), b""):
        for leave in ("end", "reset"):
            client = await one.client()
            await client.send(request)
            getattr(client, leave)()
            await client.until_closed()
            await client.close()
    one.clients.clear()
    await one.quiet()
    await eventually(lambda: one.gateway.connections == 0)


def test_nothing_is_kept_of_clients_that_are_gone_and_no_garbage_is_made() -> None:
    """The collector looks at long-lived objects rarely: what is over must go by itself."""

    async def main() -> None:
        async with stage() as one:
            one.vendor.reply = lambda seen: ok(JSON)
            await a_day_of_work(one)
            gc.collect()
            gc.disable()
            try:
                await a_day_of_work(one)
                for _ in range(5):
                    await asyncio.sleep(0)
                assert alive(ClientConnection, TrackRelay) == 0
            finally:
                gc.enable()

    run(main)


def test_a_closed_gateway_is_garbage() -> None:
    async def main() -> None:
        async with stage() as one:
            await a_day_of_work(one)
            assert alive(Gateway) == before + 1

    gc.collect()
    before = alive(Gateway)
    run(main)
    gc.collect()
    assert alive(Gateway) == before
