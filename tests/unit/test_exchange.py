"""Proves that a request can only go through its phases in the orders of the table, that it ends with exactly one
record, and that the record says what happened."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.exchange import LEGAL, Exchange, IllegalOrder, Moment, Phase
from proxy.model.failure import FAILURES, FailureKind, Retry, Source
from proxy.model.record import Outcome, Record
from proxy.model.verdict import REJECTIONS, Reason, Route

NOW = 7.0
Step = Callable[[Exchange], object]

# Every way to tell an exchange of a moment.
STEPS: dict[Moment, list[Step]] = {
    Moment.ADMIT: [lambda e: e.admit(Route.TRACK, "us")],
    Moment.CONNECTED: [lambda e: e.connected(NOW, False), lambda e: e.connected(NOW, True)],
    Moment.ANSWER: [lambda e: e.answer(200, 200), lambda e: e.answer(503, 503, 429)],
    Moment.END: [
        lambda e: e.relayed(NOW),
        lambda e: e.served_stale(NOW),
        lambda e: e.preflighted(NOW),
        lambda e: e.rejected(Reason.METHOD, 405, NOW),
        lambda e: e.failed(FailureKind.RESOLVE, NOW),
        lambda e: e.failed(FailureKind.CLIENT_GONE, NOW),
    ],
}
RETRY = FailureKind.CONNECT_REFUSED


def exchange() -> Exchange:
    return Exchange(Record(1.0, b"id", b"POST"))


def at(phase: Phase) -> Exchange:
    """An exchange that has come to a phase."""
    one = exchange()
    if phase >= Phase.ADMITTED:
        one.admit(Route.CONFIG, "eu")
    if phase in (Phase.SENDING, Phase.RELAYING):
        one.connected(2.0, True)
    if phase is Phase.RELAYING:
        one.answer(200, 200)
    if phase is Phase.OVER:
        one.rejected(Reason.METHOD, 405, 3.0)
    assert one.phase is phase
    return one


def cases(legal: bool) -> list[tuple[Phase, Moment, int]]:
    return [
        (phase, moment, number)
        for phase, (moment, steps) in product(Phase, STEPS.items())
        for number in range(len(steps))
        if ((phase, moment) in LEGAL) is legal
    ]


@pytest.mark.parametrize(("phase", "moment", "number"), cases(legal=False))
def test_an_order_that_is_not_in_the_table_is_a_bug_and_says_so(phase: Phase, moment: Moment, number: int) -> None:
    one = at(phase)
    with pytest.raises(IllegalOrder, match=f"{moment.name} while {phase.name}"):
        STEPS[moment][number](one)
    assert one.phase is phase


@pytest.mark.parametrize(("phase", "moment", "number"), cases(legal=True))
def test_a_legal_moment_leads_where_the_table_says(phase: Phase, moment: Moment, number: int) -> None:
    one = at(phase)
    STEPS[moment][number](one)
    assert one.phase is LEGAL[phase, moment]


def test_nothing_follows_the_end() -> None:
    assert not any(phase is Phase.OVER for phase, _ in LEGAL)
    assert {moment for _, moment in LEGAL} == set(Moment)
    assert set(LEGAL.values()) == set(Phase) - {Phase.RECEIVED}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.OVER])
def test_every_phase_can_end(phase: Phase) -> None:
    assert (phase, Moment.END) in LEGAL


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_a_request_is_repeated_only_if_that_cannot_deliver_it_twice(
    kind: FailureKind, reused: bool, held: bool
) -> None:
    one = at(Phase.ADMITTED)
    one.connected(2.0, reused)
    retry = FAILURES[kind].retry
    expected = held and (retry is Retry.SAFE or (retry is Retry.IF_REUSED and reused))
    assert one.retries(kind, body_held=held) is expected
    assert one.record.retried is expected
    assert one.phase is (Phase.ADMITTED if expected else Phase.SENDING)


def test_it_is_repeated_once() -> None:
    one = at(Phase.ADMITTED)
    assert one.retries(RETRY, body_held=True)
    assert not one.retries(RETRY, body_held=True)
    one.connected(2.0, True)
    assert not one.retries(FailureKind.UPSTREAM_CLOSED, body_held=True)


def test_the_second_connection_counts() -> None:
    one = at(Phase.ADMITTED)
    one.connected(2.0, True)
    assert one.retries(FailureKind.UPSTREAM_CLOSED, body_held=True)
    one.connected(3.0, False)
    assert (one.record.upstream_began, one.record.reused, one.record.retried) == (3.0, False, True)


@pytest.mark.parametrize("phase", [Phase.RELAYING, Phase.OVER])
@pytest.mark.parametrize("kind", FailureKind)
def test_nothing_is_repeated_once_an_answer_is_out(phase: Phase, kind: FailureKind) -> None:
    one = at(phase)
    assert not one.retries(kind, body_held=True)
    assert one.phase is phase
    assert not one.record.retried


@pytest.mark.parametrize(
    ("status", "skipped", "outcome"),
    [
        (200, 0, Outcome.DELIVERED),
        (204, 0, Outcome.DELIVERED),
        (304, 0, Outcome.DELIVERED),
        (399, 0, Outcome.DELIVERED),
        (400, 0, Outcome.REFUSED),
        (503, 0, Outcome.REFUSED),
        (200, 429, Outcome.SKIPPED),
        (200, -1, Outcome.SKIPPED),
        (429, 429, Outcome.REFUSED),  # "skipped" is what happens under a 2xx
    ],
)
def test_what_the_upstream_answered_decides_the_outcome(status: int, skipped: int, outcome: Outcome) -> None:
    one = at(Phase.SENDING)
    one.answer(status, status, skipped)
    record = one.relayed(NOW)
    assert (record.outcome, record.status, record.upstream_status) == (outcome, status, status)
    assert (record.skipped_code, record.reason, record.failure) == (skipped, None, None)


def test_a_stale_answer_has_no_upstream_status() -> None:
    one = at(Phase.ADMITTED)
    one.answer(200, 0)
    record = one.served_stale(NOW)
    assert (record.outcome, record.status, record.upstream_status) == (Outcome.STALE, 200, 0)


def test_a_preflight() -> None:
    record = exchange().preflighted(NOW)
    assert (record.outcome, record.status, record.upstream_began) == (Outcome.PREFLIGHT, 204, 0.0)


@pytest.mark.parametrize("reason", Reason)
def test_a_rejection_says_why(reason: Reason) -> None:
    record = exchange().rejected(reason, REJECTIONS[reason].status, NOW)
    assert (record.outcome, record.reason, record.status) == (Outcome.REJECTED, reason, REJECTIONS[reason].status)


def test_a_rejection_after_the_answers_head_does_not_unsay_it() -> None:
    record = at(Phase.RELAYING).rejected(Reason.BAD_FRAMING, 0, NOW)
    assert (record.outcome, record.status, record.upstream_status) == (Outcome.REJECTED, 200, 200)


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("phase", [Phase.RECEIVED, Phase.ADMITTED, Phase.SENDING])
def test_a_failure_before_the_answer_has_its_own_status(kind: FailureKind, phase: Phase) -> None:
    record = at(phase).failed(kind, NOW)
    expected = 0 if FAILURES[kind].source is Source.CLIENT else FAILURES[kind].status
    assert (record.failure, record.status, record.upstream_status) == (kind, expected, 0)
    assert record.outcome is (Outcome.CLIENT_GONE if kind is FailureKind.CLIENT_GONE else Outcome.FAILED)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_after_the_head_keeps_the_status_that_went_out(kind: FailureKind) -> None:
    record = at(Phase.RELAYING).failed(kind, NOW)
    assert (record.failure, record.status, record.upstream_status) == (kind, 200, 200)


def test_the_record_says_where_it_went_and_how_long_it_took() -> None:
    one = exchange()
    one.admit(Route.TRACK, "eu")
    one.connected(2.0, True)
    answered = [one.answered]
    one.answer(200, 200)
    answered.append(one.answered)
    record = one.relayed(NOW)
    answered.append(one.answered)
    assert record is one.record
    assert answered == [False, True, False]
    assert (record.route, record.region, record.method, record.request_id) == (Route.TRACK, "eu", b"POST", b"id")
    assert (record.began, record.upstream_began, record.ended, record.reused) == (1.0, 2.0, NOW, True)


moments = st.sampled_from([step for steps in STEPS.values() for step in steps])
retries = st.builds(
    lambda kind, held: lambda one: one.retries(kind, body_held=held), st.sampled_from(FailureKind), st.booleans()
)


@given(st.lists(moments | retries, max_size=30))
@settings(max_examples=500)
def test_in_any_order_there_is_at_most_one_record_and_one_repeat(steps: list[Step]) -> None:
    one, records, repeats = exchange(), 0, 0
    for step in steps:
        before = one.phase
        try:
            result = step(one)
        except IllegalOrder:
            assert one.phase is before
            continue
        records += isinstance(result, Record)
        repeats += result is True
    assert records == (one.phase is Phase.OVER)
    assert records <= 1
    assert repeats == one.record.retried
    assert (one.record.outcome is not None) == (records == 1)
