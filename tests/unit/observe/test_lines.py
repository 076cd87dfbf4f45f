"""Proves that writing lines never waits for their reader, that memory for them is bounded, that the oldest go first and
are counted, and that lines of several writers don't mix. Real pipes; the loop's timers are the only clock."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.observe import lines
from proxy.observe.lines import FLUSH_BYTES, PIECE_BYTES, LineWriter


class Pipe:
    """A pipe with a line writer at one end, and what it lost."""

    def __init__(self) -> None:
        self.reader, self.number = os.pipe()
        os.set_blocking(self.reader, False)
        self.lost = 0
        self.writer = LineWriter(self.number, self.lose)

    def lose(self, count: int) -> None:
        self.lost += count

    def read(self) -> bytes:
        """Everything in the pipe now."""
        got = b""
        while True:
            try:
                piece = os.read(self.reader, 1 << 20)
            except BlockingIOError:
                return got
            if not piece:
                return got
            got += piece

    def read_all(self) -> bytes:
        """Everything that is in the pipe or waits for it."""
        got = b""
        while piece := self.read():
            got += piece
            self.writer.flush()
        return got

    def fill(self) -> int:
        """Fill it up; how many bytes that took."""
        os.set_blocking(self.number, False)
        filled = 0
        try:
            while True:
                filled += os.write(self.number, b"." * PIECE_BYTES)
        except BlockingIOError:
            os.set_blocking(self.number, True)
            return filled

    def close(self) -> None:
        for number in (self.reader, self.number):
            try:
                os.close(number)
            except OSError:
                pass


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def line(number: int, size: int = 100) -> bytes:
    return f"{number:08d} ".encode().ljust(size - 1, b"x") + b"\n"


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe) -> None:
    pipe.writer.put(b"hello\n")
    assert pipe.read() == b"hello\n"


def test_with_a_loop_lines_wait_for_each_other(pipe: Pipe) -> None:
    async def main() -> None:
        pipe.writer.attach(asyncio.get_running_loop())
        pipe.writer.put(b"one\n")
        pipe.writer.put(b"two\n")
        assert pipe.read() == b""
        pipe.writer.flush()
        assert pipe.read() == b"one\ntwo\n"
        pipe.writer.close()

    asyncio.run(main())


def test_the_timer_writes_them(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "FLUSH_SECONDS", 0.001)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        pipe.writer.attach(loop)
        readable = asyncio.Event()
        loop.add_reader(pipe.reader, readable.set)
        pipe.writer.put(b"one\n")
        async with asyncio.timeout(10):
            await readable.wait()
        loop.remove_reader(pipe.reader)
        return pipe.read()

    assert asyncio.run(main()) == b"one\n"


def test_a_large_batch_does_not_wait_for_the_timer(pipe: Pipe) -> None:
    async def main() -> None:
        pipe.writer.attach(asyncio.get_running_loop())
        for number in range(FLUSH_BYTES // 100 + 1):
            pipe.writer.put(line(number))
        assert len(pipe.read()) >= FLUSH_BYTES // 2
        pipe.writer.close()

    asyncio.run(main())


def test_closing_writes_what_waits_and_later_lines_at_once(pipe: Pipe) -> None:
    async def main() -> None:
        pipe.writer.attach(asyncio.get_running_loop())
        pipe.writer.put(b"one\n")
        pipe.writer.close()
        assert pipe.read() == b"one\n"
        pipe.writer.put(b"two\n")
        assert pipe.read() == b"two\n"

    asyncio.run(main())


def test_a_reader_that_sleeps_is_not_waited_for(pipe: Pipe) -> None:
    pipe.fill()
    pipe.writer.put(b"late\n")  # would block for ever if it waited
    assert pipe.lost == 0
    pipe.read()
    pipe.writer.flush()
    assert pipe.read() == b"late\n"


def test_a_reader_that_wakes_up_gets_everything_in_order_by_the_timer(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "FLUSH_SECONDS", 0.001)
    pipe.fill()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        pipe.writer.attach(loop)
        for number in range(3):
            pipe.writer.put(line(number))
        for _ in range(5):
            await asyncio.sleep(0.002)  # the timer comes by and finds the pipe full
        pipe.read()
        got = b""
        async with asyncio.timeout(10):
            while len(got) < 300:
                await asyncio.sleep(0.001)
                got += pipe.read()
        return got

    assert asyncio.run(main()) == line(0) + line(1) + line(2)


def test_when_full_the_oldest_lines_are_dropped_and_counted(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BUFFER_BYTES", 1000)
    pipe.fill()
    for number in range(25):
        pipe.writer.put(line(number))
    assert pipe.lost == 15
    pipe.read()
    pipe.writer.flush()
    assert pipe.read() == b"".join(line(number) for number in range(15, 25))


def test_one_line_larger_than_the_buffer_is_still_written(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BUFFER_BYTES", 1000)
    pipe.writer.put(line(1, 5000))
    assert pipe.read() == line(1, 5000)
    assert pipe.lost == 0


def test_a_reader_that_is_gone_costs_the_lines_and_nothing_else(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.writer.put(b"to nobody\n")
    pipe.writer.put(b"to nobody\n")
    assert pipe.lost == 2


def test_a_full_disk_costs_the_lines_and_nothing_else() -> None:
    lost: list[int] = []
    number = os.open("/dev/full", os.O_WRONLY)
    LineWriter(number, lost.append).put(b"nowhere\n")
    os.close(number)
    assert sum(lost) >= 1


def test_a_closed_descriptor_costs_the_lines_and_nothing_else(pipe: Pipe) -> None:
    os.close(pipe.number)
    pipe.writer.put(b"nowhere\n")
    assert pipe.lost >= 1


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.number, False)
    sent = [line(number, 999) for number in range(500)]
    for each in sent:
        pipe.writer.put(each)
    assert pipe.read_all() == b"".join(sent)
    assert pipe.lost == 0


def test_lines_of_two_writers_do_not_mix(pipe: Pipe) -> None:
    other = LineWriter(pipe.number, pipe.lose)

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        got = b""
        for writer in (pipe.writer, other):
            writer.attach(loop)
        for number in range(100):
            for _ in range(20):
                pipe.writer.put(b"a" * 99 + b"\n")
                other.put(b"b" * 130 + b"\n")
            if number % 5 == 0:
                pipe.writer.flush()
                other.flush()
            got += pipe.read()
        pipe.writer.close()
        other.close()
        return got + pipe.read()

    assert set(asyncio.run(main()).splitlines()) == {b"a" * 99, b"b" * 130}


def test_a_file_gets_everything(tmp_path: Path) -> None:
    number = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(number, lambda lost: None)
    for each in range(1000):
        writer.put(line(each))
    writer.close()
    os.close(number)
    assert (tmp_path / "log").read_bytes() == b"".join(line(each) for each in range(1000))


@pytest.mark.parametrize("at_once", [False, True])
def test_lines_of_another_thread_are_written_by_the_loops(pipe: Pipe, at_once: bool) -> None:
    async def hand_over() -> bytes:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)  # in which a timer that another thread sets is an error
        pipe.writer.attach(loop)
        await asyncio.to_thread(pipe.writer.put_from_any_thread, b"line\n", at_once=at_once)
        await asyncio.sleep(0)
        return pipe.read()

    assert asyncio.run(hand_over()) == (b"line\n" if at_once else b"")
    pipe.writer.close()
    assert pipe.read() == (b"" if at_once else b"line\n")


def test_a_thread_that_outlives_the_loop_writes_by_itself(pipe: Pipe) -> None:
    async def attach() -> None:
        pipe.writer.attach(asyncio.get_running_loop())

    asyncio.run(attach())
    thread = threading.Thread(target=pipe.writer.put_from_any_thread, args=(b"line\n",), kwargs={"at_once": True})
    thread.start()
    thread.join()
    assert pipe.read() == b"line\n"
