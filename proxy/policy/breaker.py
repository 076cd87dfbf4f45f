"""Whether an upstream that keeps failing is left alone for a moment.

Consecutive failures open the breaker; after a pause one request at a time is let through as a probe,
and its outcome closes or opens it again. Must not know what counts as a failure, which upstream this
is, or who is told of a transition: transitions are returned.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What the breaker does with requests: passes all, none, or one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Transition(Enum):
    """A change worth telling; a closed list. The step from open to half-open is none: it is only a try."""

    OPENED = "opened"
    REOPENED = "reopened"  # a probe failed
    CLOSED = "closed"


class Breaker:
    """One upstream's breaker. Times are seconds of one monotonic clock; `failures` 0 switches it off."""

    __slots__ = ("_failed_in_a_row", "_failures", "_next_probe", "_open_seconds", "state")

    def __init__(self, failures: int, open_seconds: float) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._failed_in_a_row = 0
        self._next_probe = 0.0
        self.state = State.CLOSED

    @property
    def troubled(self) -> bool:
        """Whether there is anything that a success would change."""
        return self._failed_in_a_row > 0 or self.state is not State.CLOSED

    def permits(self, now: float) -> bool:
        """Whether a request may be sent now. In the open and half-open states a True is a probe."""
        if self.state is State.CLOSED:
            return True
        if now < self._next_probe:
            return False
        self.state = State.HALF_OPEN
        # A probe whose client leaves reports nothing; without a time limit it would keep the breaker open for ever.
        self._next_probe = now + self._open_seconds
        return True

    def succeeded(self, now: float) -> Transition | None:
        """A request was answered. Any answer closes, also to a request that was sent before the breaker opened:
        it is newer knowledge than the failures."""
        self._failed_in_a_row = 0
        if self.state is State.CLOSED:
            return None
        self.state = State.CLOSED
        return Transition.CLOSED

    def failed(self, now: float) -> Transition | None:
        """A request failed. In the open state that is old news (it was sent before) and does not prolong the pause."""
        if self.state is State.OPEN:
            return None
        if self.state is State.HALF_OPEN:
            return self._open(now, Transition.REOPENED)
        self._failed_in_a_row += 1
        if self._failures and self._failed_in_a_row >= self._failures:
            return self._open(now, Transition.OPENED)
        return None

    def _open(self, now: float, transition: Transition) -> Transition:
        self.state = State.OPEN
        self._next_probe = now + self._open_seconds
        return transition
