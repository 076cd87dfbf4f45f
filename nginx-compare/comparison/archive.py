"""The archive of a gateway that is measured: its process, what has become of the uploads, and an end to what it keeps.

A copy costs twice: the workers write it to the spool while they serve, and the archiver stores it afterwards, at its
own pace and a low priority. So a measurement has to tell the one's time from the other's, and to wait for the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from comparison.peers import START_SECONDS, Running, process_tree
from tests.gateway import eventually

ARCHIVER = b"proxy.archiver"
SETTLE_SECONDS = 300.0  # for the archiver: it needs some seconds for each one in which a worker took large uploads


@dataclass(frozen=True)
class Counts:
    """Uploads since the gateway's start: those that the archive was offered, and what has become of them."""

    offered: int
    written: int
    archived: int
    lost: int

    def since(self, before: Counts) -> Counts:
        """What has been added since then."""
        return Counts(
            self.offered - before.offered,
            self.written - before.written,
            self.archived - before.archived,
            self.lost - before.lost,
        )


@dataclass(frozen=True)
class Archive:
    """That of a gateway which runs with one. `cores` are those that the archiver may use."""

    running: Running
    cores: tuple[int, ...]

    def pids(self) -> list[int]:
        """The archiver, which is moved to its cores: those of the workers are for what is asked of them."""
        found = eventually(self._archivers, START_SECONDS, "there is an archiver")
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):  # one of its threads has just ended
                    os.sched_setaffinity(int(task.name), self.cores)
        return found

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The archiver stands still until the block is left. It is to stand for a process that has a core of its own,
        which takes nothing from the workers, the load and the upstream."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _archivers(self) -> list[int]:
        return [pid for pid in process_tree(self.running.pid) if ARCHIVER in _words(pid)]

    def counts(self) -> Counts:
        """What /metrics says."""
        url = f"http://127.0.0.1:{self.running.admin_port}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]

        def of(name: str) -> int:
            wanted = f"replay_gateway_{name}_total"
            return sum(int(float(value)) for key, _, value in samples if key.partition("{")[0] == wanted)

        return Counts(
            of("spool_offered"), of("spool_written"), of("archived"), of("archive_dropped") + of("archive_damaged")
        )

    def wait_until_written(self) -> None:
        """Until the workers have nothing left to write. Raises AssertionError when that does not come."""
        what = "the spool's queues are empty"
        eventually(lambda: (now := self.counts()).offered <= now.written + now.lost, SETTLE_SECONDS, what)

    def wait_until_stored(self) -> Counts:
        """Until the archiver has nothing left to store. Raises AssertionError when that does not come."""
        what = "all uploads are archived"
        eventually(lambda: (now := self.counts()).offered <= now.archived + now.lost, SETTLE_SECONDS, what)
        return self.counts()

    def clear(self) -> None:
        """Throws away what is stored, so that rounds don't fill the disk. Nothing may be waiting."""
        for entry in _entries(self.running.folder / "archive"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _entries(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
