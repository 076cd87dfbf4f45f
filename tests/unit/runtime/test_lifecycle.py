"""Proves when a worker is started again, when the gateway gives up, and when it calls itself ready."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime.lifecycle import (
    FIRST_DELAY,
    LONGEST_DELAY,
    STABLE_SECONDS,
    Backoff,
    StartFailures,
    unready_reason,
)


def deaths(*lifetimes: float) -> list[float]:
    """The pauses after lives of these lengths."""
    backoff, now, delays = Backoff(), 1000.0, []
    for lifetime in lifetimes:
        backoff.started(now)
        now += lifetime
        delays.append(backoff.ended(now))
        now += delays[-1]
    return delays


def test_the_first_death_is_followed_by_a_start_at_once() -> None:
    assert deaths(1.0) == [0.0]


def test_dying_young_again_and_again_is_answered_with_growing_pauses() -> None:
    assert deaths(*[1.0] * 9) == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_long_life_ends_the_suspicion() -> None:
    assert deaths(1.0, 1.0, 1.0, STABLE_SECONDS, 1.0) == [0.0, FIRST_DELAY, 2 * FIRST_DELAY, 0.0, FIRST_DELAY]


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=50))
def test_no_pause_is_negative_or_longer_than_the_longest(lifetimes: list[float]) -> None:
    assert all(0.0 <= delay <= LONGEST_DELAY for delay in deaths(*lifetimes))


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=50))
def test_whoever_lived_long_is_started_at_once(lifetimes: list[float]) -> None:
    for lifetime, delay in zip(lifetimes, deaths(*lifetimes), strict=True):
        if lifetime > STABLE_SECONDS + 0.001:
            assert delay == 0.0


def test_one_failed_start_is_not_hopeless() -> None:
    assert not StartFailures().is_hopeless("no certificate")


def test_the_same_failure_twice_is_hopeless() -> None:
    failures = StartFailures()
    failures.is_hopeless("no certificate")
    assert failures.is_hopeless("no certificate")


def test_different_failures_are_not_hopeless() -> None:
    failures = StartFailures()
    assert not any(failures.is_hopeless(cause) for cause in ("no certificate", "killed", "no certificate", "killed"))


def test_not_ready_before_all_workers_were_once() -> None:
    reason = unready_reason(ready=1, workers=2, started=False, draining=False)
    assert reason == "starting: 1 of 2 workers are ready"


def test_ready_when_all_are() -> None:
    assert unready_reason(ready=2, workers=2, started=True, draining=False) is None


def test_a_dead_worker_among_others_does_not_take_the_gateway_out() -> None:
    assert unready_reason(ready=1, workers=2, started=True, draining=False) is None


def test_not_ready_when_no_worker_is() -> None:
    assert unready_reason(ready=0, workers=2, started=True, draining=False) == "no worker is ready"


def test_not_ready_when_the_spool_is_full_and_that_is_asked_for() -> None:
    reason = unready_reason(ready=2, workers=2, started=True, draining=False, is_spool_full=True)
    assert reason == "the spool is full: what is sent here now is not archived"


def test_not_ready_while_draining_whatever_else() -> None:
    reason = unready_reason(ready=2, workers=2, started=True, draining=True)
    assert reason is not None
    assert "draining" in reason
