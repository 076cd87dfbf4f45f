"""Removes sessions from an archive by overwriting: nothing more than the right to put objects is needed.

For each object that holds something of them three are written: an index of nothing, the data without those blocks, its
index. So an index never speaks of bytes that are other ones by now, and whatever is interrupted is found again by the
next call, which trusts no index that does not speak of all of its data object. Must not know which store it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from proxy.archive import index
from proxy.archive.cutting import cut, empty_index
from proxy.archive.index import BadIndex, GapRow, Row
from proxy.archive.listing import pairs
from proxy.archive.naming import DATA, INDEX, Codec, codec_of
from proxy.archive.problem import Fault, Problem
from proxy.archive.reader import EDGE_MS
from proxy.archive.reindex import copied_index, scanned_index
from proxy.archive.store import Store, put_whole


class Unwanted(NamedTuple):
    """What is to go: all of a device, or of a session, or where both are given only what is of both; blocks that hold
    something from `from_ms` until before `to_ms` (Unix, ms), and these as a whole."""

    device_id: str | None
    session_id: str | None
    from_ms: int
    to_ms: int

    def covers(self, row: Row) -> bool:
        """Whether a block is to go."""
        return (
            (self.device_id is None or row.device_id == self.device_id)
            and (self.session_id is None or row.session_id == self.session_id)
            and row.first_ms < self.to_ms
            and row.last_ms >= self.from_ms
        )


class Erased(NamedTuple):
    """A data object, and what went of it: blocks and the payloads in them. `left` blocks of sessions are still in it.
    Where there was no data object, it is what the index has said."""

    key: str
    blocks: int
    payloads: int
    left: int


class Mended(NamedTuple):
    """The index object of nothing that was to be erased, written because it did not speak of all its data object, as
    after an erasing that was interrupted."""

    key: str


def erase(store: Store, unwanted: Unwanted, scratch: Path, *, is_dry: bool) -> Iterator[Erased | Mended | Problem]:
    """Erase, and tell each object when it is done; `is_dry`: tell what would be done. Data objects are copied into the
    folder `scratch`, one at a time, which has to have room for two. What can't be looked through is a Problem, and is
    left as it is. Raises StoreError, and OSError when that folder can't be used."""
    from_ms, to_ms = unwanted.from_ms - EDGE_MS, unwanted.to_ms + EDGE_MS
    for name, found in pairs(store, from_ms, to_ms):
        size = found[DATA] if DATA in found else store.size(DATA + name)
        one = _Object(store, name, unwanted, scratch, is_dry)
        try:
            yield from one.without_data() if size is None else one.with_data(size)
        except (BadIndex, KeyError, _ChangedError):
            # Uploaded once more, or removed by its age.
            yield Problem(Fault.WRONG_SIZE, DATA + name, "it changed while it was read; run this again")


class _ChangedError(Exception):
    """A data object is no longer what it was a moment ago."""


class _Object:
    """A data object with its index."""

    def __init__(self, store: Store, name: str, unwanted: Unwanted, scratch: Path, is_dry: bool) -> None:
        self._store = store
        self._name = name
        self._unwanted = unwanted
        self._scratch = scratch
        self._is_dry = is_dry
        self._key = DATA + name
        self._index_key = INDEX + name
        self._codec = codec_of(name) or Codec.NONE

    def without_data(self) -> Iterator[Erased | Problem]:
        """Of an index that speaks of nothing: what it says of them is data, too."""
        yield Problem(Fault.MISSING_DATA, self._key, f"its index {self._index_key} speaks of nothing")
        gone = self._counted(self._index() or b"")
        if gone.blocks:
            self._put(self._index_key, empty_index(self._codec))
            yield gone

    def with_data(self, size: int) -> Iterator[Erased | Mended | Problem]:
        """Of a data object with so many bytes."""
        there = self._index()
        packed = there if there is not None and self._is_whole(there, size) else None
        if packed is None:
            packed = copied_index(self._store, self._key, size)
        if packed is None:
            packed, problem = scanned_index(self._store, self._name, self._scratch)
            if problem is not None:
                detail = (
                    "it is damaged and no index speaks of all of it; nobody knows what is in it, nothing was erased"
                )
                yield problem._replace(detail=detail)
                return
        gone = self._counted(packed)
        if gone.blocks:
            self._rewrite(packed, size)
            yield gone
        elif packed != there:
            self._put(self._index_key, packed)
            yield Mended(self._index_key)

    def _index(self) -> bytes | None:
        try:
            return self._store.read(self._index_key)
        except KeyError:
            return None

    def _is_whole(self, packed: bytes, size: int) -> bool:
        """Whether an index speaks of all that the data object holds."""
        try:
            end = index.end_of(packed, self._codec, self._key)
        except BadIndex:
            return False
        copy = sum(map(len, index.trailer(packed))) if self._codec is Codec.ZSTD else 0
        return size == end + copy

    def _counted(self, packed: bytes) -> Erased:
        blocks = payloads = left = 0
        try:
            for row in self._rows(packed):
                if isinstance(row, GapRow):
                    continue
                is_gone = self._unwanted.covers(row)
                blocks, left = blocks + is_gone, left + (not is_gone)
                payloads += row.lines if is_gone else 0
        except BadIndex:
            pass  # of an index without data, which is no great loss; the others were looked through before
        return Erased(self._key, blocks, payloads, left)

    def _rows(self, packed: bytes) -> Iterator[Row | GapRow]:
        return index.rows(packed, self._codec, self._key)

    def _rewrite(self, packed: bytes, size: int) -> None:
        if self._is_dry:
            return
        with (
            tempfile.TemporaryDirectory(dir=self._scratch) as folder,
            tempfile.TemporaryFile(dir=self._scratch) as source,
        ):
            self._store.download(self._key, source)
            if source.tell() != size:
                raise _ChangedError
            data = Path(folder, "data")
            packed_anew = cut(source, self._key, self._codec, packed, self._unwanted.covers, data)
            self._put(self._index_key, empty_index(self._codec))
            self._put(self._key, data)
        self._put(self._index_key, packed_anew)

    def _put(self, key: str, source: Path | bytes) -> None:
        if not self._is_dry:
            put_whole(self._store, key, source)
