"""The format of a spool segment: a head, then frames that are only ever appended.

A file that a crash or a bad disk has left is read as far as it is good, and past what is not: each frame can be judged
for itself. Must not know who writes segments, when they are rotated, or what becomes of them.

All integers are little-endian.

    segment head, 32 bytes   magic 8 | salt 8 | opened, Unix time in ms 8 | zero 4 | CRC-32 of these 4
    frame head, 40 bytes     magic 4 | kind 1 | flags 1 | zero 2 | meta length 4 | body length 4 | sequence 8 |
                             time, Unix in ms 8 | CRC-32 of salt and head 4 | CRC-32 of salt, meta and body 4
    then                     meta | body

The salt is random for each segment, so what a client sends can't contain a frame. The head's own CRC makes its lengths
trustworthy: damage to a body costs that frame and no search, and what looks like a frame costs no more than 40 bytes to
refuse. CRC-32 is that of zlib (ISO 3309).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import BinaryIO, Final, NamedTuple

# zlib's, in a quarter of its time.
from isal.isal_zlib import crc32

SEGMENT_MAGIC: Final = b"RGSPOOL\x01"
FRAME_MAGIC: Final = b"\xf5RG\x01"  # no UTF-8 begins with it, so no JSON
SALT_LENGTH: Final = 8
TRUNCATED: Final = 1  # flag: the client left before its body was complete
META_MAX: Final = 4 * 1024 * 1024  # bytes; the target and header fields of a request are in it
BODY_MAX: Final = (1 << 32) - 1  # bytes

_SEGMENT: Final = struct.Struct("<8s8sQI")
_FRAME: Final = struct.Struct("<4sBBHIIQQ")
_CRC: Final = struct.Struct("<I")
_CRCS: Final = struct.Struct("<II")
SEGMENT_HEAD: Final = _SEGMENT.size + _CRC.size
FRAME_HEAD: Final = _FRAME.size + _CRCS.size
_CHUNK: Final = 256 * 1024  # bytes read at once
_ATONCE: Final = 5 * 1024  # bytes summed up at once
_SLICED: Final = 256 * 1024  # bytes that are summed up in so many steps; more are in one


class NotASegment(ValueError):
    """A file whose beginning is no segment head of this version. Its salt is lost, and with it all frames."""


class Kind(IntEnum):
    """What a frame holds."""

    PAYLOAD = 1  # an upload: meta, and the body as it came over the wire
    OUTCOME = 2  # what became of it: meta only
    GAP = 3  # what was dropped before this frame: meta only


_KINDS: Final = frozenset(map(int, Kind))


class SegmentHead(NamedTuple):
    """`salt` is SALT_LENGTH random bytes, `opened_ms` Unix time in ms."""

    salt: bytes
    opened_ms: int


class Frame(NamedTuple):
    """A frame that is whole. Its body lies at `body_at` of the file; `meta` is as it was given to `encode`."""

    kind: Kind
    flags: int
    sequence: int
    time_ms: int
    meta: bytes
    body_at: int
    body_length: int


class Damage(NamedTuple):
    """`length` bytes at `at` that are no whole frame; `torn` when they are the file's last, as a crash leaves them.
    More may follow at once: a frame whose head is good and whose rest is not is a damage of its own."""

    at: int
    length: int
    torn: bool


def encode_head(head: SegmentHead) -> bytes:
    """The first bytes of a segment."""
    fields = _SEGMENT.pack(SEGMENT_MAGIC, head.salt, head.opened_ms, 0)
    return fields + _CRC.pack(crc32(fields))


def decode_head(data: bytes) -> SegmentHead:
    """The head that the first SEGMENT_HEAD bytes of a file are. Raises NotASegment."""
    if len(data) < SEGMENT_HEAD:
        raise NotASegment(f"{len(data)} bytes are no segment head, which has {SEGMENT_HEAD}")
    magic, salt, opened_ms, _ = _SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC:
        raise NotASegment(f"begins with {data[:8]!r}, not with {SEGMENT_MAGIC!r}")
    if _CRC.unpack_from(data, _SEGMENT.size)[0] != crc32(data[: _SEGMENT.size]):
        raise NotASegment("the segment head's CRC does not match")
    return SegmentHead(salt, opened_ms)


def encode(
    salt: bytes, kind: int, sequence: int, time_ms: int, meta: bytes, body: Iterable[bytes] = (), flags: int = 0
) -> bytes:
    """The bytes that go before the pieces of `body` in the file: frame head and meta. Raises ValueError when meta or
    body are larger than META_MAX or BODY_MAX."""
    check, length = crc32(meta, crc32(salt)), 0
    for piece in body:
        check = _checked(piece, check)
        length += len(piece)
    if len(meta) > META_MAX or length > BODY_MAX:
        raise ValueError(f"no frame holds {len(meta)} bytes of meta and {length} of body")
    fields = _FRAME.pack(FRAME_MAGIC, kind, flags, 0, len(meta), length, sequence, time_ms)
    return fields + _CRCS.pack(crc32(fields, crc32(salt)), check) + meta


def _checked(piece: bytes, check: int) -> int:
    """CRC-32 of `piece` behind what `check` is of. Of more than 5 KiB at once the library lets go of the interpreter's
    lock, and waits to have it back: that costs more than the sum, unless there is very much to sum up."""
    if not _ATONCE < len(piece) <= _SLICED:
        return crc32(piece, check)
    view = memoryview(piece)
    for at in range(0, len(piece), _ATONCE):
        check = crc32(view[at : at + _ATONCE], check)
    return check


def frames(file: BinaryIO, salt: bytes) -> Iterator[Frame | Damage]:
    """All that follows the segment head of `file`, in order, nothing left out: what is no frame is told as damage.

    `file` is seekable; between two results it may be moved. Memory is bounded by a frame's meta. Raises OSError when
    the file can't be read.
    """
    file.seek(0, 2)
    end, at = file.tell(), SEGMENT_HEAD
    while at < end:
        found = _frame_at(file, at, end, salt)
        if isinstance(found, Frame):
            yield found
            at = found.body_at + found.body_length
            continue
        following = found or _next_head(file, at + 1, end, salt)
        yield Damage(at, following - at, following == end)
        at = following


def _frame_at(file: BinaryIO, at: int, end: int, salt: bytes) -> Frame | int:
    """The frame there. If its head is good and the rest is not: where the next one begins. 0 if there is no head."""
    file.seek(at)
    head = file.read(FRAME_HEAD)
    if not _is_head(head, salt):
        return 0
    meta_length: int
    body_length: int
    _, kind, flags, _, meta_length, body_length, sequence, time_ms = _FRAME.unpack_from(head)
    body_at = at + FRAME_HEAD + meta_length
    following = body_at + body_length
    if following > end:
        # The frame was never whole, or a file system lost a part of the file; frames may follow in what is left.
        return 0
    meta = file.read(meta_length)
    check, left = crc32(meta, crc32(salt)), body_length
    while left and (piece := file.read(min(left, _CHUNK))):
        check = crc32(piece, check)
        left -= len(piece)
    if left or check != _CRCS.unpack_from(head, _FRAME.size)[1] or kind not in _KINDS:
        return following
    return Frame(Kind(kind), flags, sequence, time_ms, meta, body_at, body_length)


def _next_head(file: BinaryIO, at: int, end: int, salt: bytes) -> int:
    """Where the next good frame head begins; the file's end if there is none."""
    while at < end:
        file.seek(at)
        window = file.read(_CHUNK + FRAME_HEAD - 1)
        found = window.find(FRAME_MAGIC)
        while 0 <= found < _CHUNK:
            if _is_head(window[found : found + FRAME_HEAD], salt):
                return at + found
            found = window.find(FRAME_MAGIC, found + 1)
        at += _CHUNK
    return end


def _is_head(head: bytes, salt: bytes) -> bool:
    if len(head) < FRAME_HEAD or not head.startswith(FRAME_MAGIC):
        return False
    return bool(_CRCS.unpack_from(head, _FRAME.size)[0] == crc32(head[: _FRAME.size], crc32(salt)))
