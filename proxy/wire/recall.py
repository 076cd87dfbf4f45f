"""Field blocks read before, so that the next head with the same fields need not be read line by line.

The SDK sends the same fields with every upload of a page; only Content-Length differs (captures of
real sessions). A block is looked up as bytes, without its Content-Length line, so what is recalled
is what reading it again would give. llhttp still sees every head whole. Must not know what fields mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from proxy.wire.request import RequestHead

_LENGTH = b"\r\nContent-Length: "
# As in `request`: 18 digits fit in 63 bits.
_LENGTH_DIGITS = 18
# 1,024 blocks of at most 2 KiB, each with its lines taken apart, are about 6 MiB per worker. A full table is
# emptied: a block that is still in use comes back at the price of one reading.
BLOCKS = 1024
LONGEST = 2048


class Parts(NamedTuple):
    """A block without its Content-Length line, where that line was (-1: nowhere) and where it ended."""

    key: bytes
    at: int
    stop: int


class Recall:
    """Request heads by their field block; HTTP/1.1 only, whose defaults are those of the stored head."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[int, int, RequestHead]] = {}

    def fill(self, request: RequestHead, block: bytes, parts: Parts) -> bool:
        """Complete a head that has its request line only; False when the block is not known."""
        known = self._heads.get(parts.key)
        if known is None or known[0] != parts.at or not request.minor:
            return False
        at, index, head = known
        if at < 0:
            request.fields = head.fields
            request.content_length = head.content_length
        else:
            digits = block[at + len(_LENGTH) : parts.stop]
            if not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
                return False
            request.fields = head.fields.copy()
            request.fields[index] = block[at + 2 : parts.stop]
            request.content_length = int(digits)
        request.host = head.host
        request.origin = head.origin
        request.authorization = head.authorization
        request.chunked = head.chunked
        request.keep_alive = head.keep_alive
        request.expects_continue = head.expects_continue
        request.notes = head.notes
        return True

    def learn(self, request: RequestHead, block: bytes, parts: Parts) -> None:
        """Remember a sound head that was read line by line."""
        if not request.minor or len(block) > LONGEST:
            return
        if len(self._heads) >= BLOCKS:
            self._heads.clear()
        index = -1 if parts.at < 0 else request.fields.index(block[parts.at + 2 : parts.stop])
        self._heads[parts.key] = (parts.at, index, request)


def split(block: bytes) -> Parts:
    """Set the Content-Length line apart. `block` is all field lines, each with its line end before it."""
    at = block.find(_LENGTH)
    if at < 0:
        return Parts(block, at, at)
    stop = block.find(b"\r\n", at + len(_LENGTH))
    if stop < 0:
        stop = len(block)
    return Parts(block[:at] + block[stop:], at, stop)
