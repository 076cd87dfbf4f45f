"""Proves that steps are played in their order, and that nothing is played after the end."""

from __future__ import annotations

import asyncio

import pytest

from proxy.standin.player import play
from proxy.standin.steps import End, Ending, Idle, Plan, Send, Step, Wait


class Notes:
    """A stage that writes down what was done on it."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def send(self, data: bytes) -> None:
        self.done.append(data)

    async def taken(self) -> None:
        self.done.append("taken")

    async def flushed(self) -> None:
        self.done.append("flushed")

    def over(self) -> None:
        self.done.append("over")

    def end(self, how: Ending) -> None:
        self.done.append(how)


def played(*steps: Step) -> list[object]:
    notes = Notes()
    asyncio.run(play(Plan(steps), notes))
    return notes.done


def test_after_the_last_step_the_exchange_is_over() -> None:
    assert played(Wait(0), Send(b"a"), Send(b"b")) == [b"a", "taken", b"b", "taken", "over"]


def test_an_idle_step_ends_the_exchange_once() -> None:
    assert played(Send(b"a"), Idle(0), Send(b"b")) == [b"a", "taken", "over", b"b", "taken"]


def test_nothing_is_played_after_the_end() -> None:
    assert played(End(Ending.CLOSE), Send(b"a")) == [Ending.CLOSE]


@pytest.mark.parametrize("how", [Ending.RESET, Ending.EOF])
def test_an_ending_that_would_overtake_waits_for_what_was_written(how: Ending) -> None:
    assert played(Send(b"a"), End(how)) == [b"a", "taken", "flushed", how]


def test_a_plan_can_be_stopped_in_the_middle() -> None:
    notes = Notes()

    async def stopped() -> None:
        task = asyncio.get_running_loop().create_task(play(Plan((Send(b"a"), Wait(1000), Send(b"b"))), notes))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert notes.done == [b"a", "taken"]
