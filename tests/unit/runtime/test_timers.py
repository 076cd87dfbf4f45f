"""Proves that no deadline passes unnoticed and none is called early, whatever is moved, removed or raised while the
wheel turns, and however long the loop was kept from turning it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.runtime.clock import monotonic
from proxy.runtime.timers import FAR, TICK, Timed, TimerWheel

LATE = 2 * TICK  # how late a callback may come when the wheel is turned every TICK
TURN = 2048 * TICK


class Loop:
    """The part of an event loop that a wheel uses, and a clock that moves when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.failures: list[Exception] = []
        self._timer: tuple[float, Callable[[], None]] | None = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> Loop:
        self._timer = (self.now + delay, callback)
        return self

    def cancel(self) -> None:
        self._timer = None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context["exception"])

    def wait(self, seconds: float) -> None:
        """Let time pass, turning the wheel whenever it asked for that."""
        ends = self.now + seconds
        while self._timer is not None and self._timer[0] <= ends:
            due, callback = self._timer
            self.now, self._timer = max(self.now, due), None
            callback()
        self.now = ends

    def freeze(self, seconds: float) -> None:
        """Let time pass while the loop does not run, then turn, and once more after a TICK."""
        self.now += seconds
        self.wait(0)
        self.wait(TICK)


class Alarm(Timed):
    """Notes when it was called, and then does something."""

    def __init__(self, then: Callable[[float], object] | None = None) -> None:
        super().__init__()
        self.calls: list[float] = []
        self._then = then

    def expire(self, now: float) -> None:
        self.calls.append(now)
        if self._then:
            self._then(now)


def wheel(loop: Loop, each_second: Callable[[float], None] = lambda now: None) -> TimerWheel:
    return TimerWheel(cast(asyncio.AbstractEventLoop, loop), each_second, lambda: loop.now)


def held(one: TimerWheel) -> int:
    """How many places in the wheel are taken."""
    return sum(len(slot) for slot in one._slots)


def test_a_deadline_is_called_once_and_in_time() -> None:
    loop = Loop()
    alarm = Alarm()
    wheel(loop).set(alarm, 1001.0)
    loop.wait(1.0)
    assert alarm.calls == []
    loop.wait(LATE)
    assert len(alarm.calls) == 1
    assert 1001.0 <= alarm.calls[0] <= 1001.0 + LATE
    loop.wait(2 * TURN)
    assert len(alarm.calls) == 1


def test_a_deadline_in_the_past_is_called_with_the_next_turn() -> None:
    loop = Loop()
    alarm = Alarm()
    wheel(loop).set(alarm, 1.0)
    loop.wait(LATE)
    assert len(alarm.calls) == 1


def test_a_later_deadline_replaces_an_earlier_one() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    one.set(alarm, 1001.0)
    one.set(alarm, 1005.0)
    loop.wait(5.0)
    assert alarm.calls == []
    loop.wait(LATE)
    assert len(alarm.calls) == 1


def test_an_earlier_deadline_replaces_a_later_one() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    for deadline in (1090.0, 1050.0, 1001.0):
        one.set(alarm, deadline)
    loop.wait(1.0 + LATE)
    assert len(alarm.calls) == 1
    assert held(one) == 1


def test_no_deadline_at_all_is_never_called() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    one.set(alarm, 1001.0)
    one.set(alarm, FAR)
    loop.wait(3 * TURN)
    assert alarm.calls == []
    one.set(alarm, loop.now + 1.0)
    loop.wait(1.0 + LATE)
    assert len(alarm.calls) == 1


def test_a_deadline_beyond_the_wheels_reach_comes_in_its_time() -> None:
    loop = Loop()
    alarm = Alarm()
    wheel(loop).set(alarm, 1000.0 + 3.5 * TURN)
    loop.wait(3.5 * TURN)
    assert alarm.calls == []
    loop.wait(LATE)
    assert len(alarm.calls) == 1


def test_what_is_removed_is_not_called_and_not_held() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    one.remove(alarm)  # never was in it
    one.set(alarm, 1001.0)
    one.remove(alarm)
    one.remove(alarm)
    loop.wait(2 * TURN)
    assert alarm.calls == []
    assert held(one) == 0


def test_what_is_removed_can_come_back() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    one.set(alarm, 1001.0)
    one.remove(alarm)
    one.set(alarm, 1002.0)
    loop.wait(2.0 + LATE)
    assert len(alarm.calls) == 1


def test_a_callback_may_set_its_next_deadline() -> None:
    loop = Loop()
    one = wheel(loop)
    alarm = Alarm(lambda now: one.set(alarm, now + 1.0))
    one.set(alarm, 1001.0)
    loop.wait(5.5)
    assert len(alarm.calls) == 5
    assert held(one) == 1


def test_a_callback_may_remove_itself() -> None:
    loop = Loop()
    one = wheel(loop)
    alarm = Alarm(lambda now: one.remove(alarm))
    one.set(alarm, 1001.0)
    loop.wait(2.0)
    assert held(one) == 0


def test_a_callback_may_remove_its_neighbours() -> None:
    loop = Loop()
    one = wheel(loop)

    def remove_all(now: float) -> None:
        for alarm in alarms:
            one.remove(alarm)

    alarms = [Alarm(remove_all) for _ in range(3)]
    for alarm in alarms:
        one.set(alarm, 1001.0)
    loop.wait(5.0)
    assert [len(alarm.calls) for alarm in alarms] == [1, 0, 0]
    assert held(one) == 0


def test_a_callback_may_put_its_neighbours_off() -> None:
    loop = Loop()
    one = wheel(loop)
    second = Alarm()
    first = Alarm(lambda now: one.set(second, now + 1.0))
    one.set(first, 1001.0)
    one.set(second, 1001.0)
    loop.wait(1.0 + LATE)
    assert (len(first.calls), len(second.calls)) == (1, 0)
    loop.wait(1.0 + LATE)
    assert (len(first.calls), len(second.calls)) == (1, 1)
    assert held(one) == 2


def test_a_callback_may_take_a_neighbour_out_and_put_it_back() -> None:
    loop = Loop()
    one = wheel(loop)
    second = Alarm()

    def replace(now: float) -> None:
        one.remove(second)
        one.set(second, now + 1.0)

    first = Alarm(replace)
    one.set(first, 1001.0)
    one.set(second, 1001.0)
    loop.wait(1.0 + LATE)
    assert second.calls == []
    loop.wait(1.0 + LATE)
    assert len(second.calls) == 1
    assert held(one) == 2


def test_a_callback_that_fails_costs_no_other_its_deadline() -> None:
    loop = Loop()
    one = wheel(loop)

    def fail(now: float) -> None:
        raise ValueError("broken")

    alarms = [Alarm(), Alarm(fail), Alarm()]
    for alarm in alarms:
        one.set(alarm, 1001.0)
    later = Alarm()
    one.set(later, 1002.0)
    loop.freeze(3.0)
    assert [len(alarm.calls) for alarm in (*alarms, later)] == [1, 1, 1, 1]
    assert [str(failure) for failure in loop.failures] == ["broken"]


def test_one_whose_deadline_fails_is_told_to_end_without_it_even_if_that_fails_too() -> None:
    class Broken(Alarm):
        def expire_failed(self) -> None:
            ended.append(self)
            raise ValueError("still broken")

    def fail(now: float) -> None:
        raise ValueError("broken")

    ended: list[Alarm] = []
    loop = Loop()
    one = wheel(loop)
    alarms = [Broken(fail), Broken(), Broken(fail)]
    for alarm in alarms:
        one.set(alarm, 1001.0)
    loop.wait(2.0)
    assert ended == [alarms[0], alarms[2]]
    assert len(alarms[1].calls) == 1
    assert [str(failure) for failure in loop.failures] == ["broken", "still broken"] * 2


def test_what_fails_every_second_stops_nothing_either() -> None:
    loop = Loop()

    def fail(now: float) -> None:
        raise ValueError("broken")

    alarm = Alarm()
    wheel(loop, fail).set(alarm, 1002.5)
    loop.wait(3.5)
    assert len(alarm.calls) == 1
    assert len(loop.failures) == 3


def test_after_a_pause_longer_than_a_turn_everything_due_is_called_once() -> None:
    loop = Loop()
    one = wheel(loop)
    alarms = [Alarm() for _ in range(500)]
    for number, alarm in enumerate(alarms):
        one.set(alarm, 1000.0 + number * 0.9)
    far = Alarm()
    one.set(far, 1000.0 + 50 * TURN)
    loop.freeze(20 * TURN)
    assert {len(alarm.calls) for alarm in alarms} == {1}
    assert far.calls == []
    loop.wait(30 * TURN + LATE)
    assert len(far.calls) == 1


def test_what_came_while_the_loop_did_not_run_is_read_before_anything_is_given_up() -> None:
    loop = Loop()
    one = wheel(loop)
    answered, silent = Alarm(), Alarm()
    one.set(answered, 1001.0)
    one.set(silent, 1001.0)
    loop.now += 5.0
    loop.wait(0)  # a loop may turn the wheel first
    assert silent.calls == []
    one.set(answered, FAR)  # and read then
    loop.wait(TICK)
    assert answered.calls == []
    assert len(silent.calls) == 1


def test_a_loop_that_is_always_late_has_deadlines_all_the_same() -> None:
    loop = Loop()
    one = wheel(loop)
    alarm = Alarm()
    one.set(alarm, 1001.0)
    for _ in range(4):
        loop.now += 1.0
        loop.wait(0)
    assert len(alarm.calls) == 1


def test_each_second_is_told_once_a_second_and_once_after_a_pause() -> None:
    loop = Loop()
    seconds: list[float] = []
    wheel(loop, seconds.append)
    loop.wait(10.0)
    assert 9 <= len(seconds) <= 11
    assert len({int(second) for second in seconds}) == len(seconds)
    seconds.clear()
    loop.freeze(60.0)
    assert len(seconds) == 1


def test_a_closed_wheel_calls_nobody() -> None:
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    one.set(alarm, 1001.0)
    one.close()
    loop.wait(5.0)
    assert alarm.calls == []


def test_a_kept_alive_connection_is_rarely_moved() -> None:
    """Setting the same kind of deadline again and again is what every request does."""
    loop = Loop()
    alarm = Alarm()
    one = wheel(loop)
    places: set[int] = set()
    for _ in range(1000):
        one.set(alarm, loop.now + 75.0)
        places.add(alarm.slot_tick)
        loop.wait(0.1)
    assert alarm.calls == []
    assert len(places) <= 3


steps = st.tuples(
    st.sampled_from(["set", "set", "set", "remove", "wait", "wait", "freeze"]),
    st.integers(0, 4),
    st.one_of(st.floats(-1, 5), st.floats(0, 2 * TURN), st.just(FAR)),
)


@given(st.lists(steps, max_size=60), st.floats(0, 1e6))
@settings(max_examples=300)
def test_whatever_is_set_and_removed_nothing_is_early_late_or_forgotten(
    steps: list[tuple[str, int, float]], start: float
) -> None:
    loop = Loop(start)
    one = wheel(loop)
    due: dict[int, float] = {}

    def called(number: int) -> Callable[[float], object]:
        def note(now: float) -> None:
            assert now >= due.pop(number)

        return note

    alarms = [Alarm(called(number)) for number in range(5)]
    for step, number, value in steps:
        if step == "set":
            due[number] = max(loop.now, loop.now + value)
            one.set(alarms[number], loop.now + value)
        elif step == "remove":
            due.pop(number, None)
            one.remove(alarms[number])
        elif step == "wait":
            loop.wait(min(abs(value), 3 * TURN))
        else:
            loop.freeze(min(abs(value), 3 * TURN))
        assert all(deadline + LATE + 1e-6 >= loop.now for deadline in due.values())
    ends = max((deadline for deadline in due.values() if deadline < FAR), default=loop.now)
    loop.wait(ends - loop.now + LATE + 1e-6)
    assert set(due.values()) <= {FAR}
    assert loop.failures == []
    assert held(one) == sum(alarm.slot_tick >= 0 for alarm in alarms)


def test_on_a_real_loop_deadlines_come_in_order_and_none_is_early() -> None:
    order: list[int] = []
    early: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = TimerWheel(loop, lambda now: None)
        done = asyncio.Event()
        begin = monotonic()

        def note(number: int) -> Callable[[float], object]:
            def called(now: float) -> None:
                order.append(number)
                early.append(monotonic() < begin + number * 4 * TICK)
                if len(order) == 3:
                    done.set()

            return called

        for number in (3, 1, 2):
            one.set(Alarm(note(number)), begin + number * 4 * TICK)
        async with asyncio.timeout(20):
            await done.wait()
        one.close()

    asyncio.run(main())
    assert order == [1, 2, 3]
    assert early == [False, False, False]


def test_the_longest_wait_since_it_was_asked_for_is_told_once() -> None:
    loop = Loop()
    wheel = TimerWheel(cast(asyncio.AbstractEventLoop, loop), lambda now: None, lambda: loop.now)
    loop.wait(1.0)
    assert wheel.take_lag() < 1e-6
    loop.freeze(TICK + 0.3)
    loop.wait(1.0)
    assert 0.29 < wheel.take_lag() < 0.31
    assert wheel.take_lag() == 0.0
