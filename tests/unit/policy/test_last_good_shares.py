"""Proves that no one client can push out the answers that visitors need: floods of invented questions before, after and
between real ones, from one network and from many, and that whoever holds least loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.last_good import DIGEST, LastGoodAnswers
from tests.unit.policy.test_last_good import BODY, answers, good, kept

SITE = [bytes([number]) * DIGEST for number in range(30)]


def visited(one: LastGoodAnswers, now: float) -> None:
    """A site's thirty ways to ask, each asked first by one of ten networks of its visitors."""
    for number, key in enumerate(SITE):
        one.store(key, good(BODY, now, asker=f"198.51.{number % 10}.0/24"))


def flood(one: LastGoodAnswers, now: float, count: int, *networks: str, times: int = 1) -> None:
    """Invented questions that the vendor answers well, each asked so many times."""
    for number in range(count):
        for _ in range(times):
            key = b"!" + number.to_bytes(DIGEST - 1, "big")
            one.store(key, good(BODY, now + number / 1000, asker=networks[number % len(networks)]))


@pytest.mark.parametrize("times", [1, 3])
def test_invented_questions_push_out_each_other_and_nothing_else(times: int) -> None:
    one = answers()
    visited(one, 0.0)
    flood(one, 10.0, 2000, "203.0.113.0/24", times=times)
    assert all(kept(one, key, 20.0) == BODY for key in SITE)


def test_invented_questions_that_came_first_make_room_for_real_ones() -> None:
    one = answers()
    flood(one, 0.0, 2000, "203.0.113.0/24")
    visited(one, 10.0)
    flood(one, 20.0, 2000, "203.0.113.0/24")
    assert all(kept(one, key, 30.0) == BODY for key in SITE)


def test_several_networks_push_out_nothing_either() -> None:
    one = answers()
    visited(one, 0.0)
    flood(one, 10.0, 4000, *(f"203.0.{number}.0/24" for number in range(50)))
    assert all(kept(one, key, 20.0) == BODY for key in SITE)


def test_one_who_asks_a_real_question_first_can_take_it_away_only_until_a_visitor_asks() -> None:
    one = answers()
    one.store(SITE[0], good(BODY, 0.0, asker="203.0.113.0/24"))
    flood(one, 1.0, 300, "203.0.113.0/24")
    assert kept(one, SITE[0], 2.0) is None
    one.store(SITE[0], good(BODY, 3.0, asker="198.51.100.0/24"))
    one.store(SITE[0], good(BODY, 4.0, asker="203.0.113.0/24"))  # does not become its own by being asked again
    flood(one, 5.0, 3000, "203.0.113.0/24")
    assert kept(one, SITE[0], 9.0) == BODY


def test_the_same_holds_for_what_other_workers_tell() -> None:
    one, other = answers(), answers(entries=10_000)
    visited(one, 0.0)
    for number in range(2000):
        # No faster than a worker tells.
        answer = good(BODY, 10.0 + number / 10, asker="203.0.113.0/24")
        entry = other.store(b"!" + number.to_bytes(DIGEST - 1, "big"), answer)
        assert entry is not None
        one.load(entry)
    assert all(kept(one, key, 210.0) == BODY for key in SITE)


def test_behind_one_address_the_answer_refreshed_longest_ago_goes() -> None:
    """So a gateway that does not know the proxy in front of it keeps what it always kept."""
    one = answers(entries=30)
    for round_ in range(3):
        for number, key in enumerate(SITE):
            one.store(key, good(BODY, round_ * 100.0 + number))
    flood(one, 300.0, 10, "192.0.2.0/24")
    assert [kept(one, key, 400.0) is not None for key in SITE] == [False] * 10 + [True] * 20


asks = st.tuples(st.sampled_from(["store", "store", "store", "load", "forget"]), st.integers(0, 9), st.integers(0, 3))


@given(st.lists(asks, max_size=80), st.integers(1, 6))
def test_who_holds_least_loses_nothing(asks: list[tuple[str, int, int]], entries: int) -> None:
    one, owners = answers(entries=entries), dict[bytes, int]()
    for now, (step, number, network) in enumerate(asks):
        key = bytes([number]) * DIGEST
        if step == "forget":
            one.forget(key)
            owners.pop(key, None)
            continue
        answer = good(BODY, float(now), asker=str(network))
        entry = answers().store(key, answer)
        assert entry is not None
        owners.setdefault(key, network)
        one.store(key, answer) if step == "store" else one.load(entry)
        gone = [each for each in owners if kept(one, each, float(now)) is None]
        assert len(gone) == (len(owners) > entries)
        for each in gone:
            held = list(owners.values())
            assert held.count(owners.pop(each)) == max(map(held.count, held))
