"""Proves that nothing is lost without being counted: segments rotate by size, age and hour, outcomes follow their
uploads, a full or failing disk costs the uploads that it refuses and no others, and each of these is a gap."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory, Mark
from proxy.spool.entries import Outcome, Upload
from proxy.spool.folder import State
from proxy.spool.gaps import Gap
from proxy.spool.rotation import OUTCOME_SECONDS, RETRY_SECONDS, Rotation
from proxy.spool.segment import Kind
from tests.unit.spool.spooled import BOOT, HOUR_MS, OTHER_BOOT, T0, files, kept, ledger, rules, upload


def rotation(folder: Path, **changed: Any) -> Rotation:
    return Rotation(rules(folder, **changed), BOOT, ledger())


def outcome(one: Upload) -> Outcome:
    return Outcome(one, one.time_ms + 10, b'{"status":200}')


def finish(one: Rotation) -> None:
    one.end(0.0, T0)


def test_an_upload_and_its_outcome_are_in_one_segment(tmp_path: Path) -> None:
    one, first = rotation(tmp_path), upload(1, b"body")
    assert one.write(first, 0.0) is None
    one.follow(outcome(first), 0.0)
    finish(one)
    (found,) = files(tmp_path, State.SEALED)
    assert [each.body for each in kept(tmp_path)] == [b"body"]
    assert [each.sequence for each in kept(tmp_path, Kind.OUTCOME)] == [1]
    assert str(found.name) == f"node-{BOOT}-00000000"


def test_a_full_segment_is_sealed_when_the_last_outcome_is_there(tmp_path: Path) -> None:
    one = rotation(tmp_path, rotate_bytes=1000)
    first, second = upload(1, bytes(1000)), upload(2, b"next")
    one.write(first, 0.0)
    one.write(second, 1.0)
    one.seal_full(1.0)
    assert [each.state for each in files(tmp_path)] == [State.OPEN, State.OPEN]
    one.follow(outcome(first), 2.0)
    one.seal_full(2.0)
    assert [each.state for each in files(tmp_path)] == [State.SEALED, State.OPEN]
    finish(one)


def test_a_full_segment_does_not_wait_for_ever(tmp_path: Path) -> None:
    one = rotation(tmp_path, rotate_bytes=1000)
    first = upload(1, bytes(1000))
    one.write(first, 0.0)
    one.write(upload(2, b"next"), 1.0)
    one.seal_full(1.0 + OUTCOME_SECONDS)
    assert [each.state for each in files(tmp_path)] == [State.SEALED, State.OPEN]
    one.follow(outcome(first), 2.0 + OUTCOME_SECONDS)  # too late: not in another segment either
    finish(one)
    assert kept(tmp_path, Kind.OUTCOME) == []


def test_a_segment_is_sealed_by_its_age(tmp_path: Path) -> None:
    one, first = rotation(tmp_path, rotate_seconds=60.0), upload(1, b"x")
    one.write(first, 0.0)
    one.follow(outcome(first), 0.0)
    one.look(59.0, T0 + 59_000)
    one.seal_full(59.0)
    assert files(tmp_path, State.SEALED) == []
    one.look(60.0, T0 + 60_000)
    one.seal_full(60.0)
    assert len(files(tmp_path, State.SEALED)) == 1
    one.look(61.0, T0 + 61_000)
    assert len(files(tmp_path)) == 1  # an idle gateway makes no segments


def test_each_hour_has_its_own_segments_also_when_the_clock_jumps(tmp_path: Path) -> None:
    one = rotation(tmp_path)
    times = (T0 + HOUR_MS - 1, T0 + HOUR_MS, T0 + HOUR_MS + 1, T0 + 25 * HOUR_MS, T0 + HOUR_MS)
    for sequence, time_ms in enumerate(times, 1):
        one.write(upload(sequence, b"x", time_ms), 0.0)
    finish(one)
    assert len(files(tmp_path, State.SEALED)) == 4


def test_an_idle_segment_is_sealed_at_the_end_of_the_hour(tmp_path: Path) -> None:
    one, first = rotation(tmp_path), upload(1, b"x")
    one.write(first, 0.0)
    one.follow(outcome(first), 0.0)
    one.look(1.0, T0 + HOUR_MS)
    one.seal_full(1.0)
    assert len(files(tmp_path, State.SEALED)) == 1


def test_a_full_spool_drops_the_newest_and_says_so_when_there_is_room(tmp_path: Path) -> None:
    one = rotation(tmp_path, max_bytes=5000)
    written = [one.write(upload(sequence, bytes(1000)), 0.0) for sequence in range(1, 9)]
    assert written == [None] * 4 + [Drop.SPOOL_FULL] * 4
    finish(one)
    assert [each.sequence for each in kept(tmp_path)] == [1, 2, 3, 4]
    assert sum(each.path.stat().st_size for each in files(tmp_path)) <= 5000


def test_a_full_spool_drops_the_oldest_if_that_is_asked_for(tmp_path: Path) -> None:
    row = ledger()
    one = Rotation(rules(tmp_path, max_bytes=10_000, rotate_bytes=2000, drop_oldest=True), BOOT, row)
    for sequence in range(1, 31):
        each = upload(sequence, bytes(900))
        assert one.write(each, float(sequence)) is None
        one.follow(outcome(each), float(sequence))
        one.seal_full(float(sequence))
    finish(one)
    there = [each.sequence for each in kept(tmp_path)]
    assert there == list(range(31 - len(there), 31))
    gaps = kept(tmp_path, Kind.GAP)
    assert {each.meta["reason"] for each in gaps} == {"oldest"}
    assert sum(each.meta["payloads"] for each in gaps) == 30 - len(there)  # also where a gap went with what it lay in
    assert len(there) >= 4


def test_gaps_are_written_with_sums_by_reason(tmp_path: Path) -> None:
    one = rotation(tmp_path)
    for number in range(3):
        from_loop = upload(0, b"", T0 + number)
        one.gaps.add(_gap(Drop.QUEUE_FULL, from_loop.time_ms))
    one.gaps.add(_gap(Drop.DISK_ERROR, T0))
    one.look(0.0, T0)
    finish(one)
    assert sorted((each.meta for each in kept(tmp_path, Kind.GAP)), key=lambda each: each["reason"]) == [
        {"reason": "disk-error", "payloads": 1, "bytes": 7, "from": T0, "to": T0},
        {"reason": "queue-full", "payloads": 3, "bytes": 21, "from": T0, "to": T0 + 2},
    ]


def _gap(reason: Drop, time_ms: int) -> Gap:
    return Gap(reason, 1, 7, time_ms, time_ms)


def test_gaps_while_it_is_full_are_written_once_and_at_the_end(tmp_path: Path) -> None:
    one = rotation(tmp_path, max_bytes=1100)
    one.write(upload(1, bytes(1000)), 0.0)
    for second in range(1, 100):
        assert one.write(upload(second + 1, bytes(1000)), float(second)) is Drop.SPOOL_FULL
        one.gaps.add(_gap(Drop.SPOOL_FULL, T0 + second))
        one.look(float(second), T0 + second)
    assert kept(tmp_path, Kind.GAP) == []
    finish(one)
    (only,) = kept(tmp_path, Kind.GAP)
    assert only.meta["payloads"] == 99


def test_a_disk_that_fails_once_costs_one_upload_and_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, real = rotation(tmp_path), os.writev

    def fails(descriptor: int, pieces: Any) -> int:
        monkeypatch.setattr(os, "writev", real)
        raise OSError(errno.EIO, "Input/output error")

    assert one.write(upload(1, b"before"), 0.0) is None
    monkeypatch.setattr(os, "writev", fails)
    assert one.write(upload(2, b"refused"), 1.0) is Drop.DISK_ERROR
    assert one.write(upload(3, b"after"), 1.0) is None
    finish(one)
    assert [each.body for each in kept(tmp_path)] == [b"before", b"after"]


def test_while_no_file_can_be_made_uploads_are_dropped_and_the_disk_is_left_alone(tmp_path: Path) -> None:
    blocked = tmp_path / "spool"
    blocked.write_text("a file where the folder should be")
    one = rotation(blocked)
    assert one.write(upload(1, b"x"), 0.0) is Drop.DISK_ERROR
    blocked.unlink()
    assert one.write(upload(2, b"x"), RETRY_SECONDS / 2) is Drop.DISK_ERROR
    assert one.write(upload(3, b"x"), RETRY_SECONDS) is None
    finish(one)
    assert [each.sequence for each in kept(blocked)] == [3]


def test_no_space_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, pieces: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    one = rotation(tmp_path)
    assert one.write(upload(1, b"x"), 0.0) is None
    monkeypatch.setattr(os, "writev", full)
    assert one.write(upload(2, b"x"), 0.0) is Drop.NO_SPACE
    monkeypatch.undo()
    finish(one)


def test_after_a_failed_sync_another_segment_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, synced = os.fdatasync, []

    def fails(descriptor: int) -> None:
        synced.append(descriptor)
        monkeypatch.setattr(os, "fdatasync", real)
        raise OSError(errno.EIO, "Input/output error")

    row = ledger()
    one = Rotation(rules(tmp_path), BOOT, row)
    one.write(upload(1, b"suspect"), 0.0)
    monkeypatch.setattr(os, "fdatasync", fails)
    one.sync()
    assert row._values[Counter.SPOOL_SYNC_FAILURES] == 1
    one.write(upload(2, b"good"), 0.0)
    one.seal_full(0.0)
    assert [each.state for each in files(tmp_path)] == [State.SEALED, State.OPEN]
    finish(one)
    assert len(synced) == 1
    assert [each.body for each in kept(tmp_path)] == [b"suspect", b"good"]


def test_a_segment_whose_name_can_not_be_changed_is_left_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rotation(tmp_path)
    one.write(upload(1, b"x"), 0.0)

    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refused)
    finish(one)
    monkeypatch.undo()
    assert [each.state for each in files(tmp_path)] == [State.OPEN]
    another = Rotation(rules(tmp_path), OTHER_BOOT, ledger())
    another.look(0.0, T0)
    finish(another)
    assert [each.state for each in files(tmp_path)] == [State.SEALED]


def test_what_a_killed_worker_had_written_and_lost_is_told_apart(tmp_path: Path) -> None:
    """Offered 10: 6 written and counted, 1 written and not counted any more, 3 still in memory."""
    memory = LedgerMemory.create(1)
    row = Ledger(memory.rows[0])
    dead = Rotation(rules(tmp_path), BOOT, row)
    row.count(Counter.SPOOL_OFFERED, 10)
    row.count(Counter.SPOOL_OFFERED_BYTES, 1000)
    for sequence in range(1, 8):
        dead.write(upload(sequence, bytes(100)), 0.0)
        if sequence < 7:
            row.count(Counter.SPOOL_WRITTEN)
            row.count(Counter.SPOOL_WRITTEN_BYTES, 100)
            row.mark(Mark.SPOOL_SETTLED, sequence)
    dead._current.close()  # type: ignore[union-attr]  # as the system does when it is killed
    successor = Rotation(rules(tmp_path), OTHER_BOOT, Ledger(memory.rows[0]))
    successor.look(0.0, T0)
    finish(successor)
    totals = memory.totals()
    assert totals.of(Counter.SPOOL_WRITTEN) == 7
    assert totals.of(Counter.SPOOL_WRITTEN_BYTES) == 700
    assert totals.drops()[Drop.CRASH] == (3, 300)
    (gap,) = kept(tmp_path, Kind.GAP)
    assert gap.meta["reason"] == "crash"
    assert (gap.meta["payloads"], gap.meta["bytes"]) == (3, 300)
    assert len(kept(tmp_path)) == 7


def test_a_first_worker_has_nobody_to_answer_for(tmp_path: Path) -> None:
    one = rotation(tmp_path)
    one.look(0.0, T0)
    finish(one)
    assert files(tmp_path) == []


def counted_writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces each write had."""
    real, found = os.writev, []

    def counted(descriptor: int, pieces: Any) -> int:
        found.append(len(pieces))
        return real(descriptor, pieces)

    monkeypatch.setattr(os, "writev", counted)
    return found


def test_what_came_together_is_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = rotation(tmp_path)
    first = upload(1, b"first")
    assert one.write(first, 0.0) is None
    writes = counted_writes(monkeypatch)
    others = [upload(sequence, b"body %d" % sequence) for sequence in range(2, 12)]
    entries: list[Upload | Outcome] = [outcome(first), *others, *map(outcome, others)]
    assert list(one.write_all(entries, 0.0)) == [(each, None) for each in others]
    assert len(writes) == 1
    finish(one)
    assert len(files(tmp_path, State.SEALED)) == 1
    assert [each.body for each in kept(tmp_path)] == [b"first", *(b"body %d" % number for number in range(2, 12))]
    assert [each.sequence for each in kept(tmp_path, Kind.OUTCOME)] == list(range(1, 12))


def test_what_came_together_is_parted_where_a_segment_ends(tmp_path: Path) -> None:
    one = rotation(tmp_path, rotate_bytes=3000)
    uploads = [upload(sequence, bytes(900), T0 + HOUR_MS * (sequence > 20)) for sequence in range(1, 31)]
    entries: list[Upload | Outcome] = []
    for each in uploads:
        entries += [each, outcome(each)]
    assert list(one.write_all(entries, 0.0)) == [(each, None) for each in uploads]
    finish(one)
    sizes = [each.path.stat().st_size for each in files(tmp_path)]
    assert len(sizes) == 11  # three uploads each, of one hour
    assert max(sizes) < 3000 + 1000
    assert [each.sequence for each in kept(tmp_path)] == list(range(1, 31))
    assert [each.sequence for each in kept(tmp_path, Kind.OUTCOME)] == list(range(1, 31))


def test_of_what_came_together_only_what_has_no_room_is_dropped(tmp_path: Path) -> None:
    one = rotation(tmp_path, max_bytes=5000)
    uploads = [upload(sequence, bytes(1000)) for sequence in range(1, 9)]
    found = list(one.write_all([*uploads, *map(outcome, uploads)], 0.0))
    assert found == [(each, None if each.sequence < 5 else Drop.SPOOL_FULL) for each in uploads]
    finish(one)
    assert [each.sequence for each in kept(tmp_path, Kind.OUTCOME)] == [1, 2, 3, 4]


def test_of_what_came_together_only_what_the_disk_refuses_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rotation(tmp_path)
    assert one.write(upload(1, b"first"), 0.0) is None
    real = os.writev

    def full(descriptor: int, pieces: Any) -> int:
        if sum(map(len, pieces)) > 2000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, pieces)

    monkeypatch.setattr(os, "writev", full)
    uploads = [upload(2, bytes(500)), upload(3, bytes(3000)), upload(4, bytes(500))]
    found = list(one.write_all([*uploads, *map(outcome, uploads)], 0.0))
    assert found == [(uploads[0], None), (uploads[1], Drop.NO_SPACE), (uploads[2], None)]
    finish(one)
    assert [each.sequence for each in kept(tmp_path)] == [1, 2, 4]
    assert [each.sequence for each in kept(tmp_path, Kind.OUTCOME)] == [2, 4]
    assert [each.state for each in files(tmp_path)] == [State.SEALED]


def test_a_frame_of_any_size_has_the_sum_that_its_reader_makes(tmp_path: Path) -> None:
    one, near = rotation(tmp_path, rotate_bytes=1 << 30), (5120, 262_144)
    sizes = [0, 1, *(limit + off for limit in near for off in (-1, 0, 1)), 10_240, 700_001]
    uploads = [upload(number, os.urandom(size)) for number, size in enumerate(sizes, 1)]
    bodies = [each.body[0] for each in uploads]
    assert [dropped for _, dropped in one.write_all(uploads, 0.0)] == [None] * len(sizes)
    finish(one)
    assert [each.body for each in kept(tmp_path)] == bodies
