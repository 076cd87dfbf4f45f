"""A wall clock that a test can set for the programs that it starts; this machine's is left alone."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
_OFFSET = struct.Struct("=q")


class WallClock:
    """`env` is what a program must be started with; it and its children then read a clock that `step` moves."""

    def __init__(self, folder: Path) -> None:
        library, self._offset = folder / "clock.so", folder / "offset"
        where = f'-DOFFSET_FILE="{self._offset}"'
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", where, "-o", library, SOURCE], check=True)
        self._offset.write_bytes(_OFFSET.pack(0))
        self.env: Mapping[str, str] = {"LD_PRELOAD": str(library)}

    def step(self, seconds: int) -> None:
        """Be so many seconds ahead of this machine's clock from now on; behind it if negative."""
        file = os.open(self._offset, os.O_WRONLY)  # not written anew: programs have it mapped
        try:
            os.pwrite(file, _OFFSET.pack(seconds), 0)
        finally:
            os.close(file)
