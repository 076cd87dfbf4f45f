"""Reads data objects themselves, to see whether they are what their index says, or to make that anew.

Works on a copy in a local file. Must not know stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import BinaryIO

from proxy.archive import index
from proxy.archive.blocks import BadBlock, decompressed, extents, lines, pieces_of
from proxy.archive.codec import SKIPPABLE_HEAD, skippable_length
from proxy.archive.index import BadIndex, GapRow, Row
from proxy.archive.line import GapLine, Line, read_line
from proxy.archive.naming import Codec

Look = Callable[[Line], None]


def all_rows(file: BinaryIO, key: str, codec: Codec, look: Look) -> Iterator[Row | GapRow]:
    """The rows of the data object `key`, of which `file` is a copy, found without an index; `look` sees each payload's
    line. Raises BadBlock, BadLine: what came before is good, and where that ends nothing more can be found."""
    for offset, length in extents(file, codec):
        yield from block_rows(file, key, codec, offset, length, look)


def block_rows(file: BinaryIO, key: str, codec: Codec, offset: int, length: int, look: Look) -> Iterator[Row | GapRow]:
    """The rows of one block: one for a session's, one for each gap. Uncompressed, blocks leave no trace; there it may
    be several of them. Raises BadBlock, BadLine."""
    sized = ((read_line(text), len(text) + 1) for text in lines(decompressed(pieces_of(file, offset, length), codec)))
    end = offset + length
    for session, group in groupby(sized, key=lambda pair: _session_of(pair[0])):
        if offset == end:
            raise BadBlock("holds more than one session")
        found = _Group(group, look)
        size = found.size if codec is Codec.NONE else length
        yield from found.rows(key, offset, size, session)
        offset += size


def trailer_at(file: BinaryIO, offset: int) -> bytes:
    """The index in the frame that is all of the file from `offset`. Raises BadIndex."""
    end = file.seek(0, 2)
    file.seek(offset)
    if skippable_length(file.read(SKIPPABLE_HEAD)) != end - offset - SKIPPABLE_HEAD:
        raise BadIndex("the data object does not end in an index")
    file.seek(offset)
    return index.index_in(file.read())


class _Group:
    """The lines of one session in a row, or of gaps; of these nothing but what they say is held."""

    def __init__(self, group: Iterator[tuple[Line | GapLine, int]], look: Look) -> None:
        self.size = 0
        self._gaps: list[GapLine] = []
        self._count = 0
        self._first_ms = self._last_ms = 0
        for line, size in group:
            self.size += size
            if isinstance(line, GapLine):
                self._gaps.append(line)
                continue
            look(line)
            self._first_ms = min(self._first_ms, line.time_ms) if self._count else line.time_ms
            self._last_ms = max(self._last_ms, line.time_ms)
            self._count += 1

    def rows(self, key: str, offset: int, length: int, session: tuple[str, str] | None) -> Iterator[Row | GapRow]:
        """What an index says of them."""
        if session is not None:
            yield Row(key, offset, length, *session, self._count, self._first_ms, self._last_ms)
        for line in self._gaps:
            yield GapRow(key, offset, length, line.gap)


def _session_of(line: Line | GapLine) -> tuple[str, str] | None:
    return None if isinstance(line, GapLine) else (line.head["device_id"], line.head["session_id"])
