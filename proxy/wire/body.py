"""One message's body, taken out of the bytes that follow its head (RFC 9112, 6.3).

Counted bodies are sliced, not parsed; chunked ones are decoded. Must not know which side it reads,
nor what becomes of the pieces.
"""

from __future__ import annotations

from proxy.wire.chunked import ChunkedDecoder


class BodyReader:
    """Reads one body after the other on one side of a connection.

    `complete` says that the message has ended. `until_close` is the third way for a body to end, which
    only answers know: then `complete` never turns true and everything belongs to the body.
    """

    __slots__ = ("_decoder", "complete", "left", "until_close")

    def __init__(self) -> None:
        self._decoder: ChunkedDecoder | None = None
        self.left = 0
        self.complete = True
        self.until_close = False

    def begin(self, length: int, chunked: bool = False, until_close: bool = False, *, least_average: int = 0) -> None:
        """Expect a body of `length` bytes, or one that ends in another way."""
        self._decoder = ChunkedDecoder(least_average) if chunked else None
        self.left = length
        self.until_close = until_close
        self.complete = not (chunked or until_close or length)

    @property
    def counted(self) -> bool:
        """Whether `left` is the number of bytes still to come."""
        return self._decoder is None and not self.until_close

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Returns the body in `data` and how many bytes of `data` belong to this message. Raises BadChunk."""
        if self._decoder is not None:
            pieces, used = self._decoder.feed(data)
            self.complete = self._decoder.done
            return b"".join(pieces), used
        if self.until_close:
            return data, len(data)
        piece = data if len(data) <= self.left else data[: self.left]
        self.left -= len(piece)
        self.complete = not self.left
        return piece, len(piece)
