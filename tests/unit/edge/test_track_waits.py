"""Proves that an upload waits for nobody for ever: the side that is late is the one that is blamed, and a slow side
makes the other one wait instead of filling the memory."""

from __future__ import annotations

import asyncio

import pytest

from proxy.edge.gateway import Gateway
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome
from proxy.model.verdict import Reason
from tests.unit.edge.stage import chunked, get, ok, post, run, stage
from tests.unit.edge.test_track import MIB, PARTIAL, failed
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Vendor, Visit


class TestTimes:
    @pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
    def test_a_vendor_that_does_not_answer(self, answer: bytes) -> None:
        async def script(visit: Visit) -> None:
            await visit.request()
            visit.send(answer)
            await visit.reader.read()

        async def main() -> None:
            async with stage(Vendor(script=script), timeouts={"first_byte": "150ms"}) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                await failed(one, client, FailureKind.UPSTREAM_TIMEOUT)
                assert (await client.ask(get(b"/nowhere"))).status == 404

        run(main)

    def test_a_vendor_that_stops_in_its_answer(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.request()
            visit.send(PARTIAL[0])
            await visit.reader.read()

        async def main() -> None:
            async with stage(Vendor(script=script), timeouts={"upstream_stall": "150ms"}) as one:
                client = await one.client()
                await client.send(post(b"abc"))
                rest = await client.until_closed()
                assert rest.endswith(b"part")
                assert (await one.record()).failure is FailureKind.UPSTREAM_STALLED

        run(main)

    def test_a_vendor_that_stops_taking_the_upload(self) -> None:
        async def script(visit: Visit) -> None:
            await visit.head()
            await asyncio.Event().wait()

        async def main() -> None:
            async with stage(Vendor(script=script), timeouts={"upstream_stall": "300ms"}) as one:
                client = await one.client()
                sending = asyncio.create_task(client.send(post(b"x" * (15 * MIB))))
                await failed(one, client, FailureKind.UPSTREAM_STALLED)
                sending.cancel()
                client.reset()

        run(main)

    def test_a_client_that_is_slow_to_read_is_not_blamed_on_the_vendor(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"upstream_stall": "100ms", "client_write": "2s"}) as one:
                one.vendor.reply = lambda seen: ok(b"x" * (16 * MIB))
                client = await one.client()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(post(b"abc"))
                await eventually(lambda: any(c._stuck for c in one.connections()))
                await asyncio.sleep(0.5)  # several times what a vendor may take
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                assert len((await client.answer()).body) == 16 * MIB
                assert (await one.record()).outcome is Outcome.DELIVERED

        run(main)

    def test_a_client_that_does_not_read_at_all_is_cut_off(self) -> None:
        async def main() -> None:
            async with stage(timeouts={"client_write": "150ms"}) as one:
                one.vendor.reply = lambda seen: ok(b"x" * (16 * MIB))
                client = await one.client()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(post(b"abc"))
                record = await one.record()
                assert (record.outcome, record.failure) == (Outcome.FAILED, FailureKind.CLIENT_STALLED)
                assert record.status == 200
                await one.vendor.until(lambda: one.vendor.open == 0)

        run(main)


def waiting_bytes(gateway: Gateway) -> int:
    """What the gateway holds for upstreams that have not taken it yet."""
    connections = (connection for pool in gateway._pools.values() for connection in pool._open)
    return sum(c.transport.get_write_buffer_size() for c in connections if c.transport is not None)


class TestSlowSides:
    @pytest.mark.parametrize("request_", [post(b"x" * (15 * MIB)), chunked(*[b"x" * 250_000] * 60, b"")])
    def test_a_slow_vendor_makes_the_client_wait(self, request_: bytes) -> None:
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            while (seen := await visit.head()) is not None:
                await go.wait()
                await visit.body(seen)
                visit.send(ok())

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                sending = asyncio.create_task(client.send(request_))
                await eventually(lambda: any(c._held for c in one.connections()))
                unsent = client.writer.transport.get_write_buffer_size
                await eventually(unsent)
                assert waiting_bytes(one.gateway) < 512 << 10
                go.set()
                await sending
                assert (await client.answer()).status == 200
                assert len(one.vendor.requests[0].body) >= 15_000_000

        run(main)

    def test_what_was_held_while_connecting_does_not_open_the_gates(self) -> None:
        """The prefix kept for a repeat is written at once; if the vendor does not take it, the client must wait."""

        async def script(visit: Visit) -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            limits = {"body": "48MiB", "retry_body": "8MiB", "exchange_bytes": "9MiB", "inflight_bytes": "64MiB"}
            async with stage(Vendor(script=script), limits=limits, timeouts={"upstream_stall": "500ms"}) as one:
                client = await one.client()
                sending = asyncio.create_task(client.send(post(b"x" * (40 * MIB))))
                await eventually(lambda: waiting_bytes(one.gateway))
                await eventually(lambda: any(c._held for c in one.connections()) or one.book.records)
                assert waiting_bytes(one.gateway) < 9 * MIB
                record = await one.record()
                assert record.failure is FailureKind.UPSTREAM_STALLED
                # The prefix, and what the system's buffers take: from 8.2 to 12.8 MiB were seen.
                assert record.received_bytes < 20 * MIB
                sending.cancel()
                client.reset()

        run(main)

    def test_a_slow_client_leaves_no_upstream_connection_behind_that_nobody_reads(self) -> None:
        """The answer is whole and its connection back in the pool before the client has taken it."""

        async def main() -> None:
            async with stage(limits={"upstream_connections": 1}, timeouts={"first_byte": "1s"}) as one:
                one.vendor.reply = lambda seen: ok(b"x" * 190_000)
                slow = await one.client()
                slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
                for _ in range(100):
                    slow.writer.write(post(b"abc"))
                await eventually(lambda: any(c._stuck for c in one.connections()))
                quick = await one.client()
                for _ in range(3):
                    assert (await quick.ask(post(b"def"))).status == 200

        run(main)

    def test_a_slow_client_makes_the_vendor_wait(self) -> None:
        async def script(visit: Visit) -> None:
            while await visit.request() is not None:
                visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
                for _ in range(64):
                    visit.send(bytes(MIB))
                    await visit.writer.drain()

        async def main() -> None:
            async with stage(Vendor(script=script)) as one:
                client = await one.client()
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await client.send(post(b"abc"))
                await eventually(lambda: any(c._stuck for c in one.connections()))
                (connection,) = one.connections()
                assert connection._transport is not None
                await one.vendor.until(lambda: one.vendor.visits)
                await eventually(one.vendor.visits[0].writer.transport.get_write_buffer_size)
                assert connection._transport.get_write_buffer_size() < MIB
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                assert len((await client.answer()).body) == 64 * MIB

        run(main)


class TestDrippingClients:
    """To drip an upload must cost the one who does it, not those who wait for a connection to the vendor."""

    @pytest.mark.parametrize("head", [post(b"", declared=100), chunked()])
    def test_they_hold_no_connection_to_the_vendor(self, head: bytes) -> None:
        async def main() -> None:
            async with stage(limits={"upstream_connections": 1}) as one:
                dripping = [await one.client() for _ in range(5)]
                for client in dripping:
                    await client.send(head)
                    await client.send(b"1\r\nx\r\n" if b"chunked" in head else b"x")
                assert (await (await one.client()).ask(post(b"abc"))).status == 200
                assert [seen.body for seen in one.vendor.requests] == [b"abc"]
                for client in dripping:
                    client.reset()

        run(main)

    def test_what_is_kept_for_a_repeat_is_enough_to_go_on(self) -> None:
        async def main() -> None:
            async with stage(limits={"retry_body": "64KiB"}) as one:
                client = await one.client()
                await client.send(post(b"x" * 65_536, declared=65_537))
                await one.vendor.until(lambda: one.vendor.requests)
                await client.send(b"y")
                assert (await client.answer()).status == 200
                assert one.vendor.requests[0].body == b"x" * 65_536 + b"y"

        run(main)

    @pytest.mark.parametrize("rate", ["1KiB", "0B"])
    def test_below_the_least_rate_they_are_told_to_stop(self, rate: str) -> None:
        async def main() -> None:
            async with stage(limits={"body_rate": rate}, timeouts={"client_body_grace": "200ms"}) as one:
                client = await one.client()
                await client.send(post(b"", declared=14))
                for _ in range(14):
                    await asyncio.sleep(0.05)  # never as long as a pause may be
                    if one.book.records:
                        break
                    await client.send(b"x")
                answer = await client.answer()
                reason = Reason.BODY_TIMEOUT if rate == "1KiB" else None
                assert (answer.status, (await one.record()).reason) == (408 if reason else 200, reason)

        run(main)

    def test_time_in_which_the_vendor_took_nothing_is_not_theirs(self) -> None:
        go = asyncio.Event()

        async def script(visit: Visit) -> None:
            seen = await visit.head()
            assert seen is not None
            await go.wait()
            await visit.body(seen)
            visit.send(ok())

        async def main() -> None:
            async with stage(Vendor(script=script), timeouts={"client_body_grace": "1s"}) as one:
                client = await one.client()
                sending = asyncio.create_task(client.send(post(b"x" * (15 * MIB))))
                await eventually(lambda: any(c._held for c in one.connections()))
                (connection,) = one.connections()
                connection._body_began -= 10_000_000  # as if it had been held for months
                connection._held_since -= 10_000_000
                go.set()
                await sending
                assert (await client.answer()).status == 200

        run(main)
