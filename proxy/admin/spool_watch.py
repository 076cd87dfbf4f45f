"""What lies in the spool, asked so that a disk that hangs holds up nobody.

The look is made by a thread of its own, one at a time; it is a daemon, because no one can end a thread that waits for
a disk. Must not know what is done with the answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Final

from proxy.admin.snapshot import SpoolSeen
from proxy.runtime.clock import wall
from proxy.spool.look import look

PATIENCE: Final = 2.0  # seconds


class SpoolWatch:
    """Looks when asked, by calling `measure`, for which nobody waits longer than `patience` seconds."""

    def __init__(self, measure: Callable[[], SpoolSeen], patience: float = PATIENCE) -> None:
        self._measure = measure
        self._patience = patience
        self._looking: asyncio.Future[SpoolSeen] | None = None

    async def seen(self) -> SpoolSeen:
        """What lies there; without it, why it is not known."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_future()
            Thread(target=self._look, args=(self._looking,), name="spool look", daemon=True).start()
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._looking)
        except TimeoutError:
            return SpoolSeen(why_not=f"the disk gave no answer within {self._patience:g} s")

    def _look(self, asked: asyncio.Future[SpoolSeen]) -> None:
        try:
            found = self._measure()
        except OSError as error:
            found = SpoolSeen(why_not=error.strerror or str(error))
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            asked.get_loop().call_soon_threadsafe(asked.set_result, found)


def measured(folder: Path) -> SpoolSeen:
    """The segments by state, their bytes, and what the disk has left. Raises OSError."""
    lying = look(folder, wall(), is_counted=False)
    disk = os.statvfs(folder)
    return SpoolSeen(
        sum(each.bytes for each in lying.values()),
        disk.f_bavail * disk.f_frsize,
        {state.value: each.segments for state, each in lying.items()},
    )
