"""Frames between the supervisor and a worker, over a socket pair.

A frame is a length of 4 bytes (big endian, of what follows), a kind of 1 byte and a payload. The end of the
stream is a message too: the other process is gone. Must not know what the payloads mean.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import cast

HEADER_BYTES = 5
# The largest payload is a configuration answer (limits.config_answer, 1 MiB unless raised) or the settings with
# their lists of keys: 16 MiB leaves room for both, and a broken length can't make the reader collect gigabytes.
FRAME_BYTES = 16 * 1024 * 1024
# What may wait for a process that doesn't read: all 256 entries of a configuration cache at a usual 10 KiB are
# 2.5 MiB. Beyond it, frames that may be lost are (see Channel.offer).
BACKLOG_BYTES = 32 * 1024 * 1024


class Frame(IntEnum):
    """The kinds. Supervisor to worker: SETTINGS (once, first), DRAIN (payload: seconds in ASCII; a second one
    replaces the limit of the first), RELOAD (other settings, in place of those it has). Worker to supervisor: READY,
    FAILED (why the start failed, as text), RELOADED (empty, or why the settings in hand were kept, as text). Both ways:
    CONFIG (a learnt configuration answer), KEYS (public keys that check tokens; empty, to the supervisor: some are
    missing)."""

    SETTINGS = 1
    READY = 2
    FAILED = 3
    DRAIN = 4
    CONFIG = 5
    RELOAD = 6
    RELOADED = 7
    KEYS = 8


class FrameError(Exception):
    """The other end did not speak in frames: an error of ours, the connection is of no more use."""


def encoded(kind: Frame, payload: bytes = b"") -> bytes:
    """One frame's bytes. FrameError if the payload is larger than FRAME_BYTES."""
    if len(payload) > FRAME_BYTES:
        raise FrameError(f"a {kind.name} frame of {len(payload)} bytes exceeds the limit of {FRAME_BYTES}")
    return (len(payload) + 1).to_bytes(4, "big") + bytes((kind,)) + payload


class Decoder:
    """Bytes as they come in, whole frames out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Frame, bytes]]:
        """The frames that `data` completes, in order. FrameError on an unknown kind or an excessive length."""
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER_BYTES:
            size, kind = self._head(start)
            end = start + HEADER_BYTES + size
            if len(buffer) < end:
                break
            frames.append((kind, bytes(buffer[start + HEADER_BYTES : end])))
            start = end
        del buffer[:start]
        return frames

    def _head(self, start: int) -> tuple[int, Frame]:
        size = int.from_bytes(self._buffer[start : start + 4], "big") - 1
        kind = self._buffer[start + 4]
        if not 0 <= size <= FRAME_BYTES:
            raise FrameError(f"a frame announces {size} bytes; the limit is {FRAME_BYTES}")
        try:
            return size, Frame(kind)
        except ValueError:
            raise FrameError(f"unknown frame kind {kind}") from None


class Channel(asyncio.Protocol):
    """One end of the socket pair. `on_frame` gets every frame, `on_end` is called once when the other end is
    gone, or when it sent what is no frame."""

    def __init__(self, on_frame: Callable[[Frame, bytes], None], on_end: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_end = on_end
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls, end: socket.socket, on_frame: Callable[[Frame, bytes], None], on_end: Callable[[], None]
    ) -> Channel:
        """Take over a socket of `socket.socketpair()` in the running loop."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(on_frame, on_end), sock=end)
        return channel

    def send(self, kind: Frame, payload: bytes = b"") -> None:
        """Send a frame that must arrive; to an end that is gone it is lost in silence (`on_end` tells)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encoded(kind, payload))

    def offer(self, kind: Frame, payload: bytes) -> bool:
        """Send a frame that may be lost: not sent, and False, when the other end has BACKLOG_BYTES unread or the
        payload is too large for a frame."""
        transport = self._transport
        if transport is None or len(payload) > FRAME_BYTES or transport.get_write_buffer_size() > BACKLOG_BYTES:
            return False
        self.send(kind, payload)
        return True

    def close(self) -> None:
        """Close this end, after what is still to be written."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
        except FrameError:
            self.close()
            return
        for kind, payload in frames:
            self._on_frame(kind, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_end()
