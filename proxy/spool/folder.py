"""The spool's folder: what its files are called, what state each is in, and whose it is.

The state of a segment is the end of its name, and its owner is whoever holds a lock (flock) on it: a crash leaves
nothing that must be put right before a start, and no second file has to agree with the first. Must not know what is
in a segment, nor why one changes its state.

    <node>-<boot>-<number>.new      is being created; worth nothing
    <node>-<boot>-<number>.open     is being written; without a lock, its writer is dead
    <node>-<boot>-<number>.sealed   complete, waits for its upload
    <node>-<boot>-<number>.damaged  uploaded as far as it could be read; kept for a person to look at
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from proxy.spool.name import SegmentName

FOLDER_MODE: Final = 0o700  # recordings of what people did: for the gateway's user alone
FILE_MODE: Final = 0o600
# What has been NEW for so long has no creator any more. A younger one may not be locked yet: whoever claims it, even
# for a moment, makes its creation fail.
CREATED_SECONDS: Final = 60.0


class State(Enum):
    """What a file of the spool is; the value is the end of its name."""

    NEW = "new"
    OPEN = "open"
    SEALED = "sealed"
    DAMAGED = "damaged"


_STATES: Final = {state.value: state for state in State}


class Found(NamedTuple):
    """A file of the spool."""

    name: SegmentName
    state: State
    path: Path


def prepare(folder: Path) -> None:
    """Make the folder if it isn't there, and keep others out of it. Raises OSError."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def path_of(folder: Path, name: SegmentName, state: State) -> Path:
    """Where a segment in this state lies."""
    return folder / f"{name}.{state.value}"


def found_in(folder: Path) -> Iterator[Found]:
    """The spool's files, oldest first as far as one process named them; other files are left alone. Raises OSError."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for text in names:
        stem, _, end = text.rpartition(".")
        state, name = _STATES.get(end), SegmentName.parse(stem)
        if state is not None and name is not None:
            yield Found(name, state, folder / text)


def create(folder: Path, name: SegmentName) -> int:
    """A new file in state OPEN that this process owns; its descriptor, for appending. Raises OSError.

    Locked before it has the name under which others look for files that nobody owns.
    """
    path = path_of(folder, name, State.NEW)
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rename(path_of(folder, name, State.OPEN))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def claim(path: Path) -> int | None:
    """Take over a file that nobody owns; its descriptor, for reading. None if somebody does or it is gone. The owner
    may change the file's state or remove it; closing the descriptor lets go of it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever owned it until now may have renamed or removed it since it was found.
        if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def advance(found: Found, state: State) -> Path:
    """Give a file that this process owns its next state. Raises OSError; then it has its state still."""
    path = path_of(found.path.parent, found.name, state)
    found.path.rename(path)
    _promise(found.path.parent)
    return path


def remove(found: Found) -> None:
    """Remove a file that this process owns. Raises OSError; then it is there still."""
    found.path.unlink()
    _promise(found.path.parent)


def _promise(folder: Path) -> None:
    """Have what was just done outlive a power cut. A disk that can't promise it has done it all the same: whoever is
    told otherwise would count a segment that is gone as one that waits. Undone, a segment is archived once more, as the
    same object."""
    with suppress(OSError):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def adopt_orphans(folder: Path, now: float, before: float = math.inf) -> list[Path]:
    """Seal what dead writers have left open; where it is now. What they left half created is removed once it is
    CREATED_SECONDS old. Files that were changed at `before` or later are left alone. Both are Unix time.

    A file that can't be claimed or renamed is left for the next time. Raises OSError if the folder can't be read.
    """
    sealed = []
    for found in found_in(folder):
        if found.state is State.NEW and not _is_older(found.path, now - CREATED_SECONDS):
            continue
        if found.state is State.OPEN or found.state is State.NEW:
            path = _adopt(found, before)
            if path is not None:
                sealed.append(path)
    return sealed


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _adopt(found: Found, before: float) -> Path | None:
    descriptor = claim(found.path)
    if descriptor is None:
        return None
    try:
        if os.fstat(descriptor).st_mtime >= before:
            return None
        if found.state is State.NEW:
            remove(found)
            return None
        os.fsync(descriptor)
        return advance(found, State.SEALED)
    finally:
        os.close(descriptor)
