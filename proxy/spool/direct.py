"""Writing past the page cache (open(2), O_DIRECT), for what is large.

Two fifths of the time of a worker that took uploads of 50 KB went into the kernel's copying of them to new pages of its
cache, where they push out what somebody will read. A file system that can't be written to in this way is written to as
usual, and so is a disk that is slower than what comes: its cache takes at memory's pace what it takes later. Must not
know what is written.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
from collections.abc import Sequence
from typing import Final

# What offset, length and memory must be multiples of: enough for every disk and file system.
BLOCK: Final = 4096
# A call waits for the disk, and its thread for the interpreter's lock: with 1 MiB it costs a tenth more.
BUFFER: Final = 4 * 1024 * 1024
# Less than this is not worth a wait: with batches of 150 KB, of uploads of 2 KB, the loop's p99 was 14 ms instead of 2.
LEAST: Final = 512 * 1024
# More than this at once is what has come during the last wait: the disk is behind.
MOST: Final = 16 * 1024 * 1024

_REFUSALS: Final = frozenset((errno.EINVAL, errno.EOPNOTSUPP))

_log = logging.getLogger("proxy.spool")


class DirectWriter:
    """For all files that one thread appends to: they share a buffer, which is there once it is needed. `is_possible`
    until a file system has refused."""

    def __init__(self) -> None:
        self._buffer: memoryview | None = None
        self.is_possible = True

    def suits(self, length: int) -> bool:
        """Whether so many bytes should be written in this way."""
        return self.is_possible and LEAST <= length <= MOST

    def append(self, descriptor: int, at: int, pieces: Sequence[bytes]) -> None:
        """Append to a file that was opened for that (O_APPEND) and ends at `at`. Whole blocks go past the cache; what
        is before the first and behind the last of them does not, so that no block is ever both in the cache and written
        past it. Raises OSError; then a part may be there."""
        if self._buffer is None:
            self._buffer = memoryview(mmap.mmap(-1, BUFFER))  # which begins at a page
        buffer = self._buffer
        # A byte has the same place in the buffer's block as in the file's.
        begin: int = at % BLOCK
        end = begin
        for piece in pieces:
            taken, length = 0, len(piece)
            while taken < length:
                more = min(length - taken, BUFFER - end)
                buffer[end : end + more] = piece if more == length else piece[taken : taken + more]
                end += more
                taken += more
                if end == BUFFER:
                    self._put(descriptor, begin, end)
                    begin = end = 0
        self._put(descriptor, begin, end)

    def _put(self, descriptor: int, begin: int, end: int) -> None:
        """Append a part of the buffer."""
        assert self._buffer is not None
        first = min((begin + BLOCK - 1) // BLOCK * BLOCK, end)
        last = max(end // BLOCK * BLOCK, first)
        _write_all(descriptor, self._buffer[begin:first])
        done = self._write_past_cache(descriptor, first, last) if self.is_possible and first < last else first
        _write_all(descriptor, self._buffer[done:end])

    def _write_past_cache(self, descriptor: int, first: int, last: int) -> int:
        """Append blocks of the buffer; where in it those end that are written."""
        assert self._buffer is not None
        usual = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, usual | os.O_DIRECT)
            # A disk that fills up takes a part, and says why when it is asked to take the rest.
            while first < last and first % BLOCK == 0:
                done = os.write(descriptor, self._buffer[first:last])
                first += done
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self.is_possible = False
            _log.info("the spool's file system does not let its cache be passed by: it is written to as usual")
        finally:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, usual)
        return first


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        done = os.write(descriptor, data)
        data = data[done:]
