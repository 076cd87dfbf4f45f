"""Finds sessions in an archive and reads them back, from the index and by ranges, without a database.

Everything comes one by one, in bounded memory: an index object, a piece of a block, a line for each block that is open.
What can't be read is told in its place, as a Problem, and the rest goes on; only the store's own errors are raised.
Must not know which store it is, or how objects were made.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

from proxy.archive import index
from proxy.archive.blocks import PIECE, BadBlock, decompressed, lines
from proxy.archive.index import BadIndex, GapRow, Row
from proxy.archive.line import BadLine, GapLine, Line, read_line
from proxy.archive.listing import names
from proxy.archive.naming import DATA, INDEX, Codec, codec_of
from proxy.archive.problem import Fault, Problem
from proxy.archive.store import Store

# A segment holds what came in the hour in which it was opened, and at its edges what the clock and the queue of its
# worker have put there.
EDGE_MS: Final = 10 * 60 * 1000


def index_rows(store: Store, from_ms: int, to_ms: int) -> Iterator[Row | GapRow | Problem]:
    """The rows of all index objects of the hours from `from_ms` until before `to_ms` (Unix, ms), and some around."""
    for name in names(store, INDEX, from_ms - EDGE_MS, to_ms + EDGE_MS):
        yield from _rows_of(store, name)


def _rows_of(store: Store, name: str) -> Iterator[Row | GapRow | Problem]:
    try:
        yield from index.rows(store.read(INDEX + name), codec_of(name) or Codec.NONE, DATA + name)
    except BadIndex as error:
        yield Problem(Fault.BAD_INDEX, INDEX + name, str(error))
    except KeyError:
        yield Problem(Fault.MISSING_INDEX, INDEX + name, "it was there a moment ago")


class Reader:
    """Reads from one store. Times are Unix time in ms; spans are from `from_ms` until before `to_ms`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(
        self, *, session_id: str | None = None, device_id: str | None = None, from_ms: int, to_ms: int
    ) -> Iterator[Row | Problem]:
        """The blocks of a session, or of a device, or of all, that hold something of that span."""
        for row in index_rows(self._store, from_ms, to_ms):
            if isinstance(row, GapRow):
                continue
            if isinstance(row, Problem) or (
                (session_id is None or row.session_id == session_id)
                and (device_id is None or row.device_id == device_id)
                and row.first_ms < to_ms
                and row.last_ms >= from_ms
            ):
                yield row

    def gaps(self, *, from_ms: int, to_ms: int) -> Iterator[GapRow | Problem]:
        """What is missing in the archive, as its workers have told, in segments opened in the hours of that span."""
        return (row for row in index_rows(self._store, from_ms, to_ms) if not isinstance(row, Row))

    def read_block(self, row: Row | GapRow) -> Iterator[Line | GapLine]:
        """The lines of a block. Raises BadBlock, BadLine, and KeyError when the object is missing; what came before is
        good. The hashes are not checked; `Line.problems` does."""
        codec = codec_of(row.key)
        if codec is None:
            raise BadBlock(f"{row.key} is no data object of this version")
        for text in lines(decompressed(self._pieces(row), codec)):
            yield read_line(text)

    def _pieces(self, row: Row | GapRow) -> Iterator[bytes]:
        at, end = row.offset, row.offset + row.length
        while at < end:
            piece = self._store.read(row.key, at, min(PIECE, end - at))
            if not piece:
                raise BadBlock(f"is cut: {end - at} bytes of it are missing")
            yield piece
            at += len(piece)

    def export(
        self,
        *,
        session_id: str | None = None,
        device_id: str | None = None,
        from_ms: int,
        to_ms: int,
        distinct: bool = False,
    ) -> Iterator[Line | Problem]:
        """The lines of a session, or of all sessions of a device, one session after the other; each in the order of
        time, what came through one worker in the order of its sequence. `distinct`: without those of a session whose
        decoded body has been there before, as when a client has sent something twice. What can't be found is told
        first."""
        sessions: dict[tuple[str, str], list[Row]] = {}
        for row in self.find(session_id=session_id, device_id=device_id, from_ms=from_ms, to_ms=to_ms):
            if isinstance(row, Problem):
                yield row
            else:
                sessions.setdefault((row.device_id, row.session_id), []).append(row)
        # One by one: a segment has one block of a session, so few are open at once, but it may have any number of
        # sessions.
        for blocks in sessions.values():
            yield from self._session(sorted(blocks, key=lambda row: (row.first_ms, row.key)), from_ms, to_ms, distinct)

    def _session(self, blocks: list[Row], from_ms: int, to_ms: int, distinct: bool) -> Iterator[Line | Problem]:
        seen: set[str] = set()
        for line in self._merged(blocks):
            if isinstance(line, Line):
                if not from_ms <= line.time_ms < to_ms or line.digest in seen:
                    continue
                if distinct:
                    seen.add(line.digest)
            yield line

    def _merged(self, blocks: list[Row]) -> Iterator[Line | Problem]:
        """The lines of all blocks by time. A block is opened when its first line's turn comes, not before."""
        waiting: list[tuple[int, int, Line | Problem, Iterator[Line | Problem]]] = []
        opened = 0
        while waiting or opened < len(blocks):
            while opened < len(blocks) and (not waiting or blocks[opened].first_ms <= waiting[0][0]):
                _wait(waiting, opened, self._told(blocks[opened]), blocks[opened].first_ms)
                opened += 1
            if waiting:
                time_ms, number, line, more = heappop(waiting)
                yield line
                _wait(waiting, number, more, time_ms)

    def _told(self, row: Row) -> Iterator[Line | Problem]:
        """The payloads' lines of a block, and at last what is wrong with it."""
        try:
            for line in self.read_block(row):
                if isinstance(line, Line):
                    yield line
        except (BadBlock, BadLine) as error:
            yield Problem(Fault.BAD_BLOCK, row.key, f"the block at {row.offset}, {row.length} bytes, {error}")
        except KeyError:
            yield Problem(Fault.MISSING_DATA, row.key, "the object that the index speaks of is not there")


def _wait(
    waiting: list[tuple[int, int, Line | Problem, Iterator[Line | Problem]]],
    number: int,
    more: Iterator[Line | Problem],
    time_ms: int,
) -> None:
    """Put a block's next line in its place. `number` is the block's and decides between equal times."""
    line = next(more, None)
    if line is not None:
        heappush(waiting, (line.time_ms if isinstance(line, Line) else time_ms, number, line, more))
