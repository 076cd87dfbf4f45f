"""Proves that the loop never waits for the disk, that all that was handed over is written in order and settled once,
and that what is asked to be durable is on the disk before anybody is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.entries import Outcome, Upload
from proxy.spool.folder import State
from proxy.spool.segment import META_MAX, Kind
from proxy.spool.writer import Writer
from tests.unit.spool.spooled import BOOT, files, kept, rules, upload

PATIENCE = 20.0


@pytest.fixture
def memory() -> LedgerMemory:
    return LedgerMemory.create(1)


@pytest.fixture
def started(tmp_path: Path, memory: LedgerMemory) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def start(settled: Callable[[list[Upload]], None] = lambda uploads: None, **changed: Any) -> Writer:
        writer = Writer(rules(tmp_path, **changed), BOOT, Ledger(memory.rows[0]), settled)
        writer.start()
        made.append(writer)
        return writer

    yield start
    for writer in made:
        writer.stop(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_all_is_written_in_order_and_sealed_at_the_end(
    tmp_path: Path, started: Callable[..., Writer], memory: LedgerMemory
) -> None:
    writer = started()
    uploads = [upload(sequence, b"body %d" % sequence) for sequence in range(1, 201)]
    for each in uploads:
        writer.put(each)
        writer.put(Outcome(each, each.time_ms, b"{}"))
    assert writer.stop(PATIENCE) == 0
    assert [each.body for each in kept(tmp_path)] == [b"body %d" % sequence for sequence in range(1, 201)]
    assert len(kept(tmp_path, Kind.OUTCOME)) == 200
    assert {each.state for each in files(tmp_path)} == {State.SEALED}
    assert writer.released_bytes == sum(each.held for each in uploads)
    assert all(each.body == [] for each in uploads)
    totals = memory.totals()
    assert totals.of(Counter.SPOOL_WRITTEN) == 200
    assert totals.of(Counter.SPOOL_WRITTEN_BYTES) == sum(each.size for each in uploads)


def test_a_disk_that_hangs_keeps_nobody_but_the_writer(
    tmp_path: Path, started: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, may_go_on, hangs = os.writev, threading.Event(), threading.Event()

    def slow(descriptor: int, pieces: Any) -> int:
        hangs.set()
        assert may_go_on.wait(PATIENCE)
        return real(descriptor, pieces)

    monkeypatch.setattr(os, "writev", slow)
    writer = started()
    writer.put(upload(1, b"first"))
    assert hangs.wait(PATIENCE)
    for sequence in range(2, 1000):
        writer.put(upload(sequence, b"more"))  # returns, or the test would hang here
    assert writer.released_bytes == 0
    may_go_on.set()
    until(lambda: writer.released_bytes == 5 + 998 * 4)


def test_an_end_that_does_not_come_in_time_says_how_much_is_left(
    started: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, may_go_on, hangs = os.writev, threading.Event(), threading.Event()

    def slow(descriptor: int, pieces: Any) -> int:
        hangs.set()
        assert may_go_on.wait(PATIENCE)
        return real(descriptor, pieces)

    monkeypatch.setattr(os, "writev", slow)
    writer = started()
    writer.put(upload(1, b"x"))
    assert hangs.wait(PATIENCE)
    writer.put(upload(2, b"x"))
    assert writer.stop(0.0) == 2  # what is being written is not yet
    may_go_on.set()


def test_durable_uploads_are_told_of_when_they_are_synced(
    tmp_path: Path, started: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synced = os.fdatasync, []

    def counted(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", counted)
    told: list[tuple[int, int]] = []
    writer = started(lambda uploads: told.extend((each.sequence, len(synced)) for each in uploads), sync="durable")
    for sequence in range(1, 51):
        writer.put(upload(sequence, bytes(100)))
    until(lambda: len(told) == 50)
    assert [sequence for sequence, _ in told] == list(range(1, 51))
    assert all(count >= 1 for _, count in told)
    assert len(synced) <= 50  # those that came together were synced together
    assert synced[-1] == files(tmp_path)[0].path.stat().st_size


def test_durable_uploads_that_are_dropped_are_told_of_too(tmp_path: Path, started: Callable[..., Writer]) -> None:
    told: list[Upload] = []
    writer = started(told.extend, sync="durable", max_bytes=1000)
    writer.put(upload(1, bytes(5000)))
    until(lambda: len(told) == 1)
    assert told[0].segment is None


def test_what_was_written_is_synced_within_the_interval(
    started: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.set())
    writer = started(sync_interval=0.05)
    writer.put(upload(1, b"x"))
    assert synced.wait(PATIENCE)


def test_without_sync_the_disk_is_never_waited_for(
    tmp_path: Path, started: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(descriptor: int) -> None:
        raise AssertionError("fdatasync was called")

    monkeypatch.setattr(os, "fdatasync", never)
    writer = started(sync="none")
    writer.put(upload(1, b"x"))
    assert writer.stop(PATIENCE) == 0
    assert len(kept(tmp_path)) == 1


def test_an_upload_that_no_frame_holds_is_dropped_and_the_next_is_written(
    tmp_path: Path, started: Callable[..., Writer], memory: LedgerMemory
) -> None:
    writer = started()
    impossible = upload(1, b"x")
    impossible.meta = bytes(META_MAX + 1)
    writer.put(impossible)
    writer.put(upload(2, b"y"))
    assert writer.stop(PATIENCE) == 0
    assert [each.body for each in kept(tmp_path)] == [b"y"]
    assert memory.totals().drops()[Drop.DISK_ERROR] == (1, 1)


def test_a_dropped_upload_is_a_gap_in_the_archive(
    tmp_path: Path, started: Callable[..., Writer], memory: LedgerMemory
) -> None:
    writer = started(max_bytes=10_000)
    for sequence in range(1, 11):
        writer.put(upload(sequence, bytes(2000)))
    assert writer.stop(PATIENCE) == 0
    whole = kept(tmp_path)
    (gap,) = kept(tmp_path, Kind.GAP)
    assert gap.meta["payloads"] + len(whole) == 10
    assert memory.totals().drops()[Drop.SPOOL_FULL][0] == gap.meta["payloads"]
