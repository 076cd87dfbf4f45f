"""The index of a data object: a row for each of its blocks, as lines of JSON, compressed as one block.

    {"v":1,"key":"v1/data/…","off":0,"len":5120,"device_id":"…","session_id":"…","n":7,"t0":…,"t1":…}
    {"v":1,"key":"v1/data/…","off":5120,"len":140,"gap":{"reason":"queue-full",…}}

The blocks follow each other from the object's beginning; all gaps are in the last one, with a row for each. An object
that is compressed with zstd ends in a copy of its index, in a frame that decoders pass over:

    head of the frame 8 | compressed index | its length 4 | CRC-32 of it 4 | magic 4       (integers little-endian)

Pure. Must not know stores, or what is in a block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from proxy.archive.blocks import BadBlock, decompressed, lines
from proxy.archive.codec import SKIPPABLE_HEAD, skippable_head, skippable_length
from proxy.archive.naming import Codec

_FOOTER: Final = struct.Struct("<II4s")
_FOOTER_MAGIC: Final = b"RGI\x01"
FOOTER: Final = _FOOTER.size
_AROUND: Final = SKIPPABLE_HEAD + FOOTER


class BadIndex(ValueError):
    """Bytes that are no index, or not that of the object; the message says why."""


class Row(NamedTuple):
    """A session's block: `length` bytes at `offset` of the data object with that key hold `lines` lines, whose times
    are from `first_ms` to `last_ms` (Unix, ms)."""

    key: str
    offset: int
    length: int
    device_id: str
    session_id: str
    lines: int
    first_ms: int
    last_ms: int


class GapRow(NamedTuple):
    """A gap: `gap` is what the worker wrote, its line is in the block at `offset`."""

    key: str
    offset: int
    length: int
    gap: dict[str, Any]


def encode(row: Row | GapRow) -> bytes:
    """A row's line, with its line feed."""
    line: dict[str, Any] = {"v": 1, "key": row.key, "off": row.offset, "len": row.length}
    if isinstance(row, GapRow):
        line |= {"gap": row.gap}
    else:
        line |= {"device_id": row.device_id, "session_id": row.session_id, "n": row.lines}
        line |= {"t0": row.first_ms, "t1": row.last_ms}
    return orjson.dumps(line) + b"\n"


def decode(line: bytes) -> Row | GapRow:
    """The row that a line says. Raises BadIndex."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadIndex(f"a row is no JSON: {error}") from None
    match value:
        case {"v": 1, "key": str() as key, "off": int() as offset, "len": int() as length, "gap": dict() as gap}:
            return GapRow(key, offset, length, gap)
        case {
            "v": 1,
            "key": str() as key,
            "off": int() as offset,
            "len": int() as length,
            "device_id": str() as device_id,
            "session_id": str() as session_id,
            "n": int() as count,
            "t0": int() as first_ms,
            "t1": int() as last_ms,
        }:
            return Row(key, offset, length, device_id, session_id, count, first_ms, last_ms)
    raise BadIndex(f"{line[:60]!r} is no row")


def rows(index: bytes, codec: Codec, key: str) -> Iterator[Row | GapRow]:
    """The rows of an index object, which belongs to the data object `key`. Raises BadIndex as soon as something is
    wrong: what came before is good."""
    end, before = 0, None
    try:
        for line in lines(decompressed((index,), codec)):
            row = decode(line)
            if row.key != key:
                raise BadIndex(f"a row is about {row.key}")
            is_same = isinstance(row, GapRow) and isinstance(before, GapRow) and row[:3] == before[:3]
            if not is_same and row.offset != end:
                raise BadIndex(f"a block begins at {row.offset} where the one before it ends at {end}")
            end, before = row.offset + row.length, row
            yield row
    except BadBlock as error:
        raise BadIndex(str(error)) from None


def end_of(index: bytes, codec: Codec, key: str) -> int:
    """Where the blocks of the data object end, by its index. Raises BadIndex."""
    end = 0
    for row in rows(index, codec, key):
        end = row.offset + row.length
    return end


def trailer(index: bytes) -> Iterable[bytes]:
    """The pieces of the frame that keeps a compressed index at the end of a data object."""
    footer = _FOOTER.pack(len(index), crc32(index), _FOOTER_MAGIC)
    return skippable_head(len(index) + FOOTER), index, footer


def trailer_length(footer: bytes) -> int:
    """How long that frame is, by the object's last FOOTER bytes. Raises BadIndex."""
    if len(footer) != FOOTER or not footer.endswith(_FOOTER_MAGIC):
        raise BadIndex("the object does not end in an index")
    return int(_FOOTER.unpack(footer)[0]) + _AROUND


def index_in(trailer: bytes) -> bytes:
    """The compressed index in that frame. Raises BadIndex."""
    if len(trailer) < _AROUND or skippable_length(trailer) != len(trailer) - SKIPPABLE_HEAD:
        raise BadIndex("the frame with the index is damaged")
    index = trailer[SKIPPABLE_HEAD:-FOOTER]
    if _FOOTER.unpack(trailer[-FOOTER:]) != (len(index), crc32(index), _FOOTER_MAGIC):
        raise BadIndex("the index at the object's end is damaged")
    return index
