"""Proves that a failing upstream is left alone, that probes come one at a time, and that a lost probe does not keep the
breaker open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.breaker import Breaker, State, Transition

PAUSE = 1.0


def opened(failures: int = 3) -> Breaker:
    breaker = Breaker(failures, PAUSE)
    for _ in range(failures):
        breaker.failed(0.0)
    assert breaker.state is State.OPEN
    return breaker


def test_it_opens_at_the_last_of_the_failures_in_a_row() -> None:
    breaker = Breaker(3, PAUSE)
    assert [breaker.failed(0.0) for _ in range(3)] == [None, None, Transition.OPENED]
    assert not breaker.permits(0.0)


def test_an_answer_in_between_starts_the_count_again() -> None:
    breaker = Breaker(3, PAUSE)
    for _ in range(10):
        assert breaker.failed(0.0) is None
        assert breaker.failed(0.0) is None
        assert breaker.succeeded(0.0) is None
    assert breaker.permits(0.0)


def test_it_stays_open_for_the_pause() -> None:
    breaker = opened()
    assert not breaker.permits(PAUSE - 0.001)
    assert breaker.permits(PAUSE)
    assert breaker.state is State.HALF_OPEN


def test_only_one_probe_is_under_way() -> None:
    breaker = opened()
    assert breaker.permits(PAUSE)
    assert not breaker.permits(PAUSE)
    assert not breaker.permits(PAUSE + 0.999)


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.permits(PAUSE)
    assert breaker.succeeded(PAUSE + 0.1) is Transition.CLOSED
    assert all(breaker.permits(PAUSE + 0.1) for _ in range(5))


def test_after_closing_the_count_begins_at_nothing() -> None:
    breaker = opened(3)
    breaker.permits(PAUSE)
    breaker.succeeded(PAUSE)
    assert [breaker.failed(PAUSE) for _ in range(3)] == [None, None, Transition.OPENED]


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    breaker = opened()
    breaker.permits(PAUSE)
    assert breaker.failed(PAUSE + 0.5) is Transition.REOPENED
    assert not breaker.permits(PAUSE + 1.4)
    assert breaker.permits(PAUSE + 1.5)


def test_a_probe_that_never_reports_is_forgotten() -> None:
    breaker = opened()
    for number in range(1, 5):
        assert breaker.permits(number * PAUSE)
        assert not breaker.permits(number * PAUSE + 0.5)


def test_failures_of_requests_sent_before_it_opened_do_not_prolong_the_pause() -> None:
    breaker = opened()
    assert breaker.failed(0.9) is None
    assert breaker.permits(PAUSE)


def test_an_answer_to_a_request_sent_before_it_opened_closes_it() -> None:
    breaker = opened()
    assert breaker.succeeded(0.5) is Transition.CLOSED
    assert breaker.permits(0.5)


def test_only_a_breaker_without_failures_is_untroubled() -> None:
    breaker = Breaker(2, PAUSE)
    seen = [breaker.troubled]
    for step in (breaker.failed, breaker.failed, breaker.permits, breaker.succeeded):
        step(PAUSE)
        seen.append(breaker.troubled)
    assert seen == [False, True, True, True, False]


def test_a_single_failure_can_be_enough() -> None:
    assert Breaker(1, PAUSE).failed(0.0) is Transition.OPENED


def test_switched_off_it_never_opens() -> None:
    breaker = Breaker(0, PAUSE)
    assert [breaker.failed(0.0) for _ in range(100)] == [None] * 100
    assert breaker.permits(0.0)
    assert breaker.succeeded(0.0) is None


# Multiples of 1/64 s add up without rounding, so that a pause can be compared exactly.
waits = st.integers(0, 128).map(lambda ticks: ticks / 64)
steps = st.lists(st.tuples(st.sampled_from(["permits", "succeeded", "failed"]), waits), max_size=60)


@given(steps, st.integers(1, 4))
def test_while_it_is_not_closed_at_most_one_request_per_pause_passes(
    steps: list[tuple[str, float]], failures: int
) -> None:
    breaker, now, last_probe = Breaker(failures, PAUSE), 0.0, -PAUSE
    for step, wait in steps:
        now += wait
        closed_before = breaker.state is State.CLOSED
        if step != "permits":
            getattr(breaker, step)(now)
        elif breaker.permits(now) and not closed_before:
            assert now - last_probe >= PAUSE
            last_probe = now
        if breaker.state is State.CLOSED:
            last_probe = -PAUSE


@given(steps, st.integers(1, 4))
def test_a_transition_is_told_exactly_when_the_state_changes(steps: list[tuple[str, float]], failures: int) -> None:
    breaker, now = Breaker(failures, PAUSE), 0.0
    for step, wait in steps:
        now += wait
        before = breaker.state
        told = getattr(breaker, step)(now)
        if step == "permits":
            assert breaker.state in (before, State.HALF_OPEN)
        else:
            assert (told is not None) == (breaker.state is not before)
            assert told in (None, {State.CLOSED: Transition.CLOSED}.get(breaker.state, told))


@given(steps, st.integers(1, 4))
def test_it_never_stays_shut_for_longer_than_the_pause(steps: list[tuple[str, float]], failures: int) -> None:
    breaker, now = Breaker(failures, PAUSE), 0.0
    for step, wait in steps:
        now += wait
        getattr(breaker, step)(now)
    assert breaker.permits(now + PAUSE)


@pytest.mark.parametrize("state", list(State))
def test_states_have_names_for_metrics(state: State) -> None:
    assert state.value == state.name.lower()
