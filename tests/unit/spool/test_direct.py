"""Proves that what is large goes past the page cache, in whole blocks, and is in the file as it was given, whatever its
pieces, whatever is appended in between, and whatever the file system says to it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.spool.direct import BLOCK, BUFFER, LEAST, MOST, DirectWriter
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import Kind
from tests.unit.spool.spooled import BOOT, T0, kept

NAME = SegmentName("node", BOOT, 0)


class Calls:
    """What was written, and whether it went past the cache."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.past = 0
        self.usual = 0
        self._real = os.write
        monkeypatch.setattr(os, "write", self._write)

    def _write(self, descriptor: int, data: Any) -> int:
        at = os.fstat(descriptor).st_size
        done = self._real(descriptor, data)
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            address = ctypes.addressof(ctypes.c_char.from_buffer(data))
            assert (at % BLOCK, len(data) % BLOCK, address % BLOCK) == (0, 0, 0)
            self.past += done
        else:
            self.usual += done
        return done


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    yield descriptor
    os.close(descriptor)


def content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def full(_: int, __: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("seed", range(20))
def test_a_file_has_what_was_appended(file: int, seed: int) -> None:
    chance, writer, expected = random.Random(seed), DirectWriter(), b""
    for _ in range(8):
        if chance.random() < 0.3:
            more = chance.randbytes(chance.randrange(3 * BLOCK))
            os.write(file, more)
            expected += more
        lengths = chance.choices((0, 1, 10, BLOCK, 50_000, BUFFER), (3, 3, 3, 2, 2, 0.3), k=chance.randrange(1, 9))
        pieces = [chance.randbytes(length) for length in lengths]
        writer.append(file, len(expected), pieces)
        expected += b"".join(pieces)
    assert content(file) == expected
    assert writer.is_possible


def test_whole_blocks_go_past_the_cache(file: int, calls: Calls) -> None:
    os.write(file, b"begin")
    calls.usual = 0
    writer = DirectWriter()
    body = os.urandom(2 * BUFFER + 12_345)
    writer.append(file, 5, [body])
    assert content(file) == b"begin" + body
    assert calls.usual < 2 * BLOCK
    assert calls.past == len(body) - calls.usual


def test_less_than_a_block_does_not(file: int, calls: Calls) -> None:
    os.write(file, b"a" * 100)
    DirectWriter().append(file, 100, [b"b" * 50, b"", b"c" * 60])
    assert content(file) == b"a" * 100 + b"b" * 50 + b"c" * 60
    assert calls.past == 0


def test_what_suits() -> None:
    writer = DirectWriter()
    assert [writer.suits(length) for length in (LEAST - 1, LEAST, MOST, MOST + 1)] == [False, True, True, False]


def refuses_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems do."""
    real = fcntl.fcntl

    def refuse(descriptor: int, what: int, value: int = 0) -> int:
        if what == fcntl.F_SETFL and value & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, what, value)

    monkeypatch.setattr(fcntl, "fcntl", refuse)


def refuses_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk whose blocks are larger does, or a file system that knows the flag only."""
    real = os.write

    def refuse(descriptor: int, data: Any) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", refuse)


@pytest.mark.parametrize("refuse", [refuses_the_flag, refuses_to_write])
def test_who_refuses_is_written_to_as_usual(
    file: int, refuse: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch)
    writer, body = DirectWriter(), os.urandom(BUFFER + 100_000)
    os.write(file, b"begin")
    writer.append(file, 5, [body])
    assert content(file) == b"begin" + body
    assert not writer.is_possible
    assert not writer.suits(LEAST)
    assert not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


def test_a_disk_that_takes_a_part_is_given_the_rest(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def some(descriptor: int, data: Any) -> int:
        return real(descriptor, data[: max(len(data) // 2 // BLOCK * BLOCK, 7)])

    monkeypatch.setattr(os, "write", some)
    body = os.urandom(300_000)
    os.write(file, b"1234567")
    DirectWriter().append(file, 7, [body])
    assert content(file) == b"1234567" + body


def test_what_a_full_disk_took_of_a_batch_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment, real = OpenSegment(tmp_path, NAME, T0, DirectWriter()), os.write
    segment.append(Kind.PAYLOAD, 1, T0, b"{}", [b"first"])

    def fills_up(descriptor: int, data: Any) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT and len(data) > 16 * BLOCK:
            return real(descriptor, data[: 16 * BLOCK])
        return full(descriptor, data) if len(data) > BLOCK else real(descriptor, data)

    before = segment.size
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fills_up)
        with pytest.raises(OSError, match="No space left"):
            segment.append(Kind.PAYLOAD, 2, T0, b"{}", [bytes(1_000_000)])
    assert segment.size == before
    assert not segment.is_suspect
    segment.append(Kind.PAYLOAD, 3, T0, b"{}", [b"x" * 1_000_000])
    assert [(frame.sequence, len(frame.body)) for frame in kept(tmp_path)] == [(1, 5), (3, 1_000_000)]
    segment.close()


def test_large_and_small_batches_of_a_segment_are_read_back(tmp_path: Path, calls: Calls) -> None:
    chance = random.Random(1)
    segment = OpenSegment(tmp_path, NAME, T0, DirectWriter())
    bodies = [chance.randbytes(chance.choice((10, 3000, 70_000, 600_000))) for _ in range(60)]
    for number, body in enumerate(bodies, 1):
        segment.append(Kind.PAYLOAD, number, T0, b"{}", [body[:1000], body[1000:]])
        segment.append(Kind.OUTCOME, number, T0, b'{"status":200}')
    segment.close()
    assert [frame.body for frame in kept(tmp_path) if frame.kind is Kind.PAYLOAD] == bodies
    assert calls.past > 0.9 * sum(len(body) for body in bodies if len(body) >= LEAST)
