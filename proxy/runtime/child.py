"""One run of a worker process, seen from the supervisor: started, ready, told to drain, ended.

Must not decide whether another is started afterwards.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from typing import Final

from proxy.runtime.control import Channel, Frame
from proxy.runtime.tasks import spawn

# What any program may need of the environment. The rest is where operators put secrets for settings (${env:…}) and
# where clients of a store look for its keys: who reads what strangers send must not have either.
_KEPT: Final = frozenset(("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"))
_KINDS: Final = ("GLIBC_", "LC_", "LD_", "MALLOC_", "OPENSSL_", "PYTHON", "RES_", "SSL_", "UV_")


class Child:
    """A process and the channel to it. `on_ready` is called when it serves, `on_frame` with the frames that are not
    about the process itself."""

    def __init__(
        self, process: Process, on_ready: Callable[[], None], on_frame: Callable[[Frame, bytes], None]
    ) -> None:
        self._process = process
        self._on_ready = on_ready
        self._on_other = on_frame
        self._channel: Channel | None = None
        self._channel_ended = asyncio.Event()
        self._failure = ""
        self._ready = asyncio.Event()
        self._reloads: asyncio.Queue[str] = asyncio.Queue()
        self._ended = spawn(process.wait(), f"wait for process {process.pid}")

    @classmethod
    async def start(
        cls,
        module: str,
        row: int,
        descriptors: Sequence[int],
        on_ready: Callable[[], None],
        on_frame: Callable[[Frame, bytes], None],
        *,
        inherits: bool = False,
    ) -> Child:
        """Execute `python -m module CHANNEL ROW DESCRIPTOR…`; `row` says which of the workers this is. Nothing else
        is on the command line, where everybody can read it. `inherits`: with all of our environment, in place of what
        any program needs. OSError if there is no room for another process."""
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, *map(str, (theirs.fileno(), row, *descriptors))),
                pass_fds=(theirs.fileno(), *descriptors),
                stdin=DEVNULL,
                # A group of its own: Ctrl-C and a closed terminal are for the supervisor, which then decides.
                process_group=0,
                env=_environment(inherits),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        child = cls(process, on_ready, on_frame)
        child._channel = await Channel.open(ours, child._on_frame, child._channel_ended.set)
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it said that it serves, and still runs."""
        return self._ready.is_set() and not self._ended.done()

    async def become_ready(self, seconds: float) -> bool:
        """Wait until it is ready; False if it ended or the time is over."""
        ready = spawn(self._ready.wait(), f"ready {self.pid}")
        try:
            await asyncio.wait((ready, self._ended), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        return self._ready.is_set()

    async def end(self) -> str:
        """Wait until it has ended; why, in words: its own if it sent some. Empty for exit code 0."""
        code = await self._ended
        await self._channel_ended.wait()  # what it said last is in the channel, which ends with the process
        return self._failure or _cause(code)

    def send(self, kind: Frame, payload: bytes = b"") -> None:
        """Send a frame that must arrive."""
        if self._channel is not None:
            self._channel.send(kind, payload)

    def offer(self, kind: Frame, payload: bytes) -> None:
        """Send a frame that may be lost."""
        if self._channel is not None:
            self._channel.offer(kind, payload)

    async def reload(self, settings: bytes, seconds: float) -> str:
        """Give it other settings; why it did not take them within that time, empty if it did or has ended meanwhile
        (the next one begins with what it is greeted with). Not to be called again before it returns."""
        self.send(Frame.RELOAD, settings)
        answer = spawn(self._reloads.get(), f"reload of {self.pid}")
        try:
            await asyncio.wait((answer, self._ended), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            return "" if self._ended.done() else f"process {self.pid} did not answer within {seconds:g} s"
        finally:
            answer.cancel()

    def drain(self, seconds: float) -> None:
        """Tell it to finish what it has in hand, for so long at most; 0 cuts everything. The last word counts."""
        self.send(Frame.DRAIN, str(seconds).encode())

    def kill(self) -> bool:
        """End it at once; whether it still ran."""
        if self._ended.done():
            return False
        self._process.kill()
        return True

    def _on_frame(self, kind: Frame, payload: bytes) -> None:
        if kind is Frame.READY:
            self._ready.set()
            self._on_ready()
        elif kind is Frame.FAILED:
            self._failure = payload.decode()
        elif kind is Frame.RELOADED:
            self._reloads.put_nowait(payload.decode())
        else:
            self._on_other(kind, payload)


def _environment(inherits: bool) -> dict[str, str]:
    # `-P` keeps the working directory out of the child's module path: a folder named like us there must not be run
    # instead of us. So it gets the path that this process found its modules on.
    ours = {name: value for name, value in os.environ.items() if inherits or name in _KEPT or name.startswith(_KINDS)}
    return {**ours, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def _cause(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}" if code else ""
    try:
        return f"it was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was killed by signal {-code}"
