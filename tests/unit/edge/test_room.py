"""Proves who goes when there is no room for all: the one that can be spared best, and nobody who can't; that an address
has a share and no more; and that those who are told to go don't stay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.edge.connection import ClientConnection
from proxy.edge.room import LOOKED_AT
from proxy.model.cut import Cut
from proxy.model.verdict import Reason
from proxy.observe.ledger import Counter, Totals
from tests.unit.edge.stage import Client, Stage, get, post, run, stage
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Vendor, Visit

NOWHERE = get(b"/nowhere")
LONG = 5.0  # seconds, longer than anybody's grace


class Waiting:
    """A vendor that answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, visit: Visit) -> None:
        while await visit.request() is not None:
            await self.go.wait()
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def cuts(one: Stage) -> dict[Cut, int]:
    """What was counted, without the zeros."""
    return {why: count for why, count in Totals([one.book.row]).cuts().items() if count}


async def guests(one: Stage, number: int, peer: str = "127.0.0.1") -> list[Client]:
    """So many connections, each known to the gateway before the next one comes."""
    made = []
    for _ in range(number):
        before = one.book.read(Counter.CONNECTIONS_ACCEPTED)
        client = await Client.connect(one.port, local=peer)
        one.clients.append(client)
        made.append(client)
        await eventually(lambda: one.book.read(Counter.CONNECTIONS_ACCEPTED) > before)  # noqa: B023
    return made


def wait_long(one: Stage) -> None:
    """As if all of them had been as they are for long, the first for longest."""
    here = one.gateway.clients()
    for number, client in enumerate(here):
        client.deadline -= LONG + (len(here) - number) * 0.001
        if isinstance(client, ClientConnection):
            client._body_began -= LONG


async def refused(client: Client) -> tuple[int, str | None]:
    """What one is told who asked nothing."""
    answer = await client.answer(b"GET")
    assert answer.all("connection") == ["close"]
    return answer.status, answer.one("x-gateway-reason")


async def serves(*clients: Client) -> None:
    for client in clients:
        assert (await client.ask(NOWHERE)).status == 404


def test_the_one_that_is_idle_longest_makes_room() -> None:
    async def main() -> None:
        async with stage(limits={"connections": 3}) as one:
            first, second, third = await guests(one, 3)
            await serves(second, first, third)
            wait_long(one)
            second_longest, longest = one.gateway.clients()[1:]
            longest.deadline -= LONG
            (fourth,) = await guests(one, 1)
            assert await third.until_closed() == b""
            await serves(first, second, fourth)
            assert cuts(one) == {Cut.IDLE: 1}
            assert one.book.read(Counter.CONNECTIONS_REFUSED) == 0
            assert second_longest in one.gateway.clients()

    run(main)


def test_who_has_only_just_come_or_been_answered_is_no_idler() -> None:
    async def main() -> None:
        async with stage(limits={"connections": 2}) as one:
            first, second = await guests(one, 2)
            wait_long(one)
            await serves(first)  # has asked just now
            (third,) = await guests(one, 1)
            assert await second.until_closed() == b""
            (fourth,) = await guests(one, 1)
            assert await refused(fourth) == (503, "too_many_connections")
            await serves(first, third)
            assert cuts(one) == {Cut.IDLE: 1}
            assert one.book.read(Counter.CONNECTIONS_REFUSED) == 1

    run(main)


def test_of_a_flood_even_a_newcomer_makes_room_for_one_from_elsewhere() -> None:
    async def main() -> None:
        async with stage(limits={"connections": 6}) as one:
            (kept,) = await guests(one, 1, "127.0.0.3")
            await serves(kept)
            flood = await guests(one, 5, "127.0.0.2")
            (visitor,) = await guests(one, 1)
            assert await flood[0].until_closed() == b""
            await serves(kept, visitor, *flood[1:])
            (more,) = await guests(one, 1, "127.0.0.2")
            assert await refused(more) == (503, "too_many_connections")
            assert cuts(one) == {Cut.IDLE: 1}

    run(main)


def test_a_request_in_hand_is_never_given_up() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting), limits={"connections": 2}) as one:
            busy = await guests(one, 2)
            for client in busy:
                await client.send(post(b"abc"))
            await eventually(lambda: one.gateway.exchanges == 2)
            wait_long(one)
            (late,) = await guests(one, 1)
            assert await refused(late) == (503, "too_many_connections")
            waiting.go.set()
            for client in busy:
                assert (await client.answer()).status == 200
            assert cuts(one) == {}

    run(main)


def test_an_idler_goes_before_one_whose_head_is_on_its_way_and_that_before_a_dripping_body() -> None:
    async def main() -> None:
        async with stage(limits={"connections": 3}) as one:
            dripping, beginning, idle = await guests(one, 3)
            await dripping.send(post(b"x", declared=1000))
            await beginning.send(NOWHERE[:20])
            await eventually(lambda: one.gateway.exchanges == 1)
            await eventually(lambda: any(c._fed for c in one.connections()))
            for gone, told, why in (
                (idle, None, Cut.IDLE),
                (beginning, (503, "too_many_connections"), Cut.HEAD),
                (dripping, (408, "body_timeout"), Cut.BODY),
            ):
                wait_long(one)
                newcomer = (await guests(one, 1))[0]
                if told is not None:
                    answer = await gone.answer()
                    assert (answer.status, answer.one("x-gateway-reason")) == told
                    gone.end()
                assert await gone.until_closed() == b""
                assert cuts(one)[why] == 1
                await newcomer.send(post(b"x" * 100, declared=200))  # enough for its age
                await eventually(lambda: one.gateway.exchanges >= 1)
                for connection in one.connections():
                    if connection._body_bytes == 100:
                        connection._body_bytes = 1 << 20
            assert {record.reason for record in one.book.records} == {
                Reason.TOO_MANY_CONNECTIONS,
                Reason.BODY_TIMEOUT,
            }

    run(main)


def test_one_idler_is_found_behind_many_who_are_busy() -> None:
    async def main() -> None:
        waiting = Waiting()
        number = LOOKED_AT + 5
        async with stage(Vendor(script=waiting), limits={"connections": number, "upstream_connecting": 100}) as one:
            clients = await guests(one, number)
            for client in clients[:-1]:
                await client.send(post(b"abc"))
            await eventually(lambda: one.gateway.exchanges == number - 1)
            wait_long(one)
            first, second = [(await guests(one, 1))[0] for _ in range(2)]
            assert await clients[-1].until_closed() == b""
            await serves(first)
            assert await refused(second) == (503, "too_many_connections")
            waiting.go.set()
            for client in clients[:-1]:
                assert (await client.answer()).status == 200

    run(main)


SHARE: dict[str, Any] = {"limits": {"connections_per_ip": 2}}


class TestAnAddress:
    def test_its_own_idler_makes_room_for_it(self) -> None:
        async def main() -> None:
            async with stage(**SHARE) as one:
                (other,) = await guests(one, 1, "127.0.0.2")
                first, second = await guests(one, 2)
                wait_long(one)
                (third,) = await guests(one, 1)
                assert await first.until_closed() == b""
                await serves(other, second, third)
                assert cuts(one) == {Cut.IDLE: 1}

        run(main)

    def test_beyond_that_it_is_told_so_and_nobody_else_is(self) -> None:
        async def main() -> None:
            async with stage(**SHARE) as one:
                both = await guests(one, 2)
                await serves(*both)
                (third,) = await guests(one, 1)
                assert await refused(third) == (429, "connections_per_ip")
                (other,) = await guests(one, 1, "127.0.0.2")
                await serves(other, *both)
                await both[0].close()
                await third.close()
                await eventually(lambda: one.gateway.connections == 2)
                await serves(*await guests(one, 1))

        run(main)

    @pytest.mark.parametrize(
        "settings",
        [
            {"limits": {"connections_per_ip": 0}},
            {"limits": {"connections_per_ip": 2}, "client_ip": {"trusted_proxies": ["127.0.0.0/8"]}},
        ],
    )
    def test_it_has_no_bound_where_that_is_off_and_where_it_is_a_proxys(self, settings: dict[str, Any]) -> None:
        async def main() -> None:
            async with stage(**settings) as one:
                await serves(*await guests(one, 5))
                assert one.gateway.room._homes == {}

        run(main)

    def test_in_ipv6_it_is_a_network(self) -> None:
        async def main() -> None:
            async with stage() as one:
                peers = (
                    "2001:db8:1:2::3",
                    "2001:db8:1:2:ffff::4",
                    "2001:db8:1:3::3",
                    "192.0.2.1",
                    "::ffff:192.0.2.1",
                    "",
                )
                homes = [one.gateway.home(one.gateway.headers.client(peer, False)) for peer in peers]
                assert homes == ["2001:db8:1:2::/64"] * 2 + ["2001:db8:1:3::/64"] + ["192.0.2.1"] * 2 + [""]

        run(main)

    def test_its_share_follows_a_reload(self) -> None:
        async def main() -> None:
            async with stage(**SHARE) as one:
                both = await guests(one, 2)
                one.reload(limits={"connections_per_ip": 3})
                one.port = await one.listen()
                third, fourth = await guests(one, 2)
                assert await refused(fourth) == (429, "connections_per_ip")
                await serves(*both, third)

        run(main)


class TestThoseWhoAreToldToGo:
    def test_they_are_cut_when_they_are_too_many_the_first_first(self) -> None:
        async def main() -> None:
            async with stage(limits={"lingering": 10}, timeouts={"linger": "60s"}) as one:
                staying = (await guests(one, 1))[0]
                told = await guests(one, 12)
                for client in told:
                    await client.send(b"garbage\r\n\r\n")
                    assert (await client.answer()).status == 400
                # Closed towards them all; those that were cut are no longer listened to either.
                await eventually(lambda: one.gateway.connections == 11)
                assert cuts(one) == {Cut.LINGERING: 2}
                await serves(staying)
                for client in told[2:]:
                    client.end()
                await eventually(lambda: one.gateway.connections == 1)

        run(main)

    def test_they_take_nobodys_place(self) -> None:
        async def main() -> None:
            async with stage(limits={"connections": 1, "lingering": 10}, timeouts={"linger": "60s"}) as one:
                for _ in range(5):
                    (client,) = await guests(one, 1)
                    await client.send(b"garbage\r\n\r\n")
                    assert (await client.answer()).status == 400
                await serves(*await guests(one, 1))
                assert cuts(one) == {}

        run(main)

    def test_a_flood_that_is_refused_leaves_no_more_behind_than_may_linger(self) -> None:
        async def main() -> None:
            async with stage(limits={"connections": 1, "lingering": 10}, timeouts={"linger": "60s"}) as one:
                (first,) = await guests(one, 1)
                await serves(first)
                flood = [await Client.connect(one.port) for _ in range(50)]
                one.clients += flood
                await eventually(lambda: one.book.read(Counter.CONNECTIONS_REFUSED) == 50)
                await eventually(lambda: one.gateway.connections == 11)
                for client in flood[-10:]:  # who came last has its answer whole
                    assert await refused(client) == (503, "too_many_connections")
                await serves(first)

        run(main)
