"""Proves that processes are kept running: restarted when they die, given up when they can't start, drained once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.runtime.child import Child
from proxy.runtime.control import Frame
from proxy.runtime.crew import Crew, happens_within
from proxy.runtime.tasks import spawn

PROGRAM = "tests.unit.runtime.program"
PATIENCE = 40.0


class Kept:
    """A crew whose children all get the same order, and what they said."""

    def __init__(self, order: str, size: int, ready_seconds: float = PATIENCE) -> None:
        self.order = order
        self.greeted: list[int] = []
        self.readings = 0
        self.changed = asyncio.Event()
        self.configs: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.crew = Crew(PROGRAM, [()] * size, self.greet, self.on_ready, self._on_frame, ready_seconds)

    def _on_frame(self, slot: int, kind: Frame, payload: bytes) -> None:
        assert kind is Frame.CONFIG
        self.configs.put_nowait((slot, payload))

    def greet(self, child: Child) -> None:
        self.greeted.append(child.pid)
        child.send(Frame.SETTINGS, self.order.encode())

    def on_ready(self) -> None:
        self.readings += 1
        self.changed.set()
        if self.order == "die":
            self.crew.offer(Frame.CONFIG, b"now")

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():
            self.changed.clear()
            await self.changed.wait()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await scenario()

    asyncio.run(main())


def test_all_are_started_and_the_crew_has_started_when_all_are_ready() -> None:
    async def scenario() -> None:
        kept = Kept("serve", 3)
        keeping = spawn(kept.crew.keep(), "crew")
        assert not kept.crew.has_started
        await kept.until(lambda: kept.crew.has_started)
        assert (kept.crew.ready, kept.crew.size, kept.crew.restarts) == (3, 3, 0)
        kept.crew.drain(1.0)
        await keeping
        assert kept.crew.failure == ""
        assert kept.crew.ready == 0

    run(scenario)


def test_one_that_was_killed_is_replaced_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        kept = Kept("serve", 2)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.crew.has_started)
        os.kill(kept.greeted[0], signal.SIGKILL)
        await kept.until(lambda: kept.readings == 3)
        assert (kept.crew.ready, kept.crew.restarts) == (2, 1)
        assert len(set(kept.greeted)) == 3
        kept.crew.drain(1.0)
        await keeping
        assert kept.crew.failure == ""

    run(scenario)
    assert any("it was killed by SIGKILL; starting another in 0.0 s" in message for message in caplog.messages)


def test_one_that_fails_once_at_the_start_is_given_another_chance(tmp_path: Path) -> None:
    async def scenario() -> None:
        kept = Kept(f"once {tmp_path / 'mark'} exit 3", 1)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.crew.has_started)
        assert kept.crew.restarts == 1
        kept.crew.drain(1.0)
        await keeping
        assert kept.crew.failure == ""

    run(scenario)


def test_the_same_failure_twice_at_the_start_ends_the_crew_with_its_words() -> None:
    async def scenario() -> None:
        kept = Kept("fail no certificate", 2)
        await kept.crew.keep()
        assert kept.crew.failure == "the workers can't start: no certificate"
        assert not kept.crew.has_started

    run(scenario)


def test_never_ready_is_a_failure_to_start_too() -> None:
    async def scenario() -> None:
        kept = Kept("silent", 1, ready_seconds=0.05)
        await kept.crew.keep()
        assert kept.crew.failure == "the workers can't start: it was not ready within 0.05 s"

    run(scenario)


def test_no_process_at_all_is_a_failure_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))

    async def scenario() -> None:
        kept = Kept("serve", 1)
        await kept.crew.keep()
        assert "no process could be started: No such file" in kept.crew.failure

    run(scenario)


def test_dying_again_and_again_after_the_start_is_no_reason_to_give_up() -> None:
    async def scenario() -> None:
        kept = Kept("die", 1)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.readings == 3)
        kept.crew.drain(0)
        await keeping
        assert kept.crew.has_started
        assert kept.crew.restarts >= 2

    run(scenario)


def test_drain_interrupts_the_pause_before_a_restart() -> None:
    async def scenario() -> None:
        kept = Kept("die", 1)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.readings == 2)
        kept.crew.drain(0)
        await keeping

    run(scenario)


def test_after_drain_none_is_started_again() -> None:
    async def scenario() -> None:
        kept = Kept("stubborn", 1)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.crew.has_started)
        kept.crew.drain(0)
        kept.crew.kill()
        await keeping
        assert len(kept.greeted) == 1
        assert kept.crew.failure == "worker 0 did not end well: it was killed by SIGKILL"

    run(scenario)


def test_drain_during_the_start_ends_what_is_just_starting() -> None:
    async def scenario() -> None:
        kept = Kept("serve", 2)
        keeping = spawn(kept.crew.keep(), "crew")
        kept.crew.drain(0)
        await keeping
        assert kept.crew.failure == ""

    run(scenario)


def test_an_offer_goes_to_all_but_one() -> None:
    async def scenario() -> None:
        kept = Kept("serve", 3)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.crew.has_started)
        kept.crew.offer(Frame.CONFIG, b"learnt", but=1)
        said = [await kept.configs.get() for _ in range(5)]
        assert sorted(slot for slot, payload in said if payload == b"echo learnt") == [0, 2]
        kept.crew.drain(0)
        await keeping

    run(scenario)


def test_every_start_is_logged_with_its_process(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        kept = Kept("serve", 1)
        keeping = spawn(kept.crew.keep(), "crew")
        await kept.until(lambda: kept.crew.has_started)
        assert f"worker 0 is process {kept.greeted[0]}" in caplog.messages
        kept.crew.drain(0)
        await keeping

    with caplog.at_level(logging.INFO):
        run(scenario)


def test_waiting_for_what_happens_and_for_what_does_not() -> None:
    async def scenario() -> None:
        event = asyncio.Event()
        assert not await happens_within(event, 0.01)
        event.set()
        assert await happens_within(event, PATIENCE)

    run(scenario)
