"""Proves that the folder stays within its bound whoever writes to it, that a full spool does not flap, and that what is
removed for newer uploads is the oldest, is counted, and is in nobody's use."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.model.drop import Drop
from proxy.spool.folder import State, claim, path_of
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.room import Removed, Room
from proxy.spool.segment import Kind
from tests.unit.spool.spooled import BOOT, T0, files

MOST = 100_000


def sealed(folder: Path, number: int, payloads: int = 2, size: int = 1000, age: int = 0) -> Path:
    """A sealed segment, last written to `age` seconds ago."""
    segment = OpenSegment(folder, SegmentName("node", BOOT, number), T0)
    for sequence in range(payloads):
        segment.append(Kind.PAYLOAD, sequence + 1, T0 + sequence, b"{}", [bytes(size)])
        segment.append(Kind.OUTCOME, sequence + 1, T0 + sequence, b"{}")
    segment.seal()
    path = path_of(folder, segment.name, State.SEALED)
    os.utime(path, (T0 / 1000 - age, T0 / 1000 - age))
    return path


def looked(folder: Path, max_bytes: int = MOST, min_free: int = 0) -> Room:
    room = Room(folder, max_bytes, min_free)
    room.look()
    return room


def test_what_is_left_is_the_bound_less_all_files(tmp_path: Path) -> None:
    path = sealed(tmp_path, 1)
    (tmp_path / f"{SegmentName('node', BOOT, 2)}.damaged").write_bytes(bytes(500))
    (tmp_path / "foreign").write_bytes(bytes(9000))
    assert looked(tmp_path).left == MOST - path.stat().st_size - 500


def test_what_is_left_is_shared_among_those_who_write(tmp_path: Path) -> None:
    for number in range(4):
        path_of(tmp_path, SegmentName("node", BOOT, number), State.OPEN).touch()
    assert looked(tmp_path).left == MOST // 4


def test_what_is_taken_is_gone_until_the_next_look(tmp_path: Path) -> None:
    room = looked(tmp_path)
    assert room.take(MOST - 10) is None
    assert room.take(11) is Drop.SPOOL_FULL
    assert room.take(1) is Drop.SPOOL_FULL  # a small one does not slip in behind: uploads are dropped in a row


def test_a_disk_with_too_little_left_is_no_room(tmp_path: Path) -> None:
    room = looked(tmp_path, 1 << 60, 1 << 60)
    assert room.left == 0
    assert room.take(1) is Drop.NO_SPACE


def test_a_full_spool_takes_nothing_until_a_part_of_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / f"{SegmentName('node', BOOT, 1)}.sealed"
    path.write_bytes(bytes(MOST))
    room = looked(tmp_path)
    assert room.take(1) is Drop.SPOOL_FULL
    path.unlink()
    other = tmp_path / f"{SegmentName('node', BOOT, 2)}.sealed"
    other.write_bytes(bytes(MOST - MOST // 20 + 1))
    room.look()
    assert (room.is_full, room.left) == (True, 0)
    other.unlink()
    (tmp_path / f"{SegmentName('node', BOOT, 3)}.sealed").write_bytes(bytes(MOST - MOST // 20))
    room.look()
    assert (room.is_full, room.left) == (False, MOST // 20)


def test_files_that_go_while_the_folder_is_read_are_not_missed(tmp_path: Path) -> None:
    path = sealed(tmp_path, 1)
    room = looked(tmp_path)
    path.unlink()
    room.look()
    assert room.left == MOST


def test_the_oldest_segments_are_removed_for_room_and_told(tmp_path: Path) -> None:
    newest, oldest, middle = sealed(tmp_path, 1, age=1), sealed(tmp_path, 2, age=9), sealed(tmp_path, 3, age=5)
    room = looked(tmp_path, sum(each.stat().st_size for each in (newest, oldest, middle)))
    assert room.take(100) is Drop.SPOOL_FULL
    assert list(room.make(100)) == [Removed(2, 2000, T0, T0 + 1, ())]
    assert room.take(100) is None
    assert {each.path for each in files(tmp_path)} == {newest, middle}


def test_more_than_one_is_removed_when_one_is_not_enough(tmp_path: Path) -> None:
    for number in range(4):
        sealed(tmp_path, number, age=9 - number)
    used = sum(each.path.stat().st_size for each in files(tmp_path))
    room = looked(tmp_path, used)
    assert room.take(used // 2) is Drop.SPOOL_FULL
    assert len(list(room.make(used // 2))) == 2
    assert room.take(used // 2) is None


def test_a_segment_that_is_being_uploaded_is_not_removed(tmp_path: Path) -> None:
    oldest, newest = sealed(tmp_path, 1, age=9), sealed(tmp_path, 2)
    room = looked(tmp_path, sum(each.stat().st_size for each in (oldest, newest)))
    descriptor = claim(oldest)
    assert descriptor is not None
    try:
        assert len(list(room.make(100))) == 1
        assert [each.path for each in files(tmp_path)] == [oldest]
    finally:
        os.close(descriptor)


def test_a_removed_file_that_is_no_segment_costs_nobody_anything(tmp_path: Path) -> None:
    path_of(tmp_path, SegmentName("node", BOOT, 1), State.SEALED).write_bytes(b"rubbish" * 100)
    room = looked(tmp_path, 700)
    assert list(room.make(100)) == [Removed(0, 0, 0, 0, ())]


def test_when_nothing_can_be_removed_the_newest_has_to_go(tmp_path: Path) -> None:
    path_of(tmp_path, SegmentName("node", BOOT, 1), State.DAMAGED).write_bytes(bytes(MOST))
    room = looked(tmp_path)
    assert list(room.make(100)) == []
    assert room.take(100) is Drop.SPOOL_FULL
