"""Proves that no task is lost: not by the garbage collector, and not what it raises."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from proxy.runtime import tasks
from proxy.runtime.tasks import spawn


def test_the_result_can_be_awaited_and_the_task_has_its_name() -> None:
    async def answer() -> int:
        return 42

    async def main() -> None:
        task = spawn(answer(), "the answer")
        assert task.get_name() == "the answer"
        assert await task == 42

    asyncio.run(main())


def test_a_task_that_nobody_holds_survives_a_collection() -> None:
    async def main() -> None:
        reached = asyncio.Event()
        gate = asyncio.get_running_loop().create_future()

        async def waits() -> None:
            await gate
            reached.set()

        spawn(waits(), "held by nobody")
        await asyncio.sleep(0)
        gc.collect()
        gate.set_result(None)
        async with asyncio.timeout(5):
            await reached.wait()

    asyncio.run(main())


def test_an_exception_is_logged_with_the_name_and_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise ValueError("no good")

    async def main() -> None:
        task = spawn(breaks(), "fragile")
        await asyncio.wait((task,))
        await asyncio.sleep(0)

    asyncio.run(main())
    (record,) = caplog.records
    assert record.getMessage() == "task fragile failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no good"


def test_an_awaited_task_still_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise ValueError("no good")

    async def main() -> None:
        await spawn(breaks(), "fragile")

    with pytest.raises(ValueError, match="no good"):
        asyncio.run(main())


def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = spawn(asyncio.sleep(60), "sleeper")
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))

    with caplog.at_level(logging.DEBUG, "proxy.tasks"):
        asyncio.run(main())
    assert not caplog.records


def test_an_ended_task_is_let_go() -> None:
    async def main() -> None:
        task = spawn(asyncio.sleep(0), "short")
        await task
        await asyncio.sleep(0)
        assert task not in tasks._running

    asyncio.run(main())
