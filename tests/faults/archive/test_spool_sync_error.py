"""Proves that a disk which could not write out what it had taken is not asked again about the same file: the segment is
left as it is, another one is begun, it is counted, and what the failed one holds is still archived."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.observe.ledger import Counter, LedgerMemory
from proxy.spool.folder import State
from proxy.spool.rules import Sync
from tests.faults.archive.spool_bench import (
    PATIENCE,
    Bench,
    archived,
    archiving,
    body,
    dropped,
    numbers,
    payloads,
    spooled,
)
from tests.gateway import eventually
from tests.unit.spool.spooled import files


@pytest.mark.parametrize("sync", ["interval", "durable"])
def test_a_segment_whose_sync_failed_once_is_never_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync
) -> None:
    spool, memory = tmp_path / "spool", LedgerMemory.create(2)
    real = os.fdatasync
    asked: list[int] = []
    failed: list[int] = []

    def fails_once(descriptor: int) -> None:
        file = os.fstat(descriptor).st_ino
        asked.append(file)
        if not failed:
            failed.append(file)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with Bench(spool, memory, sync=sync, sync_interval=0.05) as bench:
        bench.offer(body(1))
        bench.wait()
        monkeypatch.setattr(os, "fdatasync", fails_once)
        bench.offer(body(2))
        eventually(lambda: memory.totals().of(Counter.SPOOL_SYNC_FAILURES), PATIENCE)
        for number in range(3, 23):
            bench.offer(body(number))
            bench.wait()
    assert asked.count(failed[0]) == 1
    assert len(set(asked)) == 2  # the next one, and no more than that
    assert memory.totals().of(Counter.SPOOL_SYNC_FAILURES) == 1
    assert memory.totals().of(Counter.SPOOL_SEGMENTS) == 2
    assert dropped(memory) == {}
    assert {each.state for each in files(spool)} == {State.SEALED}
    assert payloads(spooled(spool)) == list(range(1, 23))
    with archiving(spool, DirectoryStore(tmp_path / "store"), memory):
        pass
    assert sorted(numbers(archived(tmp_path / "store"))) == list(range(1, 23))
    assert not files(spool)
