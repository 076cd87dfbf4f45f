"""Writes blocks: pieces of an object compressed each for itself, so that one can be read without the others.

A block is a frame of zstd (with a checksum of its content), a member of gzip, or plain bytes. Blocks in a row are a
valid file of that format, which its usual programs read as one. The same bytes and level make the same blocks: no time
and no name is in them. Must not know what is in a block, nor where objects are kept.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import BinaryIO, Final, Protocol

from proxy.archive.naming import Codec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_HELD_MAX: Final = 256 * 1024  # bytes of a block that wait to be compressed in one go: what fits becomes smaller so
_FED: Final = 1024 * 1024  # bytes compressed at once of a longer one, so that the result is held in parts, too
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL_MAX: Final = 9
# A frame that decoders of zstd pass over (RFC 8878, 3.1.2): magic, length of what follows.
_SKIPPABLE: Final = struct.Struct("<II")
_SKIPPABLE_MAGIC: Final = 0x184D2A57
SKIPPABLE_HEAD: Final = _SKIPPABLE.size


class _Encoder(Protocol):
    def more(self, data: bytes | memoryview) -> bytes:
        """Compressed bytes of the block that goes on."""

    def last(self, data: bytes) -> bytes:
        """The block's last ones; the next call begins another block."""


class _Zstd:
    def __init__(self, level: int) -> None:
        # One for all blocks: making it costs as much as compressing a small block.
        parameter = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(options={parameter.compression_level: level, parameter.checksum_flag: 1})

    def more(self, data: bytes | memoryview) -> bytes:
        return self._compressor.compress(data)

    def last(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


class _Gzip:
    def __init__(self, level: int) -> None:
        self._level = min(max(level, 1), _GZIP_LEVEL_MAX)
        self._begin()

    def _begin(self) -> None:
        self._compressor = zlib.compressobj(self._level, zlib.DEFLATED, _GZIP)

    def more(self, data: bytes | memoryview) -> bytes:
        return self._compressor.compress(data)

    def last(self, data: bytes) -> bytes:
        end = self._compressor.compress(data) + self._compressor.flush()
        self._begin()
        return end


class _Plain:
    def __init__(self, level: int) -> None:
        pass

    def more(self, data: bytes | memoryview) -> bytes:
        return bytes(data)

    def last(self, data: bytes) -> bytes:
        return data


_ENCODERS: Final[dict[Codec, type[_Zstd] | type[_Gzip] | type[_Plain]]] = {
    Codec.ZSTD: _Zstd,
    Codec.GZIP: _Gzip,
    Codec.NONE: _Plain,
}


class BlockWriter:
    """Writes blocks into a file, one after the other. `level` is the codec's own; gzip knows 1 to 9 only."""

    def __init__(self, file: BinaryIO, codec: Codec, level: int) -> None:
        self._file = file
        self._encoder: _Encoder = _ENCODERS[codec](level)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._length = 0

    def write(self, piece: bytes) -> None:
        """Go on with the block."""
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > _HELD_MAX:
            for each in self._held:
                self._feed(each)
            self._held, self._held_bytes = [], 0

    def end(self) -> int:
        """Finish the block. Returns how many bytes of the file it is."""
        self._put(self._encoder.last(b"".join(self._held)))
        length, self._length = self._length, 0
        self._held, self._held_bytes = [], 0
        return length

    def _feed(self, piece: bytes) -> None:
        view = memoryview(piece)
        for at in range(0, len(view), _FED):
            self._put(self._encoder.more(view[at : at + _FED]))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._length += len(data)


def skippable_head(length: int) -> bytes:
    """What goes before `length` bytes of any kind, so that decoders of zstd pass over them."""
    return _SKIPPABLE.pack(_SKIPPABLE_MAGIC, length)


def skippable_length(head: bytes) -> int | None:
    """How many bytes follow the first SKIPPABLE_HEAD ones of such a frame; None: it is another one."""
    if len(head) < SKIPPABLE_HEAD:
        return None
    magic, length = _SKIPPABLE.unpack_from(head)
    return int(length) if magic == _SKIPPABLE_MAGIC else None
