"""Proves that a disk which takes a write and does not come back holds up nobody who offers: the queue stays within its
bound, what does not fit is counted, and when the disk is back the rest is written and the gap is told."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter
from tests.faults.archive.spool_bench import PATIENCE, Bench, body, dropped, gaps, payloads, spooled
from tests.gateway import eventually
from tests.unit.spool.spooled import files


@pytest.mark.parametrize("call", ["writev", "fdatasync"])
def test_a_disk_that_hangs_costs_what_the_queue_can_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real, hangs, is_back = getattr(os, call), threading.Event(), threading.Event()

    def hanging(*arguments: Any) -> Any:
        hangs.set()
        assert is_back.wait(PATIENCE)
        return real(*arguments)

    bound, size, times = 1 << 20, 20_000, 500
    with Bench(tmp_path, queue_bytes=bound, sync_interval=0.05) as bench:
        monkeypatch.setattr(os, call, hanging)
        bench.offer(body(1, size))
        assert hangs.wait(PATIENCE)
        segments = [each.path.stat().st_size for each in files(tmp_path)]
        for number in range(2, times + 1):
            # Were this to wait, it would wait for ever: only this thread can bring the disk back.
            bench.offer(body(number, size))
            assert bench.tee.held_bytes <= bound
        assert [each.path.stat().st_size for each in files(tmp_path)] == segments
        lost = dropped(bench.memory)
        assert set(lost) == {Drop.QUEUE_FULL}
        assert 0 < times - lost[Drop.QUEUE_FULL] <= bound // size + 2
        is_back.set()
        eventually(bench.settled, PATIENCE)
        eventually(lambda: bench.tee.held_bytes == 0, PATIENCE)
        bench.offer(body(times + 1))
    frames = spooled(tmp_path)
    there = payloads(frames)
    kept = times - lost[Drop.QUEUE_FULL]
    assert there == [*range(1, kept + 1), times + 1]  # what was there first was kept
    assert gaps(frames) == {"queue-full": lost[Drop.QUEUE_FULL]}
    assert bench.memory.totals().of(Counter.SPOOL_OFFERED) == times + 1
