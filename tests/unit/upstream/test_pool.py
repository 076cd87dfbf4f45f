"""Proves who gets which connection, that nobody waits for ever or twice, that a failing upstream is left alone, and
that connections to addresses that a name no longer has are let go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from proxy.model.failure import FailureKind
from proxy.observe.ledger import Counter, Totals
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.pool import Pool
from tests.unit.upstream.names import Names, run_with
from tests.unit.upstream.stage import PATIENCE, Carrier, eventually, run, stage
from tests.unit.upstream.vendor import OK, Vendor, Visit


class Slow:
    """A vendor that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        while await visit.request() is not None:
            await self.go.wait()
            visit.send(OK)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def deaf_port() -> Iterator[int]:
    """The port of a listening socket whose queue is full: it drops further calls, as a dead host does."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield int(listening.getsockname()[1])


def ticked(pool: Pool) -> bool:
    """Let a second pass, as far as the pool is concerned."""
    pool.tick()
    return True


def test_a_connection_is_used_again() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            carriers = [await one.carry(pool) for _ in range(5)]
            assert [carrier.reused for carrier in carriers] == [False, True, True, True, True]
            assert pool.gauges() == (1, 1, 0)
            assert one.counted(Counter.UPSTREAM_CONNECTS) == 1

    run(main)


def test_an_idle_connection_is_given_at_once() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            await one.carry(pool)
            carrier = Carrier()
            pool.acquire(carrier)
            assert carrier.connection is not None

    run(main)


def test_the_most_recently_used_connection_goes_first() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool()
            carriers = [Carrier() for _ in range(3)]
            for carrier in carriers:
                pool.acquire(carrier)
            await eventually(lambda: pool.gauges()[0] == 3)
            connections = [carrier.connection for carrier in carriers]
            slow.go.set()
            for carrier in carriers:
                await carrier.ended()
            last = pool._idle[-1]
            assert last in connections
            for _ in range(3):
                carrier = Carrier()
                pool.acquire(carrier)
                assert carrier.connection is last
                await carrier.ended()

    run(main)


def test_a_fresh_connection_is_opened_when_that_is_asked_for() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            await one.carry(pool)
            carrier = Carrier()
            pool.acquire(carrier, fresh=True)
            await carrier.ended()
            assert (carrier.reused, len(one.vendor.visits)) == (False, 2)

    run(main)


def test_a_released_connection_goes_to_the_one_who_waits_longest() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool()
            order: list[int] = []

            class Waiting(Carrier):
                number = 0

                def connected(self, connection: object) -> None:
                    order.append(self.number)
                    super().connected(connection)  # type: ignore[arg-type]

            carriers = [Waiting() for _ in range(6)]
            for number, carrier in enumerate(carriers):
                carrier.number = number
                pool.acquire(carrier)
            slow.go.set()
            for carrier in carriers:
                await carrier.ended()
            assert order == sorted(order)

    run(main)


class Unable(Carrier):
    """Can't begin: there is no memory for its request."""

    def connected(self, connection: UpstreamConnection) -> None:
        raise MemoryError


def test_one_who_can_not_begin_is_told_and_costs_the_one_before_nothing() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool(limits={"upstream_connecting": 1})
            first, unable, last = Carrier(), Unable(), Carrier()
            for carrier in (first, unable, last):
                pool.acquire(carrier)
            slow.go.set()
            for carrier in (first, unable, last):
                await carrier.ended()
            assert first.complete
            assert last.complete
            assert unable.failures == [FailureKind.INTERNAL]

    run(main)


def test_one_who_can_not_begin_on_an_idle_connection_is_told() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            await one.carry(pool)
            unable = Unable()
            pool.acquire(unable)
            assert unable.failures == [FailureKind.INTERNAL]
            assert (await one.carry(pool)).complete

    run(main)


def test_one_who_leaves_the_queue_is_not_called() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            first, second = Carrier(), Carrier()
            pool.acquire(first)
            pool.acquire(second)
            pool.forget(first)
            pool.forget(first)
            await second.ended()
            await eventually(lambda: pool.gauges()[:2] == (1, 1))
            assert (first.connections, first.failures) == (0, [])

    run(main)


def test_no_more_connections_are_opened_than_the_limit() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool(limits={"upstream_connections": 3})
            carriers = [Carrier() for _ in range(5)]
            for carrier in carriers:
                pool.acquire(carrier)
            assert [carrier.failures for carrier in carriers[3:]] == [[FailureKind.POOL_FULL]] * 2
            await eventually(lambda: pool.gauges()[0] == 3)
            slow.go.set()
            for carrier in carriers[:3]:
                assert (await carrier.ended()).complete
            assert (await one.carry(pool)).complete
            assert len(one.vendor.visits) == 3

    run(main)


def test_no_more_connections_are_kept_than_the_limit() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool(limits={"upstream_idle": 2})
            carriers = [Carrier() for _ in range(5)]
            for carrier in carriers:
                pool.acquire(carrier)
            await eventually(lambda: pool.gauges()[0] == 5)
            slow.go.set()
            for carrier in carriers:
                await carrier.ended()
            await eventually(lambda: pool.gauges()[:2] == (2, 2))

    run(main)


def test_a_pool_that_keeps_nothing_still_works() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(limits={"upstream_idle": 0})
            for _ in range(3):
                assert (await one.carry(pool)).complete
            await eventually(lambda: pool.gauges()[:2] == (0, 0))
            assert len(one.vendor.visits) == 3

    run(main)


def test_an_idle_connection_is_closed_before_the_upstream_does_it() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(timeouts={"upstream_idle": "100ms"})
            await one.carry(pool)
            await one.vendor.until(lambda: one.vendor.open == 0)
            assert pool.gauges()[:2] == (0, 0)

    run(main)


def test_an_idle_connection_that_the_upstream_closes_is_noticed() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(OK)

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            await one.carry(pool)
            await eventually(lambda: pool.gauges()[:2] == (0, 0))
            carrier = await one.carry(pool)
            assert (carrier.complete, carrier.reused) == (True, False)

    run(main)


def test_an_unsolicited_answer_is_thrown_away_with_its_connection() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.send(OK)
        await visit.writer.drain()
        if visit.number == 1:
            await asyncio.sleep(0)
            visit.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await visit.request()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            pool = one.pool()
            await one.carry(pool)
            await eventually(lambda: one.counted(Counter.UPSTREAM_UNSOLICITED) == 1)
            await eventually(lambda: pool.gauges()[0] == 0)
            carrier = await one.carry(pool)
            assert carrier.head is not None
            assert (carrier.head.status, len(one.vendor.visits)) == (200, 2)

    run(main)


def test_an_upstream_that_refuses_is_told_as_such() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(connect=f"127.0.0.1:{free_port()}")
            carrier = await one.carry(pool)
            assert carrier.failures == [FailureKind.CONNECT_REFUSED]
            assert Totals([one.row]).connect_failures()[FailureKind.CONNECT_REFUSED] == 1

    run(main)


def test_an_upstream_that_does_not_answer_the_call_is_given_up() -> None:
    async def main() -> None:
        with deaf_port() as port:
            async with stage() as one:
                pool = one.pool(connect=f"127.0.0.1:{port}", timeouts={"connect": "200ms"})
                carrier = await one.carry(pool)
                assert carrier.failures == [FailureKind.CONNECT_TIMEOUT]

    run(main)


def test_everybody_in_the_queue_is_told_of_the_failure_once() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(connect=f"127.0.0.1:{free_port()}", breaker={"failures": 0})
            carriers = [Carrier() for _ in range(10)]
            for carrier in carriers:
                pool.acquire(carrier)
            for carrier in carriers:
                await carrier.ended()
            assert [carrier.failures for carrier in carriers] == [[FailureKind.CONNECT_REFUSED]] * 10

    run(main)


def test_a_crowd_waits_for_the_few_connections_that_are_being_opened() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(limits={"upstream_connecting": 4})
            carriers = [Carrier() for _ in range(300)]
            for carrier in carriers:
                pool.acquire(carrier)
            assert pool._connecting == 1
            while not all(carrier.complete for carrier in carriers):
                assert pool._connecting <= 4
                assert not any(carrier.failures for carrier in carriers)
                await asyncio.sleep(0)
            assert len(one.vendor.requests) == 300
            assert pool._waiting == {}

    run(main)


def test_those_who_wait_are_given_connections_in_growing_steps() -> None:
    async def main() -> None:
        async with stage(Vendor(script=Slow())) as one:
            pool = one.pool(limits={"upstream_connecting": 10})
            carriers = [Carrier() for _ in range(20)]
            for carrier in carriers:
                pool.acquire(carrier)
            opening = [pool._connecting]
            for _ in range(5):
                pool._step()
                opening.append(pool._connecting)
            assert opening == [1, 2, 4, 8, 10, 10]
            pool.abort()

    run(main)


def test_a_connection_that_is_being_opened_serves_who_comes_meanwhile() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool()
            for number in range(5):
                carrier = Carrier()
                pool.acquire(carrier)
                if number < 4:
                    pool.forget(carrier)
            assert pool._connecting == 1
            await carrier.ended()
            assert len(one.vendor.visits) == 1

    run(main)


def test_a_crowd_before_a_slow_upstream_gets_a_connection_each() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool(limits={"upstream_connecting": 3})
            carriers = [Carrier() for _ in range(20)]
            for carrier in carriers:
                pool.acquire(carrier)
            await eventually(lambda: pool.gauges()[0] == 20)
            slow.go.set()
            for carrier in carriers:
                assert (await carrier.ended()).complete

    run(main)


def test_a_crowd_before_a_dead_upstream_is_told_at_once_when_the_breaker_opens() -> None:
    async def main() -> None:
        async with stage() as one:
            limits = {"upstream_connecting": 2}
            pool = one.pool(connect=f"127.0.0.1:{free_port()}", breaker={"failures": 3, "open": "1h"}, limits=limits)
            carriers = [Carrier() for _ in range(50)]
            for carrier in carriers:
                pool.acquire(carrier)
            for carrier in carriers:
                await carrier.ended()
            kinds = [kind for carrier in carriers for kind in carrier.failures]
            assert len(kinds) == 50
            assert 3 <= kinds.count(FailureKind.CONNECT_REFUSED) <= 4
            assert kinds.count(FailureKind.BREAKER_OPEN) == 50 - kinds.count(FailureKind.CONNECT_REFUSED)
            await eventually(lambda: pool._connecting == 0)

    run(main)


def test_nobody_in_a_crowd_waits_longer_than_an_attempt_may_take() -> None:
    async def main() -> None:
        limits, times = {"upstream_connecting": 1}, {"connect": "1s"}
        with deaf_port() as port:
            async with stage() as one:
                connect = f"127.0.0.1:{port}"
                pool = one.pool(connect=connect, timeouts=times, limits=limits, breaker={"failures": 0})
                carriers = [Carrier() for _ in range(4)]
                for carrier in carriers:
                    pool.acquire(carrier)
                pool.tick()
                assert not any(carrier.failures for carrier in carriers)
                await carriers[0].ended()
                await asyncio.sleep(0.05)  # the loop's clock is up to a millisecond behind the pool's
                pool.tick()
                for carrier in carriers:
                    await carrier.ended()
                kinds = [carrier.failures for carrier in carriers]
                assert kinds[0] == [FailureKind.CONNECT_TIMEOUT]
                assert kinds[1:3] == [[FailureKind.POOL_FULL]] * 2
                # The last one has an attempt of its own by then.
                assert kinds[3] == [FailureKind.CONNECT_TIMEOUT]

    run(main)


def test_an_upstream_that_keeps_failing_is_left_alone_and_then_tried_by_one() -> None:
    async def main() -> None:
        port = free_port()
        async with stage() as one:
            pool = one.pool(connect=f"127.0.0.1:{port}", breaker={"failures": 3, "open": "200ms"})
            for _ in range(3):
                assert (await one.carry(pool)).failures == [FailureKind.CONNECT_REFUSED]
            carrier = Carrier()
            pool.acquire(carrier)
            assert carrier.failures == [FailureKind.BREAKER_OPEN]
            assert pool.gauges()[2] == 1
            assert one.counted(Counter.BREAKER_OPENED) == 1
            other = await Vendor().start(port=port)
            probe = Carrier()

            def permitted() -> bool:
                if probe.connections == 0 and pool._connecting == 0:
                    probe.failures.clear()
                    pool.acquire(probe)
                return FailureKind.BREAKER_OPEN not in probe.failures

            await eventually(permitted)
            second = Carrier()
            pool.acquire(second)
            assert second.failures == [FailureKind.BREAKER_OPEN]  # one probe at a time
            assert (await probe.ended()).complete
            pool.answered()
            assert pool.gauges()[2] == 0
            assert (await one.carry(pool)).complete
            await other.close()

    run(main)


def test_time_outs_open_the_breaker_and_other_failures_of_an_exchange_do_not() -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(breaker={"failures": 2, "open": "10s"})
            for kind in FailureKind:
                if kind is not FailureKind.UPSTREAM_TIMEOUT:
                    pool.failed(kind)
            assert pool.gauges()[2] == 0
            pool.failed(FailureKind.UPSTREAM_TIMEOUT)
            assert pool.gauges()[2] == 0  # one is not enough to keep anybody away
            pool.answered()
            pool.failed(FailureKind.UPSTREAM_TIMEOUT)
            assert one.counted(Counter.BREAKER_OPENED) == 0
            pool.failed(FailureKind.UPSTREAM_TIMEOUT)
            assert one.counted(Counter.BREAKER_OPENED) == 1
            assert (await one.carry(pool)).failures == [FailureKind.BREAKER_OPEN]

    run(main)


async def two_vendors(answer: list[str]) -> tuple[Vendor, Vendor]:
    """One on each of two addresses, on the same port."""
    first = await Vendor().start(answer[0])
    return first, await Vendor().start(answer[1], first.port)


def test_one_dead_address_of_several_costs_nothing_but_time() -> None:
    names = Names(["127.0.0.2", "127.0.0.3", "127.0.0.1"])

    async def main() -> None:
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{one.vendor.port}", limits={"upstream_idle": 0})
            for _ in range(6):
                assert (await one.carry(pool)).complete
            assert set(pool._resolver.addresses.failed) <= {"127.0.0.2", "127.0.0.3"}

    run_with(names, main)
    assert names.questions == names.questions[:1]


def test_connections_are_spread_over_the_addresses() -> None:
    names = Names(["127.0.0.1", "127.0.0.2"])

    async def main() -> None:
        first, second = await two_vendors(["127.0.0.1", "127.0.0.2"])
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{first.port}", limits={"upstream_idle": 0})
            for _ in range(6):
                assert (await one.carry(pool)).complete
            assert (len(first.visits), len(second.visits)) == (3, 3)
        await first.close()
        await second.close()

    run_with(names, main)


def test_connections_to_an_address_that_is_gone_are_let_go() -> None:
    names = Names(["127.0.0.1"])

    async def main() -> None:
        first, second = await two_vendors(["127.0.0.1", "127.0.0.2"])
        slow = Slow()
        first.script = slow
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{first.port}", timeouts={"resolve": "20ms"})
            busy, idle = Carrier(), Carrier()
            pool.acquire(busy)
            await busy.until(lambda: busy.connection)
            pool.acquire(idle)
            await idle.until(lambda: idle.connection)
            names.answer = ["127.0.0.2"]

            await eventually(lambda: ticked(pool) and pool._resolver.addresses.known == ("127.0.0.2",))
            assert pool.gauges()[0] == 2  # an exchange under way is not cut
            slow.go.set()
            assert (await busy.ended()).complete
            assert (await idle.ended()).complete
            await first.until(lambda: first.open == 0)
            assert (await one.carry(pool)).complete
            assert len(second.visits) == 1
            names.answer = ["127.0.0.1"]
            await eventually(lambda: ticked(pool) and pool.gauges()[0] == 0)  # the idle one goes at once
        await first.close()
        await second.close()

    run_with(names, main)


def test_where_a_name_leads_after_its_address_has_died_is_found_long_before_it_would_be_asked_again() -> None:
    names = Names(["127.0.0.1"])

    async def main() -> None:
        first, second = await two_vendors(["127.0.0.1", "127.0.0.2"])
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{first.port}", timeouts={"resolve": "1h"}, breaker={"failures": 0})
            assert (await one.carry(pool)).complete
            names.answer = ["127.0.0.2"]
            await first.close()
            await eventually(lambda: pool.gauges()[0] == 0)
            carriers = [await one.carry(pool)]
            async with asyncio.timeout(PATIENCE):
                while not carriers[-1].complete:
                    await asyncio.sleep(0.02)
                    carriers.append(await one.carry(pool))
            assert len(second.visits) == 1
            assert {kind for each in carriers for kind in each.failures} == {FailureKind.CONNECT_REFUSED}
        await second.close()
        assert len(names.questions) == 2

    run_with(names, main)


def test_a_name_server_that_fails_costs_no_connection() -> None:
    names = Names(["127.0.0.1"])

    async def main() -> None:
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{one.vendor.port}", timeouts={"resolve": "20ms"})
            await one.carry(pool)
            names.answer = None
            asked = len(names.questions)
            await eventually(lambda: ticked(pool) and len(names.questions) > asked)
            assert (await one.carry(pool)).reused
            await asyncio.sleep(0)
            fresh = Carrier()
            pool.acquire(fresh, fresh=True)
            assert (await fresh.ended()).complete

    run_with(names, main)


def test_a_name_without_an_address_is_a_failure_of_its_own() -> None:
    names = Names(None)

    async def main() -> None:
        async with stage() as one:
            carrier = await one.carry(one.pool(connect="vendor.example:1"))
            assert carrier.failures == [FailureKind.RESOLVE]

    run_with(names, main)


def test_a_slow_name_server_is_not_waited_for_longer_than_for_a_connection() -> None:
    names = Names(["127.0.0.1"])

    async def main() -> None:
        names.gate = asyncio.Event()
        async with stage() as one:
            pool = one.pool(connect=f"vendor.example:{one.vendor.port}", timeouts={"connect": "50ms"})
            assert (await one.carry(pool)).failures == [FailureKind.CONNECT_TIMEOUT]
            names.gate.set()
            assert (await one.carry(pool)).complete

    run_with(names, main)
    assert len(names.questions) == 1


def test_a_draining_pool_finishes_what_it_has_and_keeps_nothing() -> None:
    async def main() -> None:
        slow = Slow()
        async with stage(Vendor(script=slow)) as one:
            pool = one.pool()
            busy = Carrier()
            pool.acquire(busy)
            await busy.until(lambda: busy.connection)
            pool.close()
            late = Carrier()
            pool.acquire(late)
            slow.go.set()
            assert (await busy.ended()).complete
            assert (await late.ended()).complete
            await eventually(lambda: pool.gauges()[:2] == (0, 0))

    run(main)


def test_an_aborted_pool_cuts_everything_and_takes_nobody() -> None:
    async def main() -> None:
        async with stage(Vendor(script=Slow())) as one:
            pool = one.pool()
            busy, calling = Carrier(), Carrier()
            pool.acquire(busy)
            await busy.until(lambda: busy.connection)
            pool.acquire(calling)
            pool.abort()
            late = Carrier()
            pool.acquire(late)
            assert late.failures == [FailureKind.DRAIN_TIMEOUT]
            await busy.ended()
            await calling.ended()
            assert busy.failures == [FailureKind.UPSTREAM_CLOSED]
            assert (calling.connections, calling.failures) == (0, [FailureKind.DRAIN_TIMEOUT])
            await eventually(lambda: pool.gauges()[0] == 0)

    run(main)


@pytest.mark.parametrize("number", [1, 30])
def test_many_at_once_all_get_their_answers(number: int) -> None:
    async def main() -> None:
        async with stage() as one:
            pool = one.pool(limits={"upstream_connections": number + 5})
            for _ in range(5):
                carriers = [Carrier() for _ in range(number)]
                for carrier in carriers:
                    pool.acquire(carrier)
                for carrier in carriers:
                    assert (await carrier.ended()).complete
            assert len(one.vendor.requests) == 5 * number
            assert pool.gauges()[1] == pool.gauges()[0] <= number

    run(main)
