"""Takes off the content coding that a client has put on a body (RFC 9110, 8.4.1), within a limit.

Pure. Must not know what the body means, or why it is wanted.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

# Inflates in half of zlib's time, which is a quarter of what an upload costs the archiver.
from isal import igzip_lib, isal_zlib

GZIPPED: Final = frozenset({"gzip", "x-gzip"})
PLAIN: Final = frozenset({"", "identity"})
# A body of more members is not decoded: 20 bytes make one, and each costs as much as a small body.
MEMBERS_MAX: Final = 1000
_IN: Final = 64 * 1024  # bytes given to the library at once: what it leaves of them is copied
_OUT: Final = 256 * 1024  # bytes taken from it at once
# The library's stubs take its name for an instance.
_BROKEN: Final[type[Exception]] = igzip_lib.IsalError  # type: ignore[assignment]
_GZIP: Final = 16 + isal_zlib.MAX_WBITS


def decoded(wire: bytes, encoding: str, inflate_max: int) -> bytes | None:
    """The body without its coding; None: it can't be taken off exactly, or more than `inflate_max` bytes came out.

    Only gzip is decoded, the one that the SDK uses. A gzip of several members is what they are in a row; a gzip with
    anything else behind it is none. An uncoded body is returned itself, whatever its size.
    """
    if encoding in PLAIN:
        return wire
    if encoding not in GZIPPED:
        return None
    try:
        return _gunzipped(wire, inflate_max)
    except _BROKEN:
        return None


def _gunzipped(wire: bytes, most: int) -> bytes | None:
    if len(wire) <= _IN:
        # Most bodies are out at once, and need not be put together.
        inflater = isal_zlib.decompressobj(_GZIP)
        piece = inflater.decompress(wire, min(most + 1, _OUT))
        if inflater.eof and not inflater.unused_data:
            return piece if len(piece) <= most else None
    # Not b"".join: it would hold everything twice.
    out = BytesIO()
    inflater, members = isal_zlib.decompressobj(_GZIP), 1
    for at in range(0, len(wire), _IN):
        rest = wire[at : at + _IN]
        while rest:
            if inflater.eof:
                inflater, members = isal_zlib.decompressobj(_GZIP), members + 1
            rest = _inflate(inflater, rest, out, most)
            if out.tell() > most or members > MEMBERS_MAX:
                return None
    return out.getvalue() if inflater.eof else None


def _inflate(inflater: isal_zlib.Decompress, data: bytes, out: BytesIO, most: int) -> bytes:
    """Write what `data` holds of one member, and little more than `most` bytes of it. Returns what is behind it."""
    while True:
        piece = inflater.decompress(data, _OUT)
        out.write(piece)
        if inflater.eof:
            return inflater.unused_data
        data = inflater.unconsumed_tail
        # An output that was filled may leave some behind inside the library, without any input.
        if out.tell() > most or (not data and len(piece) < _OUT):
            return b""
