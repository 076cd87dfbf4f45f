"""A folder in the spool's where an archiver makes objects: its own for as long as it lives.

Whatever a dead archiver has left is removed by the next, which is told the names. Must not know what the files are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

_PREFIX: Final = "sealing-"


class Scratch:
    """`path` is the folder. `left` are the names of the files that were in those of archivers that are gone."""

    def __init__(self, spool: Path) -> None:
        """Make it, and remove those of archivers that are gone. Raises OSError."""
        # Made and locked in two steps: another that looks between them may remove it, and then it is made again.
        while True:
            self.path = Path(mkdtemp(prefix=_PREFIX, dir=spool))
            self._lock = _locked(self.path)
            if self._lock >= 0 and self.path.exists():
                break
        self.left: set[str] = set()
        for other in spool.glob(f"{_PREFIX}*"):
            lock = _locked(other) if other != self.path else -1
            if lock >= 0:
                self.left.update(each.name for each in other.iterdir())
                shutil.rmtree(other, ignore_errors=True)
                os.close(lock)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _locked(path: Path) -> int:
    """A descriptor that owns the folder; -1: somebody else does, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor
