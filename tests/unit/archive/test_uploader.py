"""Proves that a segment is in the store once and counted once, whatever dies at whatever moment, and that one which
can't be stored waits without holding up the others."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.archive.erase import Unwanted
from proxy.archive.index import GapRow
from proxy.archive.naming import Codec
from proxy.archive.reader import Reader
from proxy.archive.scratch import Scratch
from proxy.archive.seal import SealOptions, data_file
from proxy.archive.suppression import suppress
from proxy.archive.trouble_marks import kind_of
from proxy.archive.uploader import Uploader, UploadRules, pause_after
from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Gauge, Ledger, LedgerMemory, Mark
from proxy.spool.folder import State, claim, path_of
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import Kind
from tests.unit.spool.spooled import BOOT, HOUR_MS, T0, files

PATIENCE = 30.0
OPTIONS = SealOptions(Codec.ZSTD, 3, "decoded", 1 << 20)
RULES = UploadRules(2, 0.05, 0.2)
QUERY = "device_id=d&session_id=1&type=replay"
META: dict[str, Any] = {
    "id": "1",
    "path": "/sessions/v2/track",
    "query": QUERY,
    "key": None,
    "headers": {},
    "encoding": "",
}


def sealed(folder: Path, number: int, opened_ms: int = T0, payloads: int = 3) -> Path:
    """A segment that waits for its upload."""
    segment = OpenSegment(folder, SegmentName("node", BOOT, number), opened_ms)
    meta = json.dumps(META | {"ip": None, "region": "us"}).encode()
    for sequence in range(1, payloads + 1):
        segment.append(Kind.PAYLOAD, sequence, opened_ms, meta, [b'{"n":%d}' % sequence])
    segment.seal()
    return path_of(folder, segment.name, State.SEALED)


def uploader(spool: Path, store: Path, memory: LedgerMemory) -> Uploader:
    return Uploader(spool, "node", DirectoryStore(store), OPTIONS, RULES, Ledger(memory.rows[0]))


@contextmanager
def running(spool: Path, store: Path, memory: LedgerMemory) -> Iterator[None]:
    one = uploader(spool, store, memory)
    one.start()
    try:
        yield
    finally:
        assert one.stop(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def objects(store: Path) -> dict[str, bytes]:
    """By key. What a crash left half written is no object: its name begins with a dot."""
    files = (path for path in store.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


@pytest.fixture
def memory() -> LedgerMemory:
    return LedgerMemory.create(1)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def test_segments_become_objects_and_leave_the_spool(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    for number in range(5):
        sealed(spool, number)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    assert len(objects(tmp_path / "store")) == 10
    totals = memory.totals()
    assert totals.of(Counter.ARCHIVED) == 15
    assert totals.of(Counter.ARCHIVE_OBJECTS) == 5
    assert totals.of(Mark.ARCHIVE_LAST_MS) > T0
    assert list(spool.iterdir()) == []  # no scratch left either


def test_what_is_open_is_left_alone(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    segment = OpenSegment(spool, SegmentName("node", BOOT, 9), T0)
    sealed(spool, 1)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool, State.SEALED))
    assert [each.state for each in files(spool)] == [State.OPEN]
    segment.close()


def test_a_segment_that_can_not_be_stored_holds_up_no_other(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    store = tmp_path / "store"
    bad = sealed(spool, 1, T0)
    os.utime(bad, (1, 1))  # the oldest: it would come first each time
    for number in range(2, 6):
        sealed(spool, number, T0 + HOUR_MS)
    hour = "dt=2025-11-24/hr=16"
    (store / "v1/data" / hour).parent.mkdir(parents=True)
    (store / "v1/data" / hour).write_text("a file where the folder should be")
    with running(spool, store, memory):
        until(lambda: [each.path for each in files(spool)] == [bad])
        until(lambda: memory.totals().of(Counter.ARCHIVE_UPLOAD_FAILURES) >= 3)  # it is tried again and again
        assert kind_of(memory.totals().of(Mark.ARCHIVE_TROUBLE)) == "NotAFolder"
        (store / "v1/data" / hour).unlink()
        until(lambda: not files(spool))
    assert memory.totals().of(Counter.ARCHIVED) == 15


def test_a_segment_that_can_not_be_opened_holds_up_no_other(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    bad = path_of(spool, SegmentName("node", BOOT, 1), State.SEALED)
    bad.mkdir()
    os.utime(bad, (1, 1))
    with running(spool, tmp_path / "store", memory):
        for number in (2, 3):
            sealed(spool, number)
            until(lambda: [each.path for each in files(spool)] == [bad])
        bad.rmdir()
    assert memory.totals().of(Counter.ARCHIVED) == 6


def test_a_segment_that_can_not_be_removed_is_counted_when_it_is(
    spool: Path, tmp_path: Path, memory: LedgerMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.unlink
    refused: list[str] = []

    def unlink(path: Any, **where: Any) -> None:
        if str(path).endswith(".sealed") and len(refused) < 3:
            refused.append(str(path))
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        real(path, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    sealed(spool, 1)
    with running(spool, tmp_path / "store", memory):
        until(lambda: len(refused) == 1)
        first = objects(tmp_path / "store")
        assert memory.totals().of(Counter.ARCHIVED) == 0
        until(lambda: not files(spool))
    assert len(refused) == 3
    assert objects(tmp_path / "store") == first
    assert len(first) == 2
    assert memory.totals().of(Counter.ARCHIVED) == 3


def test_a_folder_that_can_not_be_synced_does_not_spoil_the_account(
    spool: Path, tmp_path: Path, memory: LedgerMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, folder = os.fsync, os.stat(spool)
    refused: list[int] = []

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), folder):
            refused.append(descriptor)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    sealed(spool, 1)
    monkeypatch.setattr(os, "fsync", fsync)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    assert refused
    assert memory.totals().of(Counter.ARCHIVED) == 3


def test_two_archivers_store_each_segment_once(spool: Path, tmp_path: Path) -> None:
    for number in range(40):
        sealed(spool, number, payloads=1)
    one, other = LedgerMemory.create(1), LedgerMemory.create(1)
    with running(spool, tmp_path / "store", one), running(spool, tmp_path / "store", other):
        until(lambda: not files(spool))
    assert one.totals().of(Counter.ARCHIVED) + other.totals().of(Counter.ARCHIVED) == 40
    assert len(objects(tmp_path / "store")) == 80


def test_a_segment_that_somebody_has_in_hand_is_left(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    held = sealed(spool, 1)
    sealed(spool, 2)
    descriptor = claim(held)
    assert descriptor is not None
    with running(spool, tmp_path / "store", memory):
        until(lambda: [each.path for each in files(spool)] == [held])
    os.close(descriptor)


def test_what_a_worker_let_go_of_a_moment_before_the_end_is_archived(
    spool: Path, tmp_path: Path, memory: LedgerMemory
) -> None:
    held = sealed(spool, 1)
    sealed(spool, 2)
    descriptor = claim(held)
    assert descriptor is not None
    with running(spool, tmp_path / "store", memory):
        until(lambda: [each.path for each in files(spool)] == [held])  # seen, and left to whoever has it
        os.close(descriptor)
    assert files(spool) == []
    assert memory.totals().of(Counter.ARCHIVED) == 6


def test_a_damaged_segment_is_archived_as_far_as_it_is_whole_and_kept(
    spool: Path, tmp_path: Path, memory: LedgerMemory
) -> None:
    path = sealed(spool, 1)
    data = bytearray(path.read_bytes())
    data[data.find(b'{"n":2}')] ^= 1
    path.write_bytes(data)
    with running(spool, tmp_path / "store", memory):
        until(lambda: bool(files(spool, State.DAMAGED)))
    (found,) = files(spool)
    assert found.path.read_bytes() == data
    totals = memory.totals()
    assert (totals.of(Counter.ARCHIVED), totals.of(Counter.ARCHIVE_DAMAGED)) == (2, 1)
    assert totals.of(Counter.ARCHIVE_DAMAGED_SEGMENTS) == 1


def test_a_tail_that_a_crash_tore_off_is_no_damage(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    path = sealed(spool, 1)
    path.write_bytes(path.read_bytes()[:-3])
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    assert memory.totals().of(Counter.ARCHIVED) == 2
    assert memory.totals().of(Counter.ARCHIVE_DAMAGED_SEGMENTS) == 0


def test_what_is_no_segment_is_kept_and_tells_so(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    path_of(spool, SegmentName("node", BOOT, 1), State.SEALED).write_bytes(b"rubbish")
    with running(spool, tmp_path / "store", memory):
        until(lambda: bool(files(spool, State.DAMAGED)))
    assert objects(tmp_path / "store") == {}
    assert memory.totals().of(Counter.ARCHIVE_DAMAGED_SEGMENTS) == 1


def test_an_empty_segment_leaves_nothing(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    sealed(spool, 1, payloads=0)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    assert objects(tmp_path / "store") == {}


def test_of_whom_is_erased_nothing_is_stored_and_all_is_counted(
    spool: Path, tmp_path: Path, memory: LedgerMemory
) -> None:
    suppress(DirectoryStore(tmp_path / "store"), Unwanted("d", None, 0, 2**62), T0)
    sealed(spool, 1)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    totals = memory.totals()
    assert totals.drops()[Drop.SUPPRESSED] == (3, 3 * len(b'{"n":1}'))
    assert totals.of(Counter.ARCHIVED) == 0
    assert totals.pending() == -3  # these were never counted as written: nobody has lost one
    store = DirectoryStore(tmp_path / "store")
    (gap,) = Reader(store).gaps(from_ms=T0, to_ms=T0 + 1)
    assert isinstance(gap, GapRow)
    assert gap.gap == {"reason": "suppressed", "payloads": 3, "bytes": 21, "from": T0, "to": T0}
    assert list(Reader(store).find(from_ms=T0, to_ms=T0 + 1)) == []


def test_what_is_erased_while_it_is_stored_is_stored_anew_without_it(
    spool: Path, tmp_path: Path, memory: LedgerMemory
) -> None:
    class Erasing(DirectoryStore):
        """In which somebody is erased just before the first index is there."""

        def put(self, key: str, source: Path | bytes) -> None:
            if key.startswith("v1/index/"):
                suppress(DirectoryStore(tmp_path / "store"), Unwanted("d", None, 0, 2**62), T0)
            super().put(key, source)

    sealed(spool, 1)
    store = Erasing(tmp_path / "store")
    one = Uploader(spool, "node", store, OPTIONS, RULES, Ledger(memory.rows[0]))
    one.start()
    until(lambda: not files(spool))
    assert one.stop(PATIENCE)
    assert list(Reader(store).find(from_ms=T0, to_ms=T0 + 1)) == []
    assert memory.totals().drops()[Drop.SUPPRESSED][0] == 3
    assert memory.totals().of(Counter.ARCHIVED) == 0


def test_what_lay_there_before_the_start_is_counted_as_found(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    Ledger(memory.rows[0]).mark(Mark.RUN_BEGAN_MS, T0 + 1)
    sealed(spool, 1, T0)
    sealed(spool, 2, T0 + 1)
    with running(spool, tmp_path / "store", memory):
        until(lambda: not files(spool))
    assert memory.totals().of(Counter.ARCHIVE_FOUND) == 3


def test_how_much_waits_can_be_seen(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    store = tmp_path / "store"
    store.write_text("a file where the folder should be")
    path = sealed(spool, 1)
    os.utime(path, (time.time() - 100, time.time() - 100))
    one = Uploader(spool, "node", DirectoryStore(store), OPTIONS, RULES, Ledger(memory.rows[0]))
    one.start()
    until(lambda: memory.totals().of(Gauge.SPOOL_SEALED_SEGMENTS) == 1)
    assert 100 <= memory.totals().of(Gauge.SPOOL_OLDEST_SECONDS) < 100 + PATIENCE
    one.stop(0.0)


def test_pauses_double_up_to_a_bound_and_are_never_in_step() -> None:
    rules = UploadRules(2, 1.0, 300.0)
    assert [pause_after(failures, rules, 1.0) for failures in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert pause_after(1, rules, 0.0) == 0.5


PROGRAM = """
import os, sys
from pathlib import Path
from tests.unit.archive.test_uploader import uploader, until, files
from proxy.observe.ledger import LedgerMemory

def run(spool, store, ledger, last):
    one = uploader(spool, store, LedgerMemory(ledger))
    left = [last]
    def step(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "fcntl.flock", "os.listdir", "os.scandir"):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
    sys.addaudithook(step)
    one.start()
    until(lambda: not files(spool))
    one.stop(30)

for line in sys.stdin:
    spool, store, ledger, last = line.split()
    child = os.fork()
    if not child:
        code = 1
        try:
            run(Path(spool), Path(store), int(ledger), int(last))
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOST_STEPS = 150


def test_killed_at_any_step_it_stores_and_counts_each_upload_once(tmp_path: Path) -> None:
    """The process ends without a word at its first, second, … use of the file system; another finishes the work."""
    memories = [LedgerMemory.create(1) for _ in range(MOST_STEPS)]
    expected: dict[str, bytes] | None = None
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        pass_fds=[memory.number for memory in memories],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for step, memory in enumerate(memories, 1):
            spool, store = tmp_path / f"spool{step}", tmp_path / f"store{step}"
            spool.mkdir()
            sealed_with_one_salt(spool)
            program.stdin.write(f"{spool} {store} {memory.number} {step}\n")
            code = program.stdout.readline().strip()
            assert code in ("0", "9"), f"step {step}"
            with running(spool, store, memory):
                until(lambda spool=spool: not files(spool))  # type: ignore[misc]
            assert memory.totals().of(Counter.ARCHIVED) == 3, f"step {step}"
            found = objects(store)
            expected = expected or found
            assert found == expected, f"step {step}"
            assert list(spool.iterdir()) == []
            if code == "0":
                break
        program.stdin.close()
    assert code == "0"
    assert step > 15


def sealed_with_one_salt(spool: Path) -> None:
    """The same segment each time: objects follow from the bytes alone."""
    source = spool.parent / "segment"
    if not source.exists():
        origin = spool.parent / "origin"
        origin.mkdir()
        sealed(origin, 1).rename(source)
    path_of(spool, SegmentName("node", BOOT, 1), State.SEALED).write_bytes(source.read_bytes())


def test_a_dead_archivers_scratch_is_removed_and_a_living_ones_is_not(spool: Path) -> None:
    dead = spool / "sealing-dead"
    dead.mkdir()
    (dead / "x.data").touch()
    living = Scratch(spool)
    another = Scratch(spool)
    assert not dead.exists()
    assert living.path.exists()
    another.close()
    living.close()
    assert list(spool.iterdir()) == []


def test_the_segment_that_an_archiver_died_over_comes_last(spool: Path, tmp_path: Path, memory: LedgerMemory) -> None:
    first = sealed(spool, 1)
    for number in (2, 3):
        os.utime(sealed(spool, number), (time.time() + number,) * 2)
    (spool / "sealing-dead").mkdir()
    (spool / "sealing-dead" / f"node-{BOOT}-00000001.data").touch()
    assert data_file(SegmentName("node", BOOT, 1)) == f"node-{BOOT}-00000001.data"
    one_by_one = UploadRules(1, RULES.backoff, RULES.backoff_max)
    one = Uploader(spool, "node", DirectoryStore(tmp_path / "store"), OPTIONS, one_by_one, Ledger(memory.rows[0]))
    one.start()
    until(lambda: not first.exists())
    assert one.stop(PATIENCE)
    data = (tmp_path / "store").rglob("node-*")
    in_turn = sorted((path for path in data if "data" in path.parts), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name.partition(".")[0][-1] for path in in_turn] == ["2", "3", "1"]
