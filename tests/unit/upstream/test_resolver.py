"""Proves that names are asked for in bounds, that callers share a question, that an outage of the name server does not
become a flood of questions, that the last good addresses outlive it, and that an address which failed is tried last."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.resolver import ADDRESSES, PAUSE, PENALTY, STALE, Addresses, Resolver, Unresolvable
from tests.unit.upstream.names import Names, names_loop, run_with


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def resolver(clock: Clock, lifetime: float = 30.0) -> Resolver:
    return Resolver("vendor.example", 443, lifetime, clock)


def test_a_name_is_asked_once_for_its_lifetime() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        for now in (1000.0, 1029.9, 1030.0, 1059.9):
            clock.now = now
            assert await one.order() == ["192.0.2.1"]

    run_with(names, main)
    assert names.questions == [("vendor.example", 443)] * 2


def test_callers_at_the_same_time_share_one_question() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        names.gate = asyncio.Event()
        one = resolver(clock)
        callers = [asyncio.create_task(one.order()) for _ in range(20)]
        await asyncio.sleep(0)
        assert not one.due
        names.gate.set()
        assert await asyncio.gather(*callers) == [["192.0.2.1"]] * 20

    run_with(names, main)
    assert len(names.questions) == 1


def test_a_caller_that_leaves_does_not_take_the_answer_from_the_others() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        names.gate = asyncio.Event()
        one = resolver(clock)
        first, second, third = (asyncio.create_task(one.order()) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        names.gate.set()
        assert await first == await third == ["192.0.2.1"]
        assert second.cancelled()

    run_with(names, main)
    assert len(names.questions) == 1


def test_when_the_one_who_asks_leaves_the_others_still_get_the_answer() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        names.gate = asyncio.Event()
        one = resolver(clock)
        first, second = asyncio.create_task(one.order()), asyncio.create_task(one.order())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        names.gate.set()
        assert await second == ["192.0.2.1"]

    run_with(names, main)
    assert len(names.questions) == 1


def test_an_answer_that_nobody_could_wait_for_is_there_for_the_next_who_asks() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        names.gate = asyncio.Event()
        one = resolver(clock)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await one.order()
        names.gate.set()
        assert await one.order() == ["192.0.2.1"]

    run_with(names, main)
    assert len(names.questions) == 1


def test_a_name_that_nobody_knows_is_an_error() -> None:
    names, clock = Names(None), Clock()

    async def main() -> None:
        with pytest.raises(Unresolvable, match=r"vendor\.example"):
            await resolver(clock).order()

    run_with(names, main)


def test_a_failing_name_server_does_not_take_the_addresses_away() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.answer = None
        clock.now += 30.0
        assert await one.order() == ["192.0.2.1"]
        assert len(names.questions) == 2
        clock.now += PAUSE - 0.1  # soon again, but not for every connection
        assert await one.order() == ["192.0.2.1"]
        assert len(names.questions) == 2
        clock.now += 0.1
        names.answer = ["192.0.2.2"]
        assert await one.order() == ["192.0.2.2"]

    run_with(names, main)


def test_a_name_whose_addresses_are_in_doubt_is_asked_again_soon_but_not_for_every_connection() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.answer = ["192.0.2.2"]
        clock.now += PAUSE - 0.1
        one.doubt()
        assert await one.order() == ["192.0.2.1"]
        clock.now += 0.1
        assert await one.order() == ["192.0.2.2"]
        clock.now += 29.9  # what is not in doubt has its whole lifetime
        assert await one.order() == ["192.0.2.2"]
        assert len(names.questions) == 2

    run_with(names, main)


def test_doubt_in_an_outage_of_the_name_server_is_no_flood_of_questions() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.answer = None
        clock.now += 10.0
        for _ in range(50):
            one.doubt()
            assert await one.order() == ["192.0.2.1"]
        assert len(names.questions) == 2

    run_with(names, main)


@pytest.mark.parametrize("answer", [None, []])
def test_an_outage_of_the_name_server_is_no_flood_of_questions(answer: list[str] | None) -> None:
    names, clock = Names(answer), Clock()

    async def main() -> None:
        one = resolver(clock)
        names.gate = asyncio.Event()
        waiting = [asyncio.create_task(one.order()) for _ in range(50)]
        await asyncio.sleep(0)
        names.gate.set()
        refused = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in refused] == [Unresolvable] * 50
        for _ in range(50):
            with pytest.raises(Unresolvable):
                await one.order()
        assert len(names.questions) == 1
        clock.now += PAUSE
        names.answer = ["192.0.2.1"]
        assert await one.order() == ["192.0.2.1"]
        assert len(names.questions) == 2

    run_with(names, main)


def test_while_nothing_is_known_those_who_come_late_wait_for_the_question_under_way() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        names.gate = asyncio.Event()
        one = resolver(clock)
        first = asyncio.create_task(one.order())
        await asyncio.sleep(0)
        clock.now += 100.0
        second = asyncio.create_task(one.order())
        await asyncio.sleep(0)
        names.gate.set()
        assert await first == await second == ["192.0.2.1"]

    run_with(names, main)
    assert len(names.questions) == 1


def test_a_name_server_that_does_not_answer_holds_nobody_who_has_addresses() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.gate = asyncio.Event()
        clock.now += 30.0
        for _ in range(20):  # the first waits for a moment, the others not at all
            assert await one.order() == ["192.0.2.1"]
        assert len(names.questions) == 2
        names.answer = ["192.0.2.2"]
        names.gate.set()
        await one.refresh()
        assert await one.order() == ["192.0.2.2"]

    run_with(names, main)
    assert len(names.questions) == 2


def test_addresses_that_nobody_has_confirmed_for_long_are_not_used() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.answer = None
        clock.now += STALE - 1.0
        assert await one.order() == ["192.0.2.1"]
        clock.now += 1.0
        with pytest.raises(Unresolvable):
            await one.order()
        assert one.addresses.known == ("192.0.2.1",)  # connections to it that are open stay
        names.answer = ["192.0.2.1"]
        clock.now += PAUSE
        assert await one.order() == ["192.0.2.1"]

    run_with(names, main)


def test_an_empty_answer_does_not_take_the_addresses_away() -> None:
    names, clock = Names(["192.0.2.1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        await one.order()
        names.answer = []
        clock.now += 30.0
        assert await one.order() == ["192.0.2.1"]

    run_with(names, main)


def test_an_address_that_is_listed_twice_is_tried_once() -> None:
    names, clock = Names(["192.0.2.1", "192.0.2.1", "2001:db8::1"]), Clock()

    async def main() -> None:
        one = resolver(clock)
        assert sorted(await one.order()) == ["192.0.2.1", "2001:db8::1"]

    run_with(names, main)


def test_the_real_resolver_knows_the_loopback() -> None:
    async def main() -> None:
        assert await Resolver("127.0.0.1", 80, 1.0, Clock()).order() == ["127.0.0.1"]

    asyncio.run(main())


def test_every_address_has_its_turn() -> None:
    addresses = Addresses()
    addresses.learn(("a", "b", "c"), 0.0)
    assert {tuple(addresses.order(0.0)) for _ in range(3)} == {("a", "b", "c"), ("b", "c", "a"), ("c", "a", "b")}


def test_an_address_that_failed_is_tried_last_for_a_while() -> None:
    addresses = Addresses()
    addresses.learn(("a", "b", "c"), 0.0)
    addresses.failed["b"] = 100.0
    assert all(addresses.order(100.0 + PENALTY - 0.1)[-1] == "b" for _ in range(6))
    assert {addresses.order(100.0 + PENALTY)[0] for _ in range(6)} == {"a", "b", "c"}


def test_when_all_have_failed_all_are_tried() -> None:
    addresses = Addresses()
    addresses.learn(("a", "b"), 0.0)
    addresses.failed.update(a=1.0, b=2.0)
    assert sorted(addresses.order(3.0)) == ["a", "b"]


def test_what_is_known_is_bounded_and_old_failures_are_forgotten() -> None:
    addresses = Addresses()
    addresses.learn(tuple(f"192.0.2.{n}" for n in range(100)), 0.0)
    assert len(addresses.order(0.0)) == ADDRESSES
    for n in range(100):
        addresses.failed[f"192.0.2.{n}"] = 0.0
    addresses.learn(("192.0.2.3", "192.0.2.200"), 1.0)
    assert addresses.failed == {"192.0.2.3": 0.0}


def test_nothing_known_is_nothing_to_try() -> None:
    assert Addresses().order(0.0) == []


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 30)),
    st.floats(0, 40),
    st.integers(0, 20),
)
def test_an_order_is_all_addresses_with_the_failed_ones_last(
    known: list[str], failed: dict[str, float], now: float, turn: int
) -> None:
    addresses = Addresses(tuple(known), 0.0, failed, turn)
    order = addresses.order(now)
    assert sorted(order) == sorted(known)
    punished = [now - failed.get(address, -1e9) < PENALTY for address in order]
    assert punished == sorted(punished)


def test_the_question_is_for_streams_only() -> None:
    async def main() -> None:
        await resolver(Clock()).order()

    names = Names(["192.0.2.1"])
    with asyncio.Runner(loop_factory=names_loop(names)) as runner:
        runner.run(main())
    assert names.kinds == [socket.SOCK_STREAM]
