"""Request bodies: the chunked coding read strictly, and a digest that never holds a whole body.

Pure: bytes in, values out. Must not know of connections or records.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable

import httptools

from proxy.standin.head import shown

LINE_LIMIT = 4096  # of a chunk's size line or a trailer line
WINDOW = 1 << 16  # decompressed bytes looked at in one go, whatever the ratio
GZIP = 31  # zlib's wbits for "gzip header and nothing else"
SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})(.*)", re.DOTALL)


class BodyError(Exception):
    """The chunked coding is broken; the text is a violation with the bytes."""


class GzipCheck:
    """Inflates a gzip stream (several members allowed) piece by piece and forgets the result."""

    __slots__ = ("_broken", "_stream")

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(GZIP)
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Takes the next bytes; never raises."""
        while data and not self._broken:
            if self._stream.eof:
                self._stream = zlib.decompressobj(GZIP)
            try:
                self._stream.decompress(data, WINDOW)
            except zlib.error:
                self._broken = True
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def good(self) -> bool:
        """Whether the bytes so far are whole gzip members."""
        return self._stream.eof and not self._broken


class Digest:
    """Length, SHA-256 and validity of one body. With `keep` the bytes stay, in `kept`."""

    __slots__ = ("_gzip", "_hash", "kept", "length")

    def __init__(self, gzip: bool, keep: bool) -> None:
        self._hash = hashlib.sha256()
        self._gzip = GzipCheck() if gzip else None
        self.kept: list[bytes] | None = [] if keep else None
        self.length = 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the body."""
        self.length += len(data)
        self._hash.update(data)
        if self._gzip is not None:
            self._gzip.feed(data)
        if self.kept is not None:
            self.kept.append(data)

    def sha256(self) -> bytes:
        """The digest of the bytes so far, 32 bytes."""
        return self._hash.digest()

    def decoded_ok(self) -> bool | None:
        """Whether the gzip is valid; None when the body isn't gzip or nobody wants to know."""
        return None if self._gzip is None else self._gzip.good()


class ChunkedReader:
    """Decodes the chunked coding (RFC 9112, 7.1) more strictly than it asks, llhttp reading along.

    Extensions and trailers are legal, but nothing that a proxy has a reason to send: `note` gets
    them as violations.
    """

    __slots__ = ("_buffer", "_judge", "_left", "_note", "_state")

    def __init__(self, judge: httptools.HttpRequestParser | None, note: Callable[[str], None]) -> None:
        self._judge = judge
        self._note = note
        self._buffer = b""
        self._left = 0  # bytes missing of the open chunk
        self._state = self._size

    def feed(self, data: bytes, digest: Digest) -> bytes | None:
        """Decodes into `digest`. Returns None while the body goes on, else the bytes after it.
        Raises BodyError."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        while self._state != self._end:
            used = self._state(buffer, position, digest)
            if used == 0:
                self._buffer = buffer[position:]
                self._ask_judge(data)
                return None
            position += used
        rest = buffer[position:]
        self._ask_judge(data[: len(data) - len(rest)])
        return rest

    def _ask_judge(self, data: bytes) -> None:
        if self._judge is None:
            return
        try:
            self._judge.feed_data(data)
        except httptools.HttpParserError as error:
            raise BodyError(f"llhttp: {error} {shown(data)}") from error

    # Each state consumes one element at `start` and returns its length, 0 when it is not all there.

    def _size(self, buffer: bytes, start: int, digest: Digest) -> int:
        line = line_at(buffer, start)
        if line is None:
            return 0
        found = SIZE_LINE.fullmatch(line)
        if found is None or found[2][:1] not in (b"", b";"):
            raise BodyError(f"chunk: size line {shown(line)}")
        if found[2]:
            self._note(f"chunk_extension: {shown(line)}")
        self._left = int(found[1], 16)
        self._state = self._data if self._left else self._trailer
        return len(line) + 2

    def _data(self, buffer: bytes, start: int, digest: Digest) -> int:
        data = buffer[start : start + self._left]
        digest.feed(data)
        self._left -= len(data)
        if not self._left:
            self._state = self._after_data
        return len(data)

    def _after_data(self, buffer: bytes, start: int, digest: Digest) -> int:
        ending = buffer[start : start + 2]
        if not b"\r\n".startswith(ending):
            raise BodyError(f"chunk: no CRLF after its data {shown(ending)}")
        if len(ending) < 2:
            return 0
        self._state = self._size
        return 2

    def _trailer(self, buffer: bytes, start: int, digest: Digest) -> int:
        line = line_at(buffer, start)
        if line is None:
            return 0
        if line:
            self._note(f"trailer: {shown(line)}")
        else:
            self._state = self._end
        return len(line) + 2

    def _end(self, buffer: bytes, start: int, digest: Digest) -> int:
        return 0


def line_at(buffer: bytes, start: int) -> bytes | None:
    """The line at `start` without its CRLF, None while its end is missing. Raises BodyError."""
    end = buffer.find(b"\n", start, start + LINE_LIMIT)
    if end < 0:
        if len(buffer) - start >= LINE_LIMIT:
            raise BodyError(f"chunk: a line of more than {LINE_LIMIT} bytes {shown(buffer[start:])}")
        return None
    line = buffer[start : end + 1]
    if not line.endswith(b"\r\n"):
        raise BodyError(f"chunk: a line that ends without CR {shown(line)}")
    return line[:-2]
