"""Proves that a request is repeated at most once and only when the repeat cannot deliver it twice."""

from __future__ import annotations

from itertools import product

import pytest

from proxy.model.failure import FAILURES, FailureKind, Retry
from proxy.policy.retry import may_retry

SAFE = [kind for kind, failure in FAILURES.items() if failure.retry is Retry.SAFE]
NEVER = [kind for kind, failure in FAILURES.items() if failure.retry is Retry.NEVER]
IF_REUSED = [kind for kind, failure in FAILURES.items() if failure.retry is Retry.IF_REUSED]
BOOLEANS = (False, True)


@pytest.mark.parametrize("kind", SAFE)
@pytest.mark.parametrize("reused", BOOLEANS)
def test_what_was_never_sent_is_sent_once_more(kind: FailureKind, reused: bool) -> None:
    assert may_retry(kind, already_retried=False, reused=reused, answer_begun=False, body_held=True)


@pytest.mark.parametrize("kind", IF_REUSED)
def test_a_connection_that_died_idle_is_replaced(kind: FailureKind) -> None:
    assert may_retry(kind, already_retried=False, reused=True, answer_begun=False, body_held=True)


@pytest.mark.parametrize("kind", IF_REUSED)
def test_a_fresh_connection_that_died_may_have_delivered(kind: FailureKind) -> None:
    assert not may_retry(kind, already_retried=False, reused=False, answer_begun=False, body_held=True)


@pytest.mark.parametrize("kind", NEVER)
def test_a_failure_that_may_have_delivered_is_never_repeated(kind: FailureKind) -> None:
    for reused, held in product(BOOLEANS, BOOLEANS):
        assert not may_retry(kind, already_retried=False, reused=reused, answer_begun=False, body_held=held)


@pytest.mark.parametrize("kind", FailureKind)
def test_nothing_is_repeated_twice(kind: FailureKind) -> None:
    assert not may_retry(kind, already_retried=True, reused=True, answer_begun=False, body_held=True)


@pytest.mark.parametrize("kind", FailureKind)
def test_nothing_is_repeated_once_an_answer_has_begun(kind: FailureKind) -> None:
    assert not may_retry(kind, already_retried=False, reused=True, answer_begun=True, body_held=True)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_body_that_is_gone_cannot_be_repeated(kind: FailureKind) -> None:
    assert not may_retry(kind, already_retried=False, reused=True, answer_begun=False, body_held=False)


def test_only_one_kind_depends_on_reuse() -> None:
    assert IF_REUSED == [FailureKind.UPSTREAM_CLOSED]
