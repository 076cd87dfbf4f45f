"""Lines to standard error that never make the event loop wait.

Lines are collected and written together. Nothing is written unless the descriptor takes it at once, so a reader that
sleeps costs log lines, not requests. Must not know what is in a line.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Callable

FLUSH_SECONDS = 0.2
FLUSH_BYTES = 64 * 1024  # a batch this large is written at once
# What may wait for a reader: some 3,000 lines, several seconds of a busy worker. Beyond it the oldest go.
BUFFER_BYTES = 1024 * 1024
# POSIX: a pipe that polls as writable takes this many bytes (PIPE_BUF) without blocking, and in one piece, so that
# lines of several workers don't mix.
PIECE_BYTES = select.PIPE_BUF
LAST_WAIT_MILLISECONDS = 500  # how long a process that ends waits for a reader of its last lines


class LineWriter:
    """Writes to one file descriptor. Before `attach` and after `close` every line is written as it comes.

    `on_drop` is told how many lines were lost: because BUFFER_BYTES waited, or because writing failed. Once attached it
    is the loop's thread's alone; others hand their lines over.
    """

    def __init__(self, number: int, on_drop: Callable[[int], None]) -> None:
        self._number = number
        self._on_drop = on_drop
        self._lines: deque[bytes] = deque()
        self._waiting = 0  # bytes in _lines
        self._piece = b""  # taken from _lines, being written
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0  # the loop's
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write in batches from now on, by a timer of this loop, in whose thread this must be called."""
        self._loop = loop
        self._thread = threading.get_ident()

    def put(self, line: bytes) -> None:
        """Write a line, which ends in a newline, soon."""
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting > BUFFER_BYTES:
            self._drop_oldest()
        if self._loop is None or self._waiting >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._timed_flush)

    def put_from_any_thread(self, line: bytes, *, at_once: bool) -> None:
        """Write a line soon, or at once, which in another thread is the loop's next turn."""
        loop = self._loop
        if loop is not None and threading.get_ident() != self._thread:
            try:
                loop.call_soon_threadsafe(self._put_now, line, at_once)
                return
            except RuntimeError:
                self._loop = None  # it is closed: nobody else writes any more
        self._put_now(line, at_once)

    def _put_now(self, line: bytes, at_once: bool) -> None:
        self.put(line)
        if at_once:
            self.flush()

    def flush(self, patience: int = 0) -> None:
        """Write what the descriptor takes, waiting at most `patience` milliseconds for each piece."""
        try:
            while (self._piece or self._lines) and self._poll.poll(patience):
                self._piece = self._piece or self._next_piece()
                done = os.write(self._number, self._piece[:PIECE_BYTES])
                self._piece = self._piece[done:]
        except BlockingIOError:
            pass  # somebody made it non-blocking; it is full
        except OSError:
            self._drop(len(self._lines) + 1)  # closed, or the disk is full: nothing can be said about it anywhere

    def close(self) -> None:
        """Write what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = None
        self.flush(LAST_WAIT_MILLISECONDS)

    def _timed_flush(self) -> None:
        self._timer = None
        self.flush()
        if (self._piece or self._lines) and self._loop is not None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._timed_flush)

    def _next_piece(self) -> bytes:
        lines = self._lines
        taken = [lines.popleft()]
        size = len(taken[0])
        while lines and size + len(lines[0]) <= PIECE_BYTES:
            size += len(lines[0])
            taken.append(lines.popleft())
        self._waiting -= size
        return b"".join(taken)

    def _drop_oldest(self) -> None:
        dropped = 0
        while self._waiting > BUFFER_BYTES and len(self._lines) > 1:
            self._waiting -= len(self._lines.popleft())
            dropped += 1
        self._on_drop(dropped)

    def _drop(self, count: int) -> None:
        self._lines.clear()
        self._waiting = 0
        self._piece = b""
        self._on_drop(count)
