"""Proves that a segment's file always ends behind a whole frame, whatever the disk does, and that a disk which failed
to write is not asked again."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.spool.folder import State
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import SEGMENT_HEAD, Kind
from tests.unit.spool.spooled import BOOT, T0, Kept, files, kept, read

NAME = SegmentName("node", BOOT, 0)


@contextmanager
def opened(folder: Path) -> Iterator[OpenSegment]:
    segment = OpenSegment(folder, NAME, T0)
    try:
        yield segment
    finally:
        segment.close()


def test_frames_are_there_in_order_once_it_is_sealed(tmp_path: Path) -> None:
    with opened(tmp_path) as segment:
        segment.append(Kind.PAYLOAD, 1, T0, b"{}", [b"ab", b"", b"c"])
        segment.append(Kind.OUTCOME, 1, T0 + 5, b'{"status":200}')
        segment.sync()
        segment.seal()
        assert not segment.is_open
    (found,) = files(tmp_path)
    assert found.state is State.SEALED
    assert list(read(found.path)) == [
        Kept(Kind.PAYLOAD, 1, {}, b"abc"),
        Kept(Kind.OUTCOME, 1, {"status": 200}, b""),
    ]
    assert found.path.stat().st_size == segment.size


def test_more_pieces_than_the_system_takes_at_once(tmp_path: Path) -> None:
    with opened(tmp_path) as segment:
        segment.append(Kind.PAYLOAD, 1, T0, b"{}", [b"%d," % n for n in range(5000)])
    assert kept(tmp_path)[0].body == b"".join(b"%d," % n for n in range(5000))


def test_a_file_that_may_not_grow_keeps_what_it_had(tmp_path: Path) -> None:
    """RLIMIT_FSIZE cuts the write in the middle, as a full disk does."""
    program = """
import pathlib, resource, signal, sys
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import Kind
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
segment = OpenSegment(pathlib.Path(sys.argv[1]), SegmentName("node", "0123456789abcdef", 0), 5)
segment.append(Kind.PAYLOAD, 1, 5, b"{}", [b"a" * 1000])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for _ in range(3):
    try:
        segment.append(Kind.PAYLOAD, 2, 5, b"{}", [b"b" * 10000])
        print("written")
    except OSError as error:
        print(error.errno, segment.is_suspect)
segment.append(Kind.PAYLOAD, 3, 5, b"{}", [b"c" * 1000])
segment.seal()
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.stdout == f"{errno.EFBIG} False\n" * 3, done.stderr
    (found,) = files(tmp_path, State.SEALED)
    assert [each.sequence for each in read(found.path) if isinstance(each, Kept)] == [1, 3]


def test_a_failed_sync_makes_it_suspect_and_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fails(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    with opened(tmp_path) as segment:
        segment.append(Kind.PAYLOAD, 1, T0, b"{}", [b"abc"])
        monkeypatch.setattr(os, "fdatasync", fails)
        with pytest.raises(OSError, match="Input/output"):
            segment.sync()
        assert segment.is_suspect
        segment.sync()
        assert len(calls) == 1
        segment.seal()
    assert kept(tmp_path)[0].body == b"abc"


def test_what_is_on_the_disk_is_not_synced_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fdatasync, list[int]()

    def counted(descriptor: int) -> None:
        calls.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    with opened(tmp_path) as segment:
        segment.sync()
        segment.sync()
        assert len(calls) == 1
        segment.append(Kind.GAP, 0, T0, b"{}")
        segment.sync()
        assert len(calls) == 2


def test_a_process_killed_while_it_writes_leaves_whole_frames_and_at_most_a_torn_one(tmp_path: Path) -> None:
    """Each frame that was told to be written is there, over many kills."""
    program = """
import pathlib, sys
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import Kind
segment = OpenSegment(pathlib.Path(sys.argv[1]), SegmentName("node", "0123456789abcdef", int(sys.argv[2])), 5)
for sequence in range(1, 100000):
    segment.append(Kind.PAYLOAD, sequence, 5, b"{}", [bytes(sequence % 5000)])
    print(sequence, flush=True)
"""
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", program, str(folder), str(number)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 37 * number):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout.read().splitlines() if line.strip())])
        whole = [each.sequence for each in kept(folder)]
        assert whole == list(range(1, len(whole) + 1))
        assert len(whole) >= told


def test_a_segment_that_can_not_be_created_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / f"{NAME}.new").touch()
    with pytest.raises(FileExistsError):
        OpenSegment(tmp_path, NAME, T0)
    with pytest.raises(FileNotFoundError):
        OpenSegment(tmp_path / "nowhere", NAME, T0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_head_is_there_before_the_first_frame(tmp_path: Path) -> None:
    with opened(tmp_path) as segment:
        assert segment.size == SEGMENT_HEAD
        assert files(tmp_path)[0].path.stat().st_size == SEGMENT_HEAD
