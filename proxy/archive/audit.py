"""Looks whether an archive still holds what was put into it: every object, every block, every payload.

Must not know how to repair anything (`archive.reindex`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from proxy.archive import index
from proxy.archive.blocks import BadBlock
from proxy.archive.index import BadIndex, GapRow, Row
from proxy.archive.line import BadLine, Line
from proxy.archive.listing import pairs
from proxy.archive.naming import DATA, INDEX, Codec, codec_of
from proxy.archive.problem import Fault, Problem
from proxy.archive.scan import all_rows, block_rows, trailer_at
from proxy.archive.store import Store


class Checked(NamedTuple):
    """A data object that was looked through, whatever was found: its blocks and payloads that could be read."""

    key: str
    blocks: int
    payloads: int


def verify(store: Store, from_ms: int, to_ms: int, scratch: Path) -> Iterator[Checked | Problem]:
    """Check all objects of the hours from `from_ms` until before `to_ms` (Unix, ms): everything that is wrong, and each
    data object when it is done. They are copied into the folder `scratch`, one at a time. Raises StoreError, and
    OSError when that folder can't be used."""
    for name, found in pairs(store, from_ms, to_ms):
        key, index_key = DATA + name, INDEX + name
        # An upload that is going on makes the data first: what was not in the listing may be there now.
        packed = _read(store, index_key)
        if packed is None and DATA in found:
            yield Problem(Fault.MISSING_INDEX, index_key, f"no search finds what is in {key}")
        with tempfile.TemporaryFile(dir=scratch) as file:
            try:
                store.download(key, file)
            except KeyError:
                yield Problem(Fault.MISSING_DATA, key, f"its index {index_key} speaks of nothing")
            else:
                yield from _Check(file, key, index_key, packed).problems()


def _read(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key)
    except KeyError:
        return None


class _Check:
    """The check of one data object, of which `file` is a copy; `packed` is its index object, None: there is none."""

    def __init__(self, file: BinaryIO, key: str, index_key: str, packed: bytes | None) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self._key = key
        self._index_key = index_key
        self._packed = packed
        self._codec = codec_of(key) or Codec.NONE
        self._blocks = self._payloads = 0
        self._mismatches: list[str] = []

    def problems(self) -> Iterator[Checked | Problem]:
        """Everything that is wrong, and at last what was looked through."""
        if self._packed is None:
            yield from self._without_index()
        else:
            yield from self._with_index(self._packed)
        yield Checked(self._key, self._blocks, self._payloads)

    def _with_index(self, packed: bytes) -> Iterator[Problem]:
        try:
            end = index.end_of(packed, self._codec, self._key)
        except BadIndex as error:
            yield Problem(Fault.BAD_INDEX, self._index_key, str(error))
            yield from self._without_index()
            return
        said = index.rows(packed, self._codec, self._key)
        for (offset, length), rows in groupby(said, key=lambda row: (row.offset, row.length)):
            yield from self._block(offset, length, list(rows))
        yield from self._rest(end, packed)

    def _block(self, offset: int, length: int, said: list[Row | GapRow]) -> Iterator[Problem]:
        where = f"the block at {offset}, {length} bytes,"
        try:
            found = list(block_rows(self._file, self._key, self._codec, offset, length, self._look))
        except (BadBlock, BadLine) as error:
            yield Problem(Fault.BAD_BLOCK, self._key, f"{where} {error}")
        else:
            self._blocks += 1
            if found != said:
                yield Problem(Fault.BAD_INDEX, self._index_key, f"{where} is not what it says")
        yield from self._told()

    def _rest(self, end: int, packed: bytes) -> Iterator[Problem]:
        """What is behind the blocks: nothing, or with zstd a copy of the index."""
        if self._size < end or (self._size > end and self._codec is not Codec.ZSTD):
            detail = f"has {self._size} bytes; its index {self._index_key} says {end}"
            yield Problem(Fault.WRONG_SIZE, self._key, detail)
        elif self._codec is Codec.ZSTD:
            try:
                copy = trailer_at(self._file, end)
            except BadIndex as error:
                yield Problem(Fault.WRONG_SIZE, self._key, f"behind its blocks, at {end}: {error}")
            else:
                if copy != packed:
                    yield Problem(Fault.BAD_INDEX, self._index_key, f"is not the one that {self._key} has at its end")

    def _without_index(self) -> Iterator[Problem]:
        try:
            for _ in all_rows(self._file, self._key, self._codec, self._look):
                self._blocks += 1
                yield from self._told()
        except (BadBlock, BadLine) as error:
            yield Problem(Fault.BAD_BLOCK, self._key, f"block {self._blocks + 1} {error}")
        yield from self._told()

    def _look(self, line: Line) -> None:
        self._payloads += 1
        self._mismatches += (f"sequence {line.head['seq']}: {problem}" for problem in line.problems())

    def _told(self) -> Iterator[Problem]:
        for detail in self._mismatches:
            yield Problem(Fault.HASH_MISMATCH, self._key, detail)
        self._mismatches.clear()
