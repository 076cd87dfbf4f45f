"""Proves that a gateway with other settings takes over without a request or a connection being lost: what is in hand
ends as it began, what comes next is served anew, and nothing is left of the former one."""

from __future__ import annotations

import asyncio

import pytest

from proxy.model.record import Outcome
from proxy.observe.ledger import Gauge
from tests.unit.edge.stage import AT_ONCE, CONFIG, JSON, get, ok, post, run, stage
from tests.unit.upstream.stage import eventually
from tests.unit.upstream.vendor import Vendor, Visit

SMALL = {"limits": {"body": 4}}
NOBODY = {"cors": {"allow_origins": ["https://other.example"], "foreign_origin": "refuse"}}


class Waiting:
    """A vendor that answers when it is told to, and counts its connections."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.visits = 0

    async def __call__(self, visit: Visit) -> None:
        self.visits += 1
        while await visit.request() is not None:
            await self.go.wait()
            visit.send(ok(JSON))


def test_an_idle_connection_is_served_by_the_new_settings_from_its_next_request_on() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            assert (await client.ask(post(b"abcdef"))).status == 200
            former = one.reload(**SMALL)
            assert (await client.ask(post(b"abcd"))).status == 200
            assert (await client.ask(post(b"abcdef"))).status == 413
            assert (former.connections, former.exchanges) == (0, 0)

    run(main)


def test_who_was_accepted_before_and_asks_first_afterwards_too() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            await eventually(lambda: one.gateway.connections == 1)
            one.reload(**NOBODY)
            assert (await client.ask(post(b"abc"))).status == 403

    run(main)


def test_who_was_on_the_way_to_the_former_one_is_the_new_ones() -> None:
    """As after a TLS handshake that took longer than the reload: the listener here still makes the former's."""

    async def main() -> None:
        async with stage() as one:
            one.reload(**NOBODY)
            former = one.reload(**SMALL)
            client = await one.client()
            assert (await client.ask(post(b"abcdef"))).status == 403
            assert (former.connections, one.gateway.connections) == (0, 1)

    run(main)


def test_an_upload_in_hand_is_carried_to_its_end_by_the_settings_it_began_with() -> None:
    async def main() -> None:
        async with stage(limits=AT_ONCE) as one:
            client = await one.client()
            request = post(b"abcdef")
            await client.send(request[:-3])
            await eventually(lambda: one.gateway.exchanges == 1)
            former = one.reload(**SMALL)
            assert one.gateway.in_hand == (1, 1)
            await client.send(request[-3:])
            answer = await client.answer()
            assert (answer.status, answer.all("connection")) == (200, [])
            assert (await client.ask(post(b"abcdef"))).status == 413
            await eventually(lambda: not one.gateway.has_predecessors)
            assert former.in_hand == (0, 0)
            assert [seen.body for seen in one.vendor.requests] == [b"abcdef"]

    run(main)


def test_what_is_pipelined_behind_it_is_served_anew() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            client = await one.client()
            await client.send(post(b"first") + post(b"second"))
            await eventually(lambda: one.gateway.exchanges == 1)
            one.reload(**SMALL)
            waiting.go.set()
            assert [(await client.answer()).status for _ in range(2)] == [200, 413]

    run(main)


def test_a_head_that_has_begun_is_read_to_its_end() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            request = post(b"abc")
            await client.send(request[:40])
            await eventually(lambda: any(c._buffer for c in one.connections()))
            one.reload(**NOBODY)
            await client.send(request[40:])
            assert (await client.answer()).status == 403

    run(main)


def test_connections_to_the_vendor_are_not_kept_for_nobody() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            waiting.go.set()
            client = await one.client()
            await client.ask(post(b"abc"))
            one.reload()
            await one.vendor.until(lambda: one.vendor.open == 0)
            await client.ask(post(b"abc"))
            assert waiting.visits == 2

    run(main)


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_last_good_configuration_goes_over_unless_the_upstreams_are_others(is_elsewhere: bool) -> None:
    async def main() -> None:
        waiting = Waiting()
        waiting.go.set()
        async with stage(Vendor(script=waiting)) as one:
            client = await one.client()
            assert (await client.ask(get(CONFIG))).status == 200
            changed = {**one._settings["upstreams"]["us"], "config": "http://127.0.0.1:9/config"}
            one.reload(**({"upstreams": {"us": changed, "eu": changed}} if is_elsewhere else {}))
            known = list(one.gateway.config_answers.last_good.entries())
            assert bool(known) is not is_elsewhere

    run(main)


def test_of_several_in_a_row_the_last_one_counts_and_all_are_told_of() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            clients = [await one.client() for _ in range(3)]
            for number, client in enumerate(clients):
                await client.send(post(b"abc"))
                await eventually(lambda: one.gateway.exchanges == 1)
                assert one.gateway.in_hand == (3, number + 1)
                one.reload()
            one.reload(**NOBODY)
            await eventually(lambda: one.book.read(Gauge.EXCHANGES) == 3)
            assert one.book.read(Gauge.CONNECTIONS) == 3
            waiting.go.set()
            for client in clients:
                assert (await client.answer()).status == 200
                assert (await client.ask(post(b"abc"))).status == 403
            await eventually(lambda: not one.gateway.has_predecessors)

    run(main)


def test_the_end_waits_for_what_the_former_one_has_in_hand() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            client = await one.client()
            await client.send(post(b"abc"))
            await eventually(lambda: one.gateway.exchanges == 1)
            one.reload()
            one.gateway.drain()
            assert one.gateway.in_hand == (1, 1)
            waiting.go.set()
            answer = await client.answer()
            assert (answer.status, answer.all("connection")) == (200, ["close"])
            assert await client.until_closed() == b""

    run(main)


def test_what_does_not_end_is_cut_at_the_former_one_too() -> None:
    async def main() -> None:
        async with stage(Vendor(script=Waiting())) as one:
            client = await one.client()
            await client.send(post(b"abc"))
            await eventually(lambda: one.gateway.exchanges == 1)
            one.reload()
            one.gateway.drain()
            one.gateway.abort()
            assert (await client.answer()).one("x-gateway-reason") == "drain_timeout"
            assert one.book.outcomes == {Outcome.FAILED: 1}

    run(main)


def test_who_leaves_meanwhile_is_gone_from_both() -> None:
    async def main() -> None:
        waiting = Waiting()
        async with stage(Vendor(script=waiting)) as one:
            client = await one.client()
            await client.send(post(b"abc"))
            await eventually(lambda: one.gateway.exchanges == 1)
            former = one.reload()
            client.reset()
            await eventually(lambda: former.connections == 0 and one.gateway.connections == 0)
            assert one.gateway.has_predecessors  # it still carries the upload to its end
            waiting.go.set()
            await eventually(lambda: not one.gateway.has_predecessors)
            assert one.book.outcomes == {Outcome.DELIVERED: 1}

    run(main)


def test_one_who_is_refused_and_still_sends_does_not_keep_the_former_one() -> None:
    async def main() -> None:
        async with stage(limits={"body": 4}) as one:
            client = await one.client()
            await client.send(post(b"abcdef", declared=1000))
            assert (await client.answer()).status == 413
            former = one.reload()
            await eventually(lambda: not one.gateway.has_predecessors)
            assert former.connections == 0

    run(main)
