"""Processes that make up a server: started, watched while they start, and ended by their ids, whatever happens.

They end with the test process as well, should that be killed. Must not know which server it is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

POLL = 0.05  # seconds between two looks while waiting
STOP_SECONDS = 10.0
LOG_SHOWN = 3000  # characters of a log that an error shows


class ServerError(Exception):
    """A server did not start; the text has what its processes wrote."""


class Processes:
    """A folder for their state, and the processes by name. Leaving it ends them and removes the folder."""

    def __init__(self, name: str, environment: Mapping[str, str], base: Path | None = None) -> None:
        """`environment` is theirs, in addition to that of the tests; the folder is made in `base`."""
        self._environment = {**os.environ, **environment}
        self._folder = tempfile.TemporaryDirectory(prefix=f"s3-{name}-", dir=base, ignore_cleanup_errors=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.kill(name)
        self._folder.cleanup()

    def start(self, name: str, *command: str) -> None:
        """Start a process that stays."""
        with (self.folder / f"{name}.out").open("ab") as log:
            self._running[name] = subprocess.Popen(
                # Killed by the kernel when the tests are.
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def run(self, *command: str, seconds: float = 60.0) -> str:
        """Run a program to its end; what it printed. Raises ServerError when it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def wait_for(self, is_ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it is. Raises ServerError when a process ends meanwhile, or when the time is over."""
        ends = time.monotonic() + seconds
        while True:
            is_over = time.monotonic() > ends
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            # Looked for first: what answers in the place of one that ended is another's.
            if not ended and is_ready():
                return
            if ended or is_over:
                what = f"{', '.join(ended)} ended" if ended else f"not ready after {seconds:.0f} s"
                raise ServerError(f"{what}\n" + "\n".join(map(self._log, ended or self._running)))
            time.sleep(POLL)

    def pid(self, name: str) -> int:
        """The id of a process."""
        return self._running[name].pid

    def pause(self, name: str) -> None:
        """The process keeps its connections and does nothing more."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """It goes on."""
        os.kill(self.pid(name), signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End it at once; what it has not stored is lost."""
        process = self._running.pop(name)
        process.kill()
        process.wait(STOP_SECONDS)

    def _log(self, name: str) -> str:
        text = (self.folder / f"{name}.out").read_text(errors="replace")
        return f"--- {name}:\n{text[-LOG_SHOWN:]}"
