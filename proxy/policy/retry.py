"""Whether a failed request is sent to the upstream once more.

Read from the failure table: a repeat must not be able to deliver the same upload twice, and there is
at most one. Must not know how a request is sent or how much time is left.
"""

from __future__ import annotations

from typing import assert_never

from proxy.model.failure import FAILURES, FailureKind, Retry


def may_retry(
    failure: FailureKind, *, already_retried: bool, reused: bool, answer_begun: bool, body_held: bool
) -> bool:
    """`reused`: the connection had carried a request before; `answer_begun`: a byte of an answer came;
    `body_held`: all that was received of the body is still in memory, so that it can be sent again."""
    if already_retried or answer_begun or not body_held:
        return False
    retry = FAILURES[failure].retry
    match retry:
        case Retry.NEVER:
            return False
        case Retry.SAFE:
            return True
        case Retry.IF_REUSED:
            return reused
    assert_never(retry)
