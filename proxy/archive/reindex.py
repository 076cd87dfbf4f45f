"""Makes index objects anew that are missing or damaged, from the data objects.

Must not know how to check what is in a data object (`archive.audit`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from proxy.archive import index
from proxy.archive.blocks import BadBlock
from proxy.archive.codec import SKIPPABLE_HEAD, BlockWriter, skippable_length
from proxy.archive.index import FOOTER, BadIndex
from proxy.archive.line import BadLine, Line
from proxy.archive.listing import pairs
from proxy.archive.naming import DATA, INDEX, Codec, codec_of
from proxy.archive.problem import Fault, Problem
from proxy.archive.scan import all_rows
from proxy.archive.store import Store

LEVEL: Final = 3  # of compression: what all codecs know, and good enough for an index


class Rebuilt(NamedTuple):
    """An index object that was written anew; `is_copy`: it is the one that the data object ended in."""

    key: str
    is_copy: bool


class Good(NamedTuple):
    """An index object that is there and speaks of all."""

    key: str


def reindex(store: Store, from_ms: int, to_ms: int, scratch: Path) -> Iterator[Good | Rebuilt | Problem]:
    """Rebuild what is missing or bad in the hours from `from_ms` until before `to_ms` (Unix, ms). Where a data object
    is damaged, too, its index speaks of what is before that. Data objects without a copy of their index are copied into
    the folder `scratch`, one at a time. Raises StoreError, and OSError when that folder can't be used."""
    for name, found in pairs(store, from_ms, to_ms):
        try:
            if DATA not in found:
                raise KeyError(DATA + name)
            yield from _reindex(store, name, scratch)
        except KeyError:
            yield Problem(Fault.MISSING_DATA, DATA + name, f"its index {INDEX + name} speaks of nothing")


def _reindex(store: Store, name: str, scratch: Path) -> Iterator[Good | Rebuilt | Problem]:
    size = store.size(DATA + name)
    if size is None:
        raise KeyError(DATA + name)
    if _is_good(store, name, size):
        yield Good(INDEX + name)
        return
    packed = copied_index(store, DATA + name, size)
    if packed is not None:
        store.put(INDEX + name, packed)
        yield Rebuilt(INDEX + name, is_copy=True)
    else:
        yield from _scanned(store, name, scratch)


def _codec(name: str) -> Codec:
    return codec_of(name) or Codec.NONE


def _is_good(store: Store, name: str, size: int) -> bool:
    """Whether there is an index, and it speaks of all that the data object holds. Raises KeyError without that."""
    try:
        packed = store.read(INDEX + name)
    except KeyError:
        return False
    try:
        end = index.end_of(packed, _codec(name), DATA + name)
    except BadIndex:
        return False
    if _codec(name) is not Codec.ZSTD:
        return end == size
    return skippable_length(store.read(DATA + name, end, SKIPPABLE_HEAD)) == size - end - SKIPPABLE_HEAD


def copied_index(store: Store, key: str, size: int) -> bytes | None:
    """The index that a data object ends in; None: it has none, or that is not its own."""
    if _codec(key) is not Codec.ZSTD:
        return None
    try:
        length = index.trailer_length(store.read(key, max(0, size - FOOTER), FOOTER))
        packed = index.index_in(store.read(key, max(0, size - length), length))
        return packed if index.end_of(packed, Codec.ZSTD, key) == size - length else None
    except BadIndex:
        return None


def _scanned(store: Store, name: str, scratch: Path) -> Iterator[Rebuilt | Problem]:
    packed, problem = scanned_index(store, name, scratch)
    if problem is not None:
        yield problem
    store.put(INDEX + name, packed)
    yield Rebuilt(INDEX + name, is_copy=False)


def scanned_index(store: Store, name: str, scratch: Path) -> tuple[bytes, Problem | None]:
    """The index of a data object by what is in it, and what keeps it from speaking of all. Raises KeyError."""
    packed, problem = BytesIO(), None
    rows = BlockWriter(packed, _codec(name), LEVEL)
    with tempfile.TemporaryFile(dir=scratch) as file:
        store.download(DATA + name, file)
        try:
            for row in all_rows(file, DATA + name, _codec(name), _ignore):
                rows.write(index.encode(row))
        except (BadBlock, BadLine) as error:
            problem = Problem(Fault.BAD_BLOCK, DATA + name, f"its index ends where a block {error}")
    rows.end()
    return packed.getvalue(), problem


def _ignore(line: Line) -> None:
    pass
