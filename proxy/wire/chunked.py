"""The chunked transfer coding (RFC 9112, 7.1), both ways.

The coding is taken off on one side and put on anew on the other: extensions and trailers never
pass, and the framing that leaves is always our own. Unlike llhttp's, this reader knows at which
byte a message ends. Must not know which side it reads.
"""

from __future__ import annotations

import re
from typing import Final

# Sizes of more digits than this can't be meant: 16**12 bytes are 256 TiB.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?\Z")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\Z")
# A size line holds a number of a few digits; extensions are dropped and need no room.
SIZE_LINE_LIMIT: Final = 1024
# Trailers are dropped; 8 KiB is what nginx and Node allow for a whole head.
TRAILERS_LIMIT: Final = 8192

# So many chunks may be of any size: who writes a body piece by piece may begin with small ones.
TINY_GRACE: Final = 1024

LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3
_DONE: Final = 4


class BadChunk(Exception):
    """The bytes are not a chunked body."""


class TinyChunks(BadChunk):
    """The chunks are smaller on average than is borne. One of a byte costs as much as one of a thousand."""


def encode(data: bytes) -> bytes:
    """One chunk. `data` must not be empty: an empty chunk is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Takes the coding off. `done` turns true with the last byte of the message. Beyond TINY_GRACE chunks they have
    to hold `least_average` bytes on average; 0: any."""

    __slots__ = ("_chunks", "_least_average", "_left", "_line", "_promised", "_state", "_trailers", "done")

    def __init__(self, least_average: int = 0) -> None:
        self._least_average = least_average
        self._chunks = 0
        self._promised = 0  # bytes that their sizes add up to
        self._state = _SIZE
        self._left = 0
        self._line = b""
        self._trailers = 0
        self.done = False

    def feed(self, data: bytes) -> tuple[list[bytes], int]:
        """Returns the pieces of body in `data` and the number of bytes that belong to this message.

        Raises BadChunk, or TinyChunks. After `done` nothing is consumed any more.
        """
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.done:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
            else:
                at = self._take_line(data, at)
        return pieces, at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        stop = len(data) if end < 0 else end + 1
        self._line += data[at:stop]
        if len(self._line) > SIZE_LINE_LIMIT:
            raise BadChunk(f"a line of the chunked framing exceeds {SIZE_LINE_LIMIT} bytes")
        if end >= 0:
            if not self._line.endswith(b"\r\n"):
                raise BadChunk("a line of the chunked framing does not end in CRLF")
            line, self._line = self._line[:-2], b""
            self._line_read(line)
        return stop

    def _line_read(self, line: bytes) -> None:
        if self._state == _SIZE:
            self._size_read(line)
        elif self._state == _DATA_END:
            if line:
                raise BadChunk("a chunk is longer than its size")
            self._state = _SIZE
        elif not line:
            self._state, self.done = _DONE, True
        else:
            self._trailers += len(line) + 2
            if self._trailers > TRAILERS_LIMIT or not _TRAILER.match(line):
                raise BadChunk("a trailer field is malformed or too large")

    def _size_read(self, line: bytes) -> None:
        match = _SIZE_LINE.match(line)
        if not match:
            raise BadChunk("a chunk size is malformed")
        self._left = int(match[1], 16)
        self._chunks += 1
        self._promised += self._left
        if self._chunks > TINY_GRACE and self._promised < self._chunks * self._least_average:
            raise TinyChunks(f"{self._chunks} chunks hold {self._promised} bytes")
        self._state = _DATA if self._left else _TRAILERS
