"""Proves that a worker which is killed while it writes loses nothing that it has told to be written, and that what it
had not written yet is counted by its successor, to the upload."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory, Mark
from proxy.spool.folder import CREATED_SECONDS, State, adopt_orphans
from proxy.spool.segment import SEGMENT_HEAD, Kind
from tests.faults.archive.spool_bench import (
    PATIENCE,
    WORKER,
    Bench,
    body,
    dropped,
    gaps,
    is_settled,
    number_of,
)
from tests.gateway import ROOT, eventually
from tests.unit.spool.spooled import Kept, files, read

ROUNDS = 5
STEP = 1_000_000  # between the first numbers of two rounds


def killed_after(uploads: int, number: int, memory: LedgerMemory, folder: Path, sync: str) -> set[int]:
    """Kill an appender when it has written so many; what it told to be on the disk."""
    written = memory.totals().of(Counter.SPOOL_WRITTEN)
    arguments = (memory.number, folder, number * STEP, sync, 0)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.archive.spool_appender", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[memory.number],
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        told = b""
        if sync == "durable":
            while told.count(b"\n") < uploads:
                more = os.read(process.stdout.fileno(), 1 << 16)
                assert more, "the appender has ended by itself"
                told += more
        else:
            eventually(lambda: memory.totals().of(Counter.SPOOL_WRITTEN) >= written + uploads, PATIENCE)
        process.kill()
        told += process.stdout.read()
    return set(map(int, told.split()))


def left_by(memory: LedgerMemory) -> tuple[str, int]:
    """The worker that had the row last, and the sequence of the upload that it settled last."""
    ledger = Ledger(memory.rows[WORKER])
    return f"{ledger.marked(Mark.SPOOL_BOOT):016x}", ledger.marked(Mark.SPOOL_SETTLED)


def in_spool(folder: Path) -> list[tuple[str, Kept]]:
    """The frames that are in the spool and the worker that wrote each; what a kill tore off is passed over."""
    # A file that is shorter than its head was killed before its first frame.
    found = [each for each in files(folder) if each.path.stat().st_size >= SEGMENT_HEAD]
    return [(file.name.boot, each) for file in found for each in read(file.path) if isinstance(each, Kept)]


def uploads_in(frames: list[tuple[str, Kept]]) -> list[int]:
    """Which uploads these are."""
    return [number_of(each.body) for _, each in frames if each.kind is Kind.PAYLOAD]


@pytest.mark.parametrize("sync", ["interval", "durable"])
def test_each_upload_that_was_told_to_be_written_outlives_a_kill(tmp_path: Path, sync: str) -> None:
    spool, memory, chance = tmp_path / "spool", LedgerMemory.create(2), random.Random(sync)
    told: set[int] = set()
    for number in range(1, ROUNDS + 1):
        told |= killed_after(chance.randint(1, 400), number, memory, spool, sync)
        boot, settled = left_by(memory)
        there = in_spool(spool)
        own = {each.sequence for name, each in there if name == boot and each.kind is Kind.PAYLOAD}
        assert own >= set(range(1, settled + 1))
        assert told <= set(uploads_in(there))
    with Bench(spool, memory) as successor:
        successor.offer(body(0))
    assert is_settled(memory)
    there = in_spool(spool)
    found = uploads_in(there)
    assert len(found) == len(set(found)) == memory.totals().of(Counter.SPOOL_WRITTEN)
    assert set(dropped(memory)) <= {Drop.CRASH}
    assert sum(gaps([each for _, each in there]).values()) == sum(dropped(memory).values())
    adopt_orphans(spool, time.time() + CREATED_SECONDS + 1)  # a minute later, what was half created is gone
    assert {each.state for each in files(spool)} == {State.SEALED}
    assert len({each.name.boot for each in files(spool)}) == ROUNDS + 1
