"""Files and folders that are there only when they are complete, for their owner alone. Must not know archives, but for
what a line's body is called."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from proxy.archive.line import Line

_UNFINISHED: Final = ".unfinished-"


class NewFile:
    """A file that takes its name at the end."""

    def __init__(self, folder: Path) -> None:
        number, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=folder)  # with mode 0600
        self._file = os.fdopen(number, "wb")
        self.path = Path(name)
        self.is_wanted = True

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)

    def discard(self) -> None:
        """Let there be no file."""
        self.is_wanted = False

    def close(self) -> None:
        """Have it on the disk."""
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())

    def abandon(self) -> None:
        """Remove what there is."""
        self._file.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file that is there under its name when the block has ended well, in place of one that was. Raises OSError."""
    file = NewFile(path.absolute().parent)
    try:
        yield file
        file.close()
        if file.is_wanted:
            os.replace(file.path, path)
    finally:
        file.abandon()


class NewFolder:
    """A folder that takes its name at the end."""

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))  # with mode 0700
        self.is_wanted = True

    def discard(self) -> None:
        """Let there be no folder."""
        self.is_wanted = False


@contextmanager
def new_folder(path: Path) -> Iterator[NewFolder]:
    """The same for a folder, which must not be there yet. Raises OSError."""
    folder = NewFolder(path.absolute().parent)
    try:
        yield folder
        if folder.is_wanted:
            folder.path.rename(path)
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def write_body(folder: Path, line: Line) -> None:
    """Write what was uploaded: as .json if it is that, else as .bin, the bytes as they came. Raises BadLine."""
    body = line.original()
    stem, suffix = f"{line.time_ms}-{line.head['seq']}", "json" if _is_json(body) else "bin"
    number = 1
    # Two workers may have counted to the same number in the same millisecond.
    while True:
        name = f"{stem}.{suffix}" if number == 1 else f"{stem}-{number}.{suffix}"
        try:
            descriptor = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            number += 1
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        return


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True
