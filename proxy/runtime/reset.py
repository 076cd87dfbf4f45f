"""Ending a connection so that the other side can't take it for an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

# For a connection's end, once it is cut, to be told by the loop, which does so in its next turn if it can at all: the
# end of a TLS connection may need memory that is not there, and what the loop can't tell then it never tells.
CUT_SECONDS: Final = 2.0

_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close at once with a TCP reset. A plain close sends what the kernel still holds and then FIN, which
    without a length looks like the end of the message (RFC 9112, 8)."""
    try:
        plain = transport.get_extra_info("socket")
        if plain is not None and not transport.is_closing():
            with contextlib.suppress(OSError):  # closed by the other side meanwhile
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    finally:  # there may be no memory for the above
        transport.abort()
