"""Proves what a kill can't: that uploads which were synced, and those whose answers waited for that, survive a power
cut at any moment, and that nothing comes out of the spool after it that was not sent."""

from __future__ import annotations

import random
import re
import shutil
import time
from pathlib import Path

import pytest

from proxy.observe.ledger import Counter, LedgerMemory
from proxy.spool.entries import Upload
from proxy.spool.folder import CREATED_SECONDS, State, adopt_orphans
from proxy.spool.rules import Sync
from proxy.spool.segment import Kind, NotASegment
from proxy.spool.writer import Writer
from tests.faults.archive.spool_bench import Bench, body, number_of
from tests.faults.archive.spool_disk_model import Recorder, Step, lose_power, promised_before
from tests.unit.spool.spooled import OTHER_BOOT, Kept, files, ledger, read, rules

_NUMBER = re.compile(rb'\{"n": (\d+)')
CUTS = 100
UPLOADS = 120


def recorded(folder: Path, sync: Sync, patch: pytest.MonkeyPatch, chance: random.Random) -> list[Step]:
    """What a writer does with some uploads of all sizes: a few segments long, in batches as they come."""
    recorder, memory = Recorder(folder), LedgerMemory.create(1)
    folder.mkdir()
    with (
        patch.context() as watched,
        Bench(folder, memory, sync=sync, sync_interval=0.02, rotate_bytes=2_000_000) as bench,
    ):
        told = bench.tee._on_settled

        def tell(uploads: list[Upload]) -> None:
            recorder.promise([number_of(bodies[each.sequence]) for each in uploads])
            told(uploads)

        if sync == "durable":
            bench.tee._writer._settled = tell
        recorder.watch(watched)
        sizes = chance.choices((10, 500, 5000, 30_000, 600_000), k=UPLOADS)
        bodies = {number: body(number, size) for number, size in enumerate(sizes, 1)}
        for number, data in bodies.items():
            assert bench.offer(data).sequence == number
            if chance.random() < 0.3:
                bench.wait()
        bench.wait()
    assert memory.totals().of(Counter.SPOOL_WRITTEN) == UPLOADS
    return recorder.steps


def recovered(folder: Path) -> list[int]:
    """The uploads that are in the folder after a worker has begun and ended in it; none may be false."""
    Writer(rules(folder), OTHER_BOOT, ledger(), lambda _: None)._rotation.end(0.0, 0)
    adopt_orphans(folder, time.time() + CREATED_SECONDS + 1)  # a minute later, what was half created is gone
    assert {each.state for each in files(folder)} <= {State.SEALED}
    found = []
    for each in files(folder):
        try:
            inside = list(read(each.path))
        except NotASegment:
            continue  # its head was not synced, so nothing in it was
        for frame in inside:
            if isinstance(frame, Kept) and frame.kind is Kind.PAYLOAD:
                assert number_of(frame.body) == frame.sequence
                found.append(frame.sequence)
    assert len(found) == len(set(found))
    return found


def synced_before(steps: list[Step]) -> set[int]:
    """The uploads whose frames were synced, under a name that was synced too: told by the bytes, not by the writer."""
    sure: set[int] = set()
    for file in {step.file for step in steps if step.what == "named"}:
        own = [at for at, step in enumerate(steps) if step.file == file]
        synced = max((at for at in own if steps[at].what == "synced"), default=-1)
        opened = next((at for at in own if steps[at].name.endswith(".open")), len(steps))
        if not any(step.what == "folder" for step in steps[opened:]):
            continue
        for at in own:
            if at < synced:
                sure.update(_payloads(steps[at]))
    return sure


def _payloads(step: Step) -> list[int]:
    """The uploads that a step wrote: as many as came together."""
    return [int(number) for number in _NUMBER.findall(step.data)] if step.what == "written" else []


@pytest.mark.parametrize("sync", ["interval", "durable"])
def test_what_was_synced_survives_a_power_cut_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync
) -> None:
    chance = random.Random(f"a power cut, {sync}")
    steps = recorded(tmp_path / "spool", sync, monkeypatch, chance)
    lost = 0
    for cut in range(CUTS):
        before = steps[: chance.randint(1, len(steps))]
        after = tmp_path / f"cut-{cut}"
        after.mkdir()
        lose_power(before, after, chance)
        there = set(recovered(after))
        assert synced_before(before) <= there
        assert promised_before(before) <= there
        lost += len(there) < sum(len(_payloads(step)) for step in before)
        shutil.rmtree(after)
    assert lost  # else the cuts were none
    assert set(recovered(tmp_path / "spool")) == set(range(1, UPLOADS + 1))
    if sync == "durable":
        assert promised_before(steps) == set(range(1, UPLOADS + 1))
