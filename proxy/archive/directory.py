"""A store in a folder of the local disk: objects are files, their keys are paths under it.

An object is written beside its place, made durable, and then renamed: nobody sees half of it, and a power cut leaves
the old one or the new one. All is readable for its owner only. Must not know what is in an object.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from proxy.archive.store import Entry, StoreError
from proxy.spool.folder import claim

# Files that are being written. A crash may leave one behind, which is in nobody's way and in no listing.
_UNFINISHED: Final = ".unfinished-"
_PIECE: Final = 1024 * 1024  # bytes copied at once

_CODES: Final = {
    errno.ENOSPC: ("NoSpace", "make room on that disk, or choose another folder"),
    errno.EDQUOT: ("NoSpace", "raise the quota, or choose another folder"),
    errno.EACCES: ("AccessDenied", "give the user that this runs as the right to read and write there"),
    errno.EPERM: ("AccessDenied", "give the user that this runs as the right to read and write there"),
    errno.EROFS: ("AccessDenied", "mount it for writing, or choose another folder"),
    errno.ENOTDIR: ("NotAFolder", "move away the file that is in a folder's place"),
    errno.EEXIST: ("NotAFolder", "move away the file that is in a folder's place"),
    errno.EIO: ("DiskError", "look at the kernel's log: the disk may be failing"),
}
_OTHERWISE: Final = ("Other", "look at the folder and its disk")
_MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class DirectoryStore:
    """Keeps objects in `folder`, which is made when the first one comes. No error is transient: each of them waits for
    somebody to do something about the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def describe(self) -> str:
        """For people."""
        return f"folder {self._folder}"

    def put(self, key: str, source: Path | bytes) -> None:
        """Store an object, durably. Raises StoreError, and OSError when the source can't be read."""
        path = self._path(key)
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as pieces:
            with _told(f"{path} can't be written"):
                self._make(path.parent)
                number, unfinished = _begun(path)
            try:
                _fill(number, pieces, path)
                with _told(f"{path} can't be written"):
                    unfinished.replace(path)
                    _sync(path.parent)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            finally:
                os.close(number)

    def size(self, key: str) -> int | None:
        """Bytes of an object. Raises StoreError."""
        path = self._path(key)
        with _told(f"{path} can't be looked at"):
            try:
                status = path.stat()
            except _MISSING:
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """An object's bytes. Raises KeyError, StoreError."""
        with self._opened(key) as file, _told(f"{file.name} can't be read"):
            file.seek(start)
            return file.read(-1 if length is None else length)

    def download(self, key: str, to: BinaryIO) -> None:
        """Copy an object into a file. Raises KeyError, StoreError, and OSError when that file can't be written."""
        with self._opened(key) as file:
            while piece := _piece_of(file):
                to.write(piece)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix` and come behind `after`, in the order of their keys. Raises
        StoreError."""
        within = prefix.rpartition("/")[0]
        folder = self._path(within) if within else self._folder
        with _told(f"{folder} can't be listed"):
            yield from _walk(folder, f"{within}/" if within else "", prefix, after)

    def _path(self, key: str) -> Path:
        """Raises StoreError when the key can't be a path under the folder."""
        parts = key.split("/")
        if "\0" in key or any(part in ("", ".", "..") or part.startswith(_UNFINISHED) for part in parts):
            raise StoreError(f"{key!r} can't be a file under {self._folder}; choose another prefix or node name")
        return self._folder.joinpath(*parts)

    def _opened(self, key: str) -> BinaryIO:
        path = self._path(key)
        with _told(f"{path} can't be read"):
            try:
                return path.open("rb")
            except _MISSING:
                raise KeyError(key) from None

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, down from the store's."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make(folder.parent)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # another thread may be as far
        _sync(folder.parent)


def _begun(path: Path) -> tuple[int, Path]:
    """A new file, mode 0600, for what will be at `path`: a descriptor that owns it, and its name. What others have left
    that died over the same object is removed. Raises OSError."""
    prefix = f"{_UNFINISHED}{path.name}-"
    for left in path.parent.glob(f"{escape(prefix)}*"):
        descriptor = claim(left)
        if descriptor is not None:
            left.unlink(missing_ok=True)
            os.close(descriptor)
    # Made and locked in two steps: another that looks between them may remove it, and then it is made again.
    while True:
        number, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
        fcntl.flock(number, fcntl.LOCK_EX)
        if (unfinished := Path(name)).exists():
            return number, unfinished
        os.close(number)


def _fill(number: int, pieces: BinaryIO, path: Path) -> None:
    """Write everything to a descriptor, durably."""
    while left := memoryview(pieces.read(_PIECE)):
        with _told(f"{path} can't be written"):
            while left:
                done = os.write(number, left)
                left = left[done:]
    with _told(f"{path} can't be written"):
        os.fsync(number)


def _piece_of(file: BinaryIO) -> bytes:
    with _told(f"{file.name} can't be read"):
        return file.read(_PIECE)


def _sync(folder: Path) -> None:
    """Make names in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _walk(folder: Path, key: str, prefix: str, after: str) -> Iterator[Entry]:
    """The objects in a folder and below; `key` is what their keys begin with."""
    for name, found in _sorted(folder):
        below = key + name
        if found.name.startswith(_UNFINISHED):
            continue
        if name.endswith("/"):
            # All that is in it comes before `after`, unless `after` itself is in it or before it.
            is_behind = _order(below) > _order(after) or after.startswith(below)
            if is_behind and (below.startswith(prefix) or prefix.startswith(below)):
                yield from _walk(folder / found.name, below, prefix, after)
        elif below.startswith(prefix) and _order(below) > _order(after) and (entry := _entry(below, found)):
            yield entry


def _sorted(folder: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """What is in a folder, each with the part of the key that it is; folders sort by the slash behind them."""
    try:
        with os.scandir(folder) as found:
            named = [(each.name + "/" if each.is_dir() else each.name, each) for each in found]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(named, key=lambda pair: _order(pair[0]))


def _entry(key: str, found: os.DirEntry[str]) -> Entry | None:
    try:
        status = found.stat()
    except FileNotFoundError:
        return None  # removed meanwhile
    return Entry(key, status.st_size, status.st_mtime_ns // 1_000_000)


def _order(key: str) -> bytes:
    return os.fsencode(key)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the system become the store's."""
    try:
        yield
    except OSError as error:
        code, advice = _CODES.get(error.errno or 0, _OTHERWISE)
        raise StoreError(f"{what} ({error.strerror or error}): {advice}", code=code) from error
