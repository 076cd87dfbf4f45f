"""When to restart a worker and when to call the gateway ready: decisions as values, `now` in, answers out.

Must not start, stop or signal anything.
"""

from __future__ import annotations

STABLE_SECONDS = 5.0  # a worker that lived this long failed for a reason of its own: its successor starts at once
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


class Backoff:
    """The pause before the next start of one worker: none at first, then doubling while it keeps dying young."""

    __slots__ = ("_began", "_delay")

    def __init__(self) -> None:
        self._began = 0.0
        self._delay = 0.0

    def started(self, now: float) -> None:
        """The worker was started at `now`."""
        self._began = now

    def ended(self, now: float) -> float:
        """It ended at `now`: the seconds to wait before it is started again."""
        delay = 0.0 if now - self._began >= STABLE_SECONDS else self._delay
        self._delay = min(max(delay * 2, FIRST_DELAY), LONGEST_DELAY)
        return delay


class StartFailures:
    """Whether the gateway can start at all: two failures in a row for the same cause say that it can't."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: str | None = None

    def is_hopeless(self, cause: str) -> bool:
        """A worker that was never ready ended for `cause`."""
        repeated, self._last = cause == self._last, cause
        return repeated


def unready_reason(
    *, ready: int, workers: int, started: bool, draining: bool, is_spool_full: bool = False
) -> str | None:
    """Why requests should not be sent here now; None when they should. During the start all workers are needed;
    later one is enough, since connections of one that restarts wait in its own queue."""
    if draining:
        return "draining: the gateway is shutting down"
    if not started:
        return f"starting: {ready} of {workers} workers are ready"
    if not ready:
        return "no worker is ready"
    return "the spool is full: what is sent here now is not archived" if is_spool_full else None
