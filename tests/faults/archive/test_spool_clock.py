"""Proves that the wall clock decides under which hour an upload is found and nothing else: it may jump back and forth
and over midnight, and a store may be out for days by it, without an upload that is lost, or told for another hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.archive.index import Row
from proxy.archive.naming import DATA, hour_of
from proxy.archive.reader import Reader
from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.entries import Outcome, Upload
from proxy.spool.writer import Writer
from tests.faults.archive.spool_bench import (
    META,
    PATIENCE,
    WORKER,
    Bench,
    archived,
    archived_gaps,
    archiving,
    body,
    dropped,
    number_of,
    numbers,
)
from tests.gateway import eventually
from tests.unit.spool.spooled import BOOT, HOUR_MS, T0, files, rules

DAY_MS = 24 * HOUR_MS
MIDNIGHT = T0 - T0 % DAY_MS
SPAN = (MIDNIGHT - 2 * DAY_MS, MIDNIGHT + 6 * DAY_MS)
# Seconds by which the clock goes on before each upload; what a person or a time server does is among them.
JUMPS = [0.01] * 3 + [3600.0] + [0.01] * 3 + [-3600.0] + [0.01] * 3 + [-3600.0, 0.5, 0.5, 0.5, 7200.0] + [0.01] * 3


@pytest.mark.parametrize("begin", [MIDNIGHT - 1000, MIDNIGHT - HOUR_MS - 15, MIDNIGHT + HOUR_MS // 2, MIDNIGHT])
def test_a_clock_that_jumps_sorts_uploads_by_its_hours_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: int
) -> None:
    clock = begin / 1000
    monkeypatch.setattr("proxy.spool.tee.wall", lambda: clock)
    monkeypatch.setattr("proxy.spool.writer.wall", lambda: clock)
    memory, times = LedgerMemory.create(2), {}
    with Bench(tmp_path / "spool", memory) as bench:
        for number, jump in enumerate(JUMPS * 3, 1):
            clock += jump
            upload = bench.offer(body(number))
            times[number] = upload.time_ms
            assert upload.time_ms == int(clock * 1000)
            if number % 4 == 0:
                bench.wait()
    assert dropped(memory) == {}
    with archiving(tmp_path / "spool", DirectoryStore(tmp_path / "store"), memory):
        pass
    reader, seen = Reader(DirectoryStore(tmp_path / "store")), []
    for row in reader.find(from_ms=SPAN[0], to_ms=SPAN[1]):
        assert isinstance(row, Row)
        own = [(int(line.head["seq"]), line) for line in reader.read_block(row)]  # type: ignore[union-attr]
        assert [sequence for sequence, _ in own] == sorted(sequence for sequence, _ in own)
        for sequence, line in own:
            number = number_of(line.original())  # type: ignore[union-attr]
            assert number == sequence
            assert line.time_ms == times[number]
            assert row.key.startswith(f"{DATA}{hour_of(times[number])}/")
            seen.append(number)
    assert sorted(seen) == list(times)
    assert len({hour_of(each) for each in times.values()}) > 1


class Watched(DirectoryStore):
    """Remembers in which order objects came."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.keys: list[str] = []

    def put(self, key: str, source: Path | bytes) -> None:
        """Store an object."""
        super().put(key, source)
        self.keys.append(key)


@pytest.mark.parametrize("drop_oldest", [False, True])
def test_three_days_without_a_store_fill_the_spool_to_its_bound_and_all_of_it_is_archived_then(
    tmp_path: Path, drop_oldest: bool
) -> None:
    spool, memory, bound = tmp_path / "spool", LedgerMemory.create(2), 500_000
    limits = rules(
        spool, max_bytes=bound, rotate_bytes=50_000, rotate_seconds=3600.0, sync="none", drop_oldest=drop_oldest
    )
    # Its turns are made here: three days of them by a clock that goes as fast as they do.
    ledger = Ledger(memory.rows[WORKER])
    writer = Writer(limits, BOOT, ledger, lambda _: None)
    number, step = 0, 300
    for second in range(0, 3 * 86_400, step):
        number += 1
        upload = _upload(number, MIDNIGHT + second * 1000)
        ledger.count(Counter.SPOOL_OFFERED)
        writer.put(upload)
        writer._turn(float(second), upload.time_ms)
        writer.put(Outcome(upload, upload.time_ms, b'{"status":200}'))
        writer._turn(second + 0.5, upload.time_ms)
        # Room is asked for uploads only: heads, outcomes and gaps come on top of it.
        assert sum(each.path.stat().st_size for each in files(spool)) <= 1.05 * bound
    writer._rotation.end(float(3 * 86_400), MIDNIGHT + 3 * DAY_MS)
    assert sum(each.path.stat().st_size for each in files(spool)) > 0.8 * bound
    lost = dropped(memory)
    assert set(lost) == {Drop.OLDEST if drop_oldest else Drop.SPOOL_FULL}
    store = Watched(tmp_path / "store")
    with archiving(spool, store, memory):
        eventually(lambda: not files(spool), PATIENCE)
    there = numbers(archived(tmp_path / "store", *SPAN))
    kept = number - sum(lost.values())
    assert memory.totals().of(Counter.ARCHIVED) == len(there) == len(set(there)) == kept
    assert (max(there) == number) if drop_oldest else (set(there) >= set(range(1, kept // 2)))
    told = archived_gaps(tmp_path / "store", *SPAN)
    if drop_oldest:
        assert 0 < told["oldest"] <= lost[Drop.OLDEST]  # what is removed takes the gaps along that it told of
    else:
        assert told == {"spool-full": lost[Drop.SPOOL_FULL]}
    data = [key for key in store.keys if key.startswith(DATA)]
    assert data == sorted(data)  # by the hour, and within it by the number of the segment: the oldest came first


def _upload(number: int, time_ms: int) -> Upload:
    one = Upload()
    one.sequence, one.time_ms, one.meta, one.body = number, time_ms, META, [body(number, 2000)]
    one.size = one.held = sum(map(len, one.body))
    return one
