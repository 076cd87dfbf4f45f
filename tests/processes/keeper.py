"""What systemd does for a service with FileDescriptorStoreMax=, as sd_notify(3) and sd_listen_fds(3) describe it: keeps
descriptors that it is sent, and starts programs with them. No systemd runs where the tests do."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

MOST = 64  # descriptors, of one message and of one start
STARTER = """
import fcntl, os, socket, sys
with socket.socket(socket.AF_UNIX) as keeper:
    keeper.connect(os.environ.pop("KEEPER"))
    names, passed, _, _ = socket.recv_fds(keeper, 65536, 64)
high = [fcntl.fcntl(each, fcntl.F_DUPFD, 200) for each in passed]
for number, each in enumerate(high):
    os.dup2(each, 3 + number)
os.closerange(3 + len(high), 300)
names = names.decode().strip()
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=names)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Keeper:
    """Runs while it is entered. `told` are the lines that it was sent, `kept` descriptors by their names."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.kept: dict[str, int] = {}
        self._notify = folder / "notify"
        self._start = folder / "start"
        self._hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._starting = socket.socket(socket.AF_UNIX)
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._hear, self._serve)]
        self._ends = False

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a program is to be started by."""
        return (sys.executable, "-c", STARTER)

    @property
    def env(self) -> dict[str, str]:
        """What it needs in its environment."""
        return {"NOTIFY_SOCKET": str(self._notify), "KEEPER": str(self._start)}

    def __enter__(self) -> Self:
        self._hearing.bind(str(self._notify))
        self._starting.bind(str(self._start))
        self._starting.listen()
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_UNIX) as other:
            one.sendto(b"END", str(self._notify))
            other.connect(str(self._start))
            for each in self._threads:
                each.join()
        self._hearing.close()
        self._starting.close()
        for descriptor in self.kept.values():
            os.close(descriptor)

    def _hear(self) -> None:
        while not self._ends:
            data, descriptors, _, _ = socket.recv_fds(self._hearing, 65_536, MOST)
            lines = data.decode().split("\n")
            self.told += lines
            names = [line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")]
            if "FDSTORE=1" in lines:
                (self.kept[names[0]],) = descriptors
            elif "FDSTOREREMOVE=1" in lines:
                os.close(self.kept.pop(names[0]))
            else:  # of a barrier: closing it is the answer
                for each in descriptors:
                    os.close(each)

    def _serve(self) -> None:
        while True:
            asking, _ = self._starting.accept()
            with asking:
                if self._ends:
                    return
                socket.send_fds(asking, [(":".join(self.kept) or " ").encode()], list(self.kept.values()))
