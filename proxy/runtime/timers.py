"""One coarse timer for all deadlines of a worker: a wheel whose entries move lazily.

Setting a deadline is an attribute; an entry changes its slot only when the new deadline comes
before the slot it waits in, or when that slot comes up too early. So a kept-alive connection
costs one move per few seconds, not one timer per request. Must not know what its entries are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.runtime.clock import monotonic

# The tightest default deadline is 700 ms (configuration); 100 ms late is still inside the SDK's second.
TICK: Final = 0.05
FAR: Final = float("inf")
# A turn that comes so many seconds late means that the process did not run: it was stopped, or others had its
# processor. What came in meanwhile is in the kernel's buffers, unread; a loop may call timers before it reads that.
BEHIND: Final = 0.25
# Entries due beyond the wheel's reach wait in its last slot and are looked at again.
_SLOTS: Final = 2048


class Timed:
    """Something with a deadline, in seconds of the monotonic clock."""

    __slots__ = ("deadline", "slot_tick")

    def __init__(self) -> None:
        self.deadline = FAR
        self.slot_tick = -1

    def expire(self, now: float) -> None:
        """Called once the deadline has passed; may set another one."""
        raise NotImplementedError

    def expire_failed(self) -> None:
        """Called when `expire` has raised: end without it, or nothing will, for there is no deadline any more."""


class TimerWheel:
    """Calls `expire` of entries whose deadline has passed: never early, at most two TICKs late while the loop is not
    busy. After a time in which the process did not run, one TICK passes first: what the other side did in time, and the
    loop could not see, is seen then and puts its deadline off. An exception from `expire` is reported to the loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        each_second: Callable[[float], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._loop = loop
        self._each_second = each_second
        self._clock = clock
        self._slots: list[dict[Timed, None]] = [{} for _ in range(_SLOTS)]
        self._now = clock()  # of the latest turn
        self._tick = int(self._now / TICK)
        self._worst_lag = 0.0
        self._is_catching_up = False
        self._handle = loop.call_later(TICK, self._turn)

    def set(self, entry: Timed, deadline: float) -> None:
        """Give an entry a deadline, entering it if it is not in the wheel yet."""
        entry.deadline = deadline
        if entry.slot_tick < 0:
            self._place(entry)
        elif deadline < entry.slot_tick * TICK:
            # Absent while its slot is being looked through.
            self._slots[entry.slot_tick % _SLOTS].pop(entry, None)
            self._place(entry)

    @property
    def now(self) -> float:
        """Monotonic seconds of the latest turn: a clock that costs nothing and is up to two TICKs slow."""
        return self._now

    def after(self, entry: Timed, seconds: float) -> None:
        """Give an entry a deadline so many seconds from now, up to two TICKs more; for patience, not for promises.
        No clock is read: while the loop is busy with one turn for longer than a TICK, it is early by as much."""
        self.set(entry, self._now + TICK + seconds)

    def remove(self, entry: Timed) -> None:
        """Forget an entry; does nothing if it isn't here."""
        if entry.slot_tick >= 0:
            self._slots[entry.slot_tick % _SLOTS].pop(entry, None)
            entry.slot_tick = -1

    def take_lag(self) -> float:
        """Seconds by which the latest of the turns since the last call came late: how long others waited, too."""
        lag, self._worst_lag = self._worst_lag, 0.0
        return lag

    def close(self) -> None:
        """Stop turning."""
        self._handle.cancel()

    def _place(self, entry: Timed) -> None:
        farthest = self._tick + _SLOTS - 1
        due = farthest if entry.deadline == FAR else int(entry.deadline / TICK) + 1
        entry.slot_tick = min(max(due, self._tick + 1), farthest)
        self._slots[entry.slot_tick % _SLOTS][entry] = None

    def _turn(self) -> None:
        now = self._clock()
        lag = now - self._now - TICK
        self._worst_lag = max(self._worst_lag, lag)
        self._now = now
        self._handle = self._loop.call_later(TICK, self._turn)
        # Never twice in a row: a loop that is always late has deadlines, too.
        self._is_catching_up = lag > BEHIND and not self._is_catching_up
        if self._is_catching_up:
            return
        last, self._tick = self._tick, int(now / TICK)
        if int(last * TICK) != int(self._tick * TICK):
            self._call(self._each_second, now)
        # After a pause longer than a whole turn every slot is due once.
        for tick in range(max(last, self._tick - _SLOTS) + 1, self._tick + 1):
            self._turn_slot(tick, now)

    def _turn_slot(self, tick: int, now: float) -> None:
        slot = self._slots[tick % _SLOTS]
        if not slot:
            return
        self._slots[tick % _SLOTS] = {}
        for entry in slot:
            if entry.slot_tick < 0:
                continue  # removed by an entry that expired before it
            entry.slot_tick = -1
            if entry.deadline > now:
                self._place(entry)
            else:
                entry.deadline = FAR
                self._place(entry)
                self._expire(entry, now)

    def _expire(self, entry: Timed, now: float) -> None:
        try:
            entry.expire(now)
        except Exception as error:
            self._report(error)
            try:
                entry.expire_failed()
            except Exception as another:
                self._report(another)

    def _call(self, due: Callable[[float], None], now: float) -> None:
        """What one of them raises must not cost the others their deadlines."""
        try:
            due(now)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a deadline's callback failed", "exception": error})
