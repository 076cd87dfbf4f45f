"""Proves that a reload applies all of a configuration or nothing, one at a time, and remembers how it ended."""

from __future__ import annotations

import asyncio

from proxy.runtime.reload import Reloads, Report, Result
from proxy.settings import Problem, Settings

OLD = Settings()
NEW = Settings.model_validate({"limits": {"body": "1MiB"}})
FIXED = Settings.model_validate({"limits": {"body": "1MiB"}, "workers": 2})


class Workers:
    """Processes as a reload sees them: what they were given, and which settings they refuse."""

    def __init__(self, refused: Settings | None = None) -> None:
        self.given: list[Settings] = []
        self.refused = refused

    async def give(self, settings: Settings) -> str:
        self.given.append(settings)
        await asyncio.sleep(0)
        return "MemoryError: none left" if settings is self.refused else ""


def reloaded(workers: Workers, *found: Settings | list[Problem]) -> tuple[Reloads, list[Report]]:
    async def run() -> tuple[Reloads, list[Report]]:
        following = iter(found)
        reloads = Reloads(OLD, lambda: next(following), workers.give)
        return reloads, [await reloads.reload() for _ in found]

    return asyncio.run(run())


def test_what_changed_is_applied_and_told() -> None:
    workers = Workers()
    reloads, (report,) = reloaded(workers, NEW)
    assert report == Report(Result.APPLIED, ("limits.body",))
    assert workers.given == [NEW]
    assert reloads.settings is NEW
    assert reloads.results == {Result.APPLIED: 1}
    assert reloads.last.is_applied


def test_what_did_not_change_is_given_too_since_files_may_have() -> None:
    workers = Workers()
    _, (report,) = reloaded(workers, OLD)
    assert report == Report(Result.APPLIED)
    assert workers.given == [OLD]


def test_problems_change_nothing() -> None:
    workers = Workers()
    reloads, (report,) = reloaded(workers, [Problem("limits.body", "-1", "a size"), Problem("x", "y", "z")])
    assert report == Report(Result.PROBLEMS, ("limits.body: found -1; expected a size", "x: found y; expected z"))
    assert workers.given == []
    assert reloads.settings is OLD
    assert not reloads.last.is_applied


def test_what_needs_a_restart_is_named_and_nothing_else_is_applied_either() -> None:
    workers = Workers()
    reloads, (report,) = reloaded(workers, FIXED)
    assert report == Report(Result.RESTART, ("workers",))
    assert workers.given == []
    assert reloads.settings is OLD


def test_where_one_refuses_all_get_the_former_settings_back() -> None:
    workers = Workers(refused=NEW)
    reloads, (report,) = reloaded(workers, NEW)
    assert report == Report(Result.FAILED, ("MemoryError: none left",))
    assert workers.given == [NEW, OLD]
    assert reloads.settings is OLD


def test_that_the_former_could_not_be_restored_is_told() -> None:
    class Broken(Workers):
        async def give(self, settings: Settings) -> str:
            return "gone"

    _, (report,) = reloaded(Broken(), NEW)
    assert report.lines == ("gone", "and the former settings could not be restored: gone")


def test_a_failure_is_forgotten_with_the_next_success_and_the_time_of_success_stays() -> None:
    reloads, _ = reloaded(Workers(), NEW, [Problem("a", "b", "c")])
    applied_at = reloads.last.applied_at
    assert (reloads.last.is_applied, applied_at > 0) == (False, True)
    reloads, _ = reloaded(Workers(), [Problem("a", "b", "c")], NEW)
    assert reloads.last.is_applied


def test_without_a_configuration_that_can_be_read_again_that_is_told() -> None:
    async def run() -> Report:
        return await Reloads(OLD, None, Workers().give).reload()

    report = asyncio.run(run())
    assert report.result is Result.FAILED
    assert "without a configuration" in report.lines[0]


def test_two_at_once_come_one_after_the_other() -> None:
    order: list[str] = []

    async def run() -> None:
        async def give(settings: Settings) -> str:
            order.append("begin")
            await asyncio.sleep(0.01)
            order.append("end")
            return ""

        reloads = Reloads(OLD, lambda: NEW, give)
        await asyncio.gather(reloads.reload(), reloads.reload())

    asyncio.run(run())
    assert order == ["begin", "end"] * 2
