"""A segment while it is written: append, have it on the disk, seal.

All or nothing: a frame that can't be written whole is taken back. Used by one thread. Must not know when a segment is
full, or what to do when the disk is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from proxy.spool.direct import DirectWriter
from proxy.spool.folder import Found, State, advance, create, path_of, sync_folder
from proxy.spool.name import SegmentName
from proxy.spool.segment import SALT_LENGTH, Kind, SegmentHead, encode, encode_head

MOST_PIECES: Final = 1000  # in one write; the system takes 1,024 (IOV_MAX)


class NewFrame(NamedTuple):
    """A frame to be appended, see `segment.encode`."""

    kind: Kind
    sequence: int
    time_ms: int
    meta: bytes
    body: Sequence[bytes] = ()


class OpenSegment:
    """`size` in bytes, `opened_ms` Unix time. `outcomes_due` is for its writer: how many uploads in it have no outcome
    yet. Without a `direct` writer everything goes through the system's cache."""

    __slots__ = (
        "_descriptor",
        "_direct",
        "_folder",
        "_is_named",
        "_salt",
        "_unsynced",
        "is_suspect",
        "name",
        "opened_ms",
        "outcomes_due",
        "size",
    )

    def __init__(self, folder: Path, name: SegmentName, opened_ms: int, direct: DirectWriter | None = None) -> None:
        """Create the file and write its head. Raises OSError; then there is no file, or one without a frame."""
        self._folder = folder
        self.name = name
        self.opened_ms = opened_ms
        self._salt = os.urandom(SALT_LENGTH)
        self._descriptor = create(folder, name)
        self._direct = direct
        self._is_named = False  # whether its name is sure to be on the disk
        self._unsynced = True
        self.is_suspect = False  # the disk failed it: nothing more is to be written to it
        self.size = 0
        self.outcomes_due = 0
        try:
            self._write([encode_head(SegmentHead(self._salt, opened_ms))])
        except OSError:
            self.close()
            raise

    def append(self, kind: Kind, sequence: int, time_ms: int, meta: bytes, body: Sequence[bytes] = ()) -> None:
        """Append a frame. Raises OSError; then the file ends where it ended before, or the segment `is_suspect`."""
        self.append_all([NewFrame(kind, sequence, time_ms, meta, body)])

    def append_all(self, frames: Sequence[NewFrame]) -> None:
        """The same with frames that are written at once: all of them or none."""
        pieces: list[bytes] = []
        for kind, sequence, time_ms, meta, body in frames:
            pieces.append(encode(self._salt, kind, sequence, time_ms, meta, body))
            pieces += body
        self._write(pieces)

    def sync(self) -> None:
        """Have everything on the disk. Raises OSError; then it is unknown what is there, asking again would not tell
        (the system forgets what it could not write), and the segment `is_suspect`."""
        if not self._unsynced or self.is_suspect:
            return
        try:
            os.fdatasync(self._descriptor)
            if not self._is_named:
                sync_folder(self._folder)
                self._is_named = True
        except OSError:
            self.is_suspect = True
            raise
        self._unsynced = False

    def seal(self) -> None:
        """Hand it over to whoever uploads it, and let go of it. Raises OSError if the name can't be changed; then it
        is sealed by whoever looks for orphans."""
        try:
            advance(Found(self.name, State.OPEN, path_of(self._folder, self.name, State.OPEN)), State.SEALED)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of it as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether it is neither sealed nor closed."""
        return self._descriptor >= 0

    def _write(self, pieces: list[bytes]) -> None:
        length = sum(map(len, pieces))
        self._unsynced = True
        try:
            if self._direct is not None and self._direct.suits(length):
                self._direct.append(self._descriptor, self.size, pieces)
            else:
                self._write_usually(pieces, length)
        except OSError:
            self._take_back()
            raise
        self.size += length

    def _write_usually(self, pieces: list[bytes], length: int) -> None:
        if len(pieces) > MOST_PIECES:
            pieces = [b"".join(pieces)]
        done = os.writev(self._descriptor, pieces)
        if done < length:
            self._write_rest(b"".join(pieces)[done:])

    def _write_rest(self, rest: bytes) -> None:
        # A disk that fills up takes a part and says why only when it is asked to take more.
        while rest:
            done = os.write(self._descriptor, rest)
            rest = rest[done:]

    def _take_back(self) -> None:
        self.is_suspect = True
        with suppress(OSError):  # then the file ends in a torn frame, which its readers are ready for
            os.ftruncate(self._descriptor, self.size)
            self.is_suspect = False
