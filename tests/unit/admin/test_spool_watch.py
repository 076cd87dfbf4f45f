"""Proves what is told of a spool on the disk, and that a look that does not end holds up nobody."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from threading import Event

from proxy.admin.snapshot import SpoolSeen
from proxy.admin.spool_watch import SpoolWatch, measured
from proxy.spool.folder import State, path_of
from proxy.spool.name import SegmentName
from tests.unit.spool.spooled import OTHER_BOOT


def test_segments_by_state_and_their_bytes(tmp_path: Path) -> None:
    for number, (state, size) in enumerate({State.OPEN: 100, State.SEALED: 20, State.DAMAGED: 3}.items()):
        path_of(tmp_path, SegmentName("node", OTHER_BOOT, number), state).write_bytes(b"x" * size)
    path_of(tmp_path, SegmentName("node", OTHER_BOOT, 9), State.SEALED).write_bytes(b"x" * 1000)
    (tmp_path / "README").write_text("of somebody else")
    found = measured(tmp_path)
    assert (found.bytes, found.segments) == (1123, {"open": 1, "sealed": 2, "damaged": 1})
    assert found.free_bytes > 0


def test_a_folder_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    found = asyncio.run(SpoolWatch(partial(measured, file)).seen())
    assert (found.segments, found.why_not) == (None, "Not a directory")


def test_a_disk_that_hangs_is_told_and_asked_once() -> None:
    asked, answers = [], Event()

    def measure() -> SpoolSeen:
        asked.append(True)
        answers.wait()
        return SpoolSeen(bytes=7, segments={})

    async def thrice() -> list[SpoolSeen]:
        watch = SpoolWatch(measure, patience=0.05)
        found = [await watch.seen(), await watch.seen()]
        answers.set()
        while not found[-1].bytes:
            found.append(await watch.seen())
        return found

    found = asyncio.run(thrice())
    assert found[0].why_not == found[1].why_not == "the disk gave no answer within 0.05 s"
    assert (found[-1].bytes, found[-1].why_not) == (7, "")
    assert len(asked) <= 1 + len(found) - 2  # while one is under way, no other is begun
