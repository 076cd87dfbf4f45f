"""The conductor of one request: which moment may follow which, and what each means for the record.

A pure state machine: the legal orders are one table, an order that is not in it is a bug and says
so. The pumps in `edge` and `upstream` tell it what happened; it answers what to do (retry or not)
and ends with exactly one Record. Must not know of sockets, bytes or clocks.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from proxy.model.failure import FAILURES, FailureKind, Source
from proxy.model.record import Outcome, Record
from proxy.model.verdict import Reason, Route
from proxy.policy.retry import may_retry


class Phase(IntEnum):
    """Where a request is. It stays ADMITTED while it waits for an upstream connection."""

    RECEIVED = 0
    ADMITTED = 1
    SENDING = 2
    RELAYING = 3
    OVER = 4


class Moment(IntEnum):
    """What can happen to a request."""

    ADMIT = 0
    CONNECTED = 1
    RETRY = 2
    ANSWER = 3
    END = 4


LEGAL: dict[tuple[Phase, Moment], Phase] = {
    (Phase.RECEIVED, Moment.ADMIT): Phase.ADMITTED,
    (Phase.RECEIVED, Moment.END): Phase.OVER,  # refused or answered here
    (Phase.ADMITTED, Moment.CONNECTED): Phase.SENDING,
    (Phase.ADMITTED, Moment.RETRY): Phase.ADMITTED,  # no connection was had
    (Phase.ADMITTED, Moment.ANSWER): Phase.RELAYING,  # somebody else's fetch, or a last known good answer
    (Phase.ADMITTED, Moment.END): Phase.OVER,
    (Phase.SENDING, Moment.RETRY): Phase.ADMITTED,  # the connection died unused
    (Phase.SENDING, Moment.ANSWER): Phase.RELAYING,
    (Phase.SENDING, Moment.END): Phase.OVER,
    (Phase.RELAYING, Moment.END): Phase.OVER,
}


# The same as a list, by 8 * phase + moment, and the members as plain integers: every request takes four steps, and
# looking a member up in its class costs more than the step.
_NEXT: Final[list[int]] = [-1] * 64
for _from, _moment in LEGAL:
    _NEXT[8 * _from + _moment] = int(LEGAL[_from, _moment])
_RECEIVED: Final = 0
_RELAYING: Final = 3
_OVER: Final = 4
_ADMIT: Final = 0
_CONNECTED: Final = 1
_RETRY: Final = 2
_ANSWER: Final = 3
_END: Final = 4
_DELIVERED: Final = Outcome.DELIVERED
_PREFLIGHT: Final = Outcome.PREFLIGHT


class IllegalOrder(Exception):
    """A moment came that can't follow: a bug in a pump."""


class Exchange:
    """One request, from its head to its record."""

    __slots__ = ("_phase", "record")

    def __init__(self, record: Record) -> None:
        self._phase: int = _RECEIVED
        self.record = record

    @property
    def phase(self) -> Phase:
        """Where the request is."""
        return Phase(self._phase)

    def admit(self, route: Route, region: str) -> None:
        """The request may pass."""
        self._advance(_ADMIT)
        self.record.route = route
        self.record.region = region

    def connected(self, now: float, reused: bool) -> None:
        """The request has an upstream connection, `reused` if it served others before."""
        self._advance(_CONNECTED)
        self.record.upstream_began = now
        self.record.reused = reused

    def retries(self, kind: FailureKind, *, body_held: bool) -> bool:
        """Whether to send the request once more after this failure; if so it waits for a connection again."""
        record = self.record
        again = self._phase < _RELAYING and may_retry(
            kind, already_retried=record.retried, reused=record.reused, answer_begun=False, body_held=body_held
        )
        if again:
            self._advance(_RETRY)
            record.retried = True
        return again

    def answer(self, status: int, upstream_status: int, skipped: int = 0) -> None:
        """A head goes out to the client; from here a failure can only abort."""
        self._advance(_ANSWER)
        self.record.status = status
        self.record.upstream_status = upstream_status
        self.record.skipped_code = skipped

    @property
    def answered(self) -> bool:
        """Whether a head is out."""
        return self._phase == _RELAYING

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._phase == _OVER

    def relayed(self, now: float) -> Record:
        """The upstream's answer went out whole."""
        record = self.record
        if record.upstream_status >= 400:
            outcome = Outcome.REFUSED
        elif record.skipped_code:
            outcome = Outcome.SKIPPED
        else:
            outcome = _DELIVERED
        return self._over(outcome, now)

    def served_stale(self, now: float) -> Record:
        """A last known good answer went out instead of the upstream's."""
        return self._over(Outcome.STALE, now)

    def preflighted(self, now: float) -> Record:
        """Answered here, as an OPTIONS request."""
        self.record.status = 204
        return self._over(_PREFLIGHT, now)

    def rejected(self, reason: Reason, status: int, now: float) -> Record:
        """Refused here. `status` is 0 when nothing could be said to the client; that of a head which is out stays."""
        self.record.reason = reason
        if not self.answered:
            self.record.status = status
        return self._over(Outcome.REJECTED, now)

    def failed(self, kind: FailureKind, now: float) -> Record:
        """Broken. The status stays that of the head that went out, if one did."""
        record = self.record
        record.failure = kind
        if not self.answered:
            record.status = 0 if FAILURES[kind].source is Source.CLIENT else FAILURES[kind].status
        return self._over(Outcome.CLIENT_GONE if kind is FailureKind.CLIENT_GONE else Outcome.FAILED, now)

    def _over(self, outcome: Outcome, now: float) -> Record:
        self._advance(_END)
        self.record.outcome = outcome
        self.record.ended = now
        return self.record

    def _advance(self, moment: int) -> None:
        following = _NEXT[8 * self._phase + moment]
        if following < 0:
            raise IllegalOrder(f"{Moment(moment).name} while {self.phase.name}")
        self._phase = following
