"""Proves that every kind of failure has its consequences, and that none of them loses or doubles an upload."""

from __future__ import annotations

import re

import pytest

from proxy.model.failure import FAILURES, FailureKind, Retry, Source

# One more try by the SDK; any other status or an unreadable answer is final.
SENT_AGAIN = {408, 429, 499, 500, 502, 503, 504}
NOTHING_WAS_SENT = (FailureKind.RESOLVE, FailureKind.CONNECT_REFUSED, FailureKind.CONNECT_ERROR)
MAY_HAVE_DELIVERED = (
    FailureKind.UPSTREAM_TIMEOUT,
    FailureKind.UPSTREAM_STALLED,
    FailureKind.BAD_ANSWER,
    FailureKind.ANSWER_TOO_LARGE,
    FailureKind.TRUNCATED_ANSWER,
)


def test_every_kind_is_in_the_table_and_nothing_else() -> None:
    assert set(FAILURES) == set(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_kinds_are_labels(kind: FailureKind) -> None:
    assert re.fullmatch(r"[a-z_]+", kind.value)
    assert kind.value == kind.name.lower()


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_is_answered_with_what_the_sdk_sends_again(kind: FailureKind) -> None:
    assert FAILURES[kind].status in SENT_AGAIN


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_is_never_a_500_and_blames_the_right_side(kind: FailureKind) -> None:
    failure = FAILURES[kind]
    assert failure.status != 500
    assert (failure.status < 500) == (failure.source is Source.CLIENT)


@pytest.mark.parametrize("kind", FailureKind)
def test_an_outage_says_when_to_come_back(kind: FailureKind) -> None:
    failure = FAILURES[kind]
    assert (failure.retry_after >= 1) == (failure.source is not Source.CLIENT)


@pytest.mark.parametrize(
    "kind", [kind for kind in FailureKind if "timeout" in kind.value and FAILURES[kind].source is Source.UPSTREAM]
)
def test_an_upstreams_timeout_is_a_504(kind: FailureKind) -> None:
    assert FAILURES[kind].status == 504


@pytest.mark.parametrize("kind", NOTHING_WAS_SENT)
def test_what_failed_before_anything_was_sent_may_be_repeated(kind: FailureKind) -> None:
    assert FAILURES[kind].retry is Retry.SAFE


@pytest.mark.parametrize("kind", MAY_HAVE_DELIVERED)
def test_what_may_have_been_delivered_is_never_repeated(kind: FailureKind) -> None:
    assert FAILURES[kind].retry is Retry.NEVER


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].source is not Source.UPSTREAM])
def test_what_is_not_the_upstreams_fault_is_not_tried_again_there(kind: FailureKind) -> None:
    assert FAILURES[kind].retry is Retry.NEVER


@pytest.mark.parametrize("kind", FailureKind)
def test_messages_and_log_levels_can_be_shown(kind: FailureKind) -> None:
    failure = FAILURES[kind]
    assert failure.message
    assert failure.message.isascii()
    assert failure.message.isprintable()
    assert failure.log_level in {"debug", "info", "warning", "error"}


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if FAILURES[kind].source is Source.CLIENT])
def test_a_client_that_leaves_alarms_nobody(kind: FailureKind) -> None:
    assert FAILURES[kind].log_level == "info"
