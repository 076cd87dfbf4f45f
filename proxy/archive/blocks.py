"""Reads blocks: their bytes, their lines, and where one ends.

Everything is taken in pieces; nothing larger than a line is held. Must not know what a line says, nor where objects
are kept.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, Protocol

from proxy.archive.naming import Codec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE: Final = 1024 * 1024  # bytes read at once
_OUT: Final = 1024 * 1024  # bytes decompressed at once
_GZIP: Final = 16 + zlib.MAX_WBITS


class BadBlock(ValueError):
    """Bytes that are no block, or not the whole of one; the message says why."""


class _Decoder(Protocol):
    def decode(self, data: bytes) -> bytes:
        """Some of what is compressed in `data`; the rest with the next calls, for which b"" is enough."""

    def is_waiting(self) -> bool:
        """Whether all has been given out of what was taken in."""

    def ended(self) -> bytes | None:
        """What was taken in behind the block's end; None: it has not ended."""


class _Zstd:
    def __init__(self) -> None:
        self._decompressor = zstd.ZstdDecompressor()

    def decode(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data, _OUT)

    def is_waiting(self) -> bool:
        return self._decompressor.needs_input

    def ended(self) -> bytes | None:
        return self._decompressor.unused_data if self._decompressor.eof else None


class _Gzip:
    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(_GZIP)
        self._is_full = False

    def decode(self, data: bytes) -> bytes:
        piece = self._decompressor.decompress(self._decompressor.unconsumed_tail + data, _OUT)
        self._is_full = len(piece) == _OUT
        return piece

    def is_waiting(self) -> bool:
        # An output that was filled may leave some behind inside zlib, without any input.
        return not self._is_full and not self._decompressor.unconsumed_tail

    def ended(self) -> bytes | None:
        return self._decompressor.unused_data if self._decompressor.eof else None


_DECODERS: Final[dict[Codec, type[_Zstd] | type[_Gzip]]] = {Codec.ZSTD: _Zstd, Codec.GZIP: _Gzip}


def decompressed(pieces: Iterable[bytes], codec: Codec) -> Iterator[bytes]:
    """What is in a block, whose bytes `pieces` are. Raises BadBlock when they are not all of one, and no more."""
    if codec is Codec.NONE:
        yield from pieces
        return
    decoder = _DECODERS[codec]()
    for piece in pieces:
        if decoder.ended() is not None:
            raise BadBlock("goes on behind its end")
        yield from _given_out(decoder, piece)
    behind = decoder.ended()
    if behind is None:
        raise BadBlock("ends too early")
    if behind:
        raise BadBlock("goes on behind its end")


def _given_out(decoder: _Decoder, piece: bytes) -> Iterator[bytes]:
    try:
        while True:
            yield decoder.decode(piece)
            if decoder.ended() is not None or decoder.is_waiting():
                return
            piece = b""
    except (zstd.ZstdError, zlib.error) as error:
        raise BadBlock(f"can't be decompressed: {error}") from None


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a text that comes in pieces, without their line feeds. Raises BadBlock when the last has none."""
    begun: list[bytes] = []
    for piece in pieces:
        first, *more = piece.split(b"\n")
        begun.append(first)
        for each in more:
            yield b"".join(begun)
            begun = [each]
    if any(begun):
        raise BadBlock("ends within a line")


def extents(file: BinaryIO, codec: Codec) -> Iterator[tuple[int, int]]:
    """Offset and length of each block in a file, found by decompressing it; uncompressed it counts as one. Frames that
    decoders of zstd pass over are blocks, too, with nothing in them. Raises BadBlock where none begins or ends."""
    end, at = file.seek(0, 2), 0
    while at < end:
        length = end if codec is Codec.NONE else _length_at(file, at, _DECODERS[codec]())
        yield at, length
        at += length


def _length_at(file: BinaryIO, at: int, decoder: _Decoder) -> int:
    file.seek(at)
    taken = 0
    while piece := file.read(PIECE):
        taken += len(piece)
        for _ in _given_out(decoder, piece):
            pass  # only its end is wanted
        if (behind := decoder.ended()) is not None:
            return taken - len(behind)
    raise BadBlock("ends too early")


def pieces_of(file: BinaryIO, at: int, length: int) -> Iterator[bytes]:
    """`length` bytes of a file, which may be moved between two of them. Raises BadBlock where it ends before them."""
    while length > 0:
        file.seek(at)
        piece = file.read(min(length, PIECE))
        if not piece:
            raise BadBlock(f"is cut: {length} bytes of it are missing")
        yield piece
        at, length = at + len(piece), length - len(piece)
