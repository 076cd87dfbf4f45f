"""The archiver process: brings what the workers have left in the spool into the store, until it is told to stop.

Composition root of the archive. Started by the supervisor as `python -m proxy.archiver CHANNEL 0 LEDGER`, all numbers
(see `worker`); its row in the ledger is the last. It ends when the supervisor says so, on SIGTERM, and when the
supervisor is gone; whatever ends it at whatever moment, the spool keeps what is not stored yet. It runs at a low
priority: the traffic goes first.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from proxy.archive.naming import Codec
from proxy.archive.open_store import open_store
from proxy.archive.seal import SealOptions
from proxy.archive.uploader import Uploader, UploadRules
from proxy.observe import logs
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.runtime.clock import wall
from proxy.runtime.control import Channel, Frame
from proxy.runtime.machine import forbid_core_dumps
from proxy.runtime.sockets import adopt
from proxy.settings import Settings
from proxy.settings.handover import load
from proxy.settings.schema import Archive
from proxy.spool.folder import adopt_orphans
from proxy.spool.rules import node_of

# Added to the niceness: a machine that is busy with traffic archives later.
NICENESS: Final = 15
# What a worker that died has left is its successor's affair, who knows more of it, for so long.
ORPHAN_SECONDS: Final = 60.0
ORPHAN_LOOK_SECONDS: Final = 10.0

_log = logging.getLogger("proxy.archive")


class Archiver:
    """What the process does, from its first frame to its exit code."""

    def __init__(self, memory: LedgerMemory) -> None:
        self._memory = memory
        self._first: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._channel: Channel | None = None
        self._told_to_stop = asyncio.Event()
        self._grace = 0.0  # seconds for what is in hand

    async def run(self, control: socket.socket) -> int:
        """Archive until told to stop; the exit code."""
        self._channel = await Channel.open(control, self._on_frame, self._on_end)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._told_to_stop.set)
        handed_over = await self._first
        if handed_over is None:
            return 0  # the supervisor ended before it said anything
        try:
            settings = load(handed_over)
            uploader = await asyncio.to_thread(self._start, settings)
        except Exception as error:
            _log.exception("the archiver could not start")
            self._channel.send(Frame.FAILED, f"{type(error).__name__}: {error}".encode())
            await asyncio.sleep(0)  # the loop writes it in its next turn
            return 1
        self._channel.send(Frame.READY)
        assert settings.archive is not None
        await self._watch(settings.archive)
        if not await asyncio.to_thread(uploader.stop, self._grace):
            _log.info("an upload was left unfinished; it is made again at the next start")
        return 0

    def _start(self, settings: Settings) -> Uploader:
        archive = settings.archive
        if archive is None:
            raise ValueError("there is no `archive` in the settings")
        ledger = Ledger(self._memory.rows[-1])
        logs.configure(settings.log, "archiver", wall, lambda n: ledger.count(Counter.LOG_LINES_DROPPED, n))
        store = open_store(archive)
        options = SealOptions(Codec(archive.codec), archive.level, archive.body, archive.inflate_max)
        rules = UploadRules(archive.upload.parallel, archive.upload.backoff, archive.upload.backoff_max)
        node = node_of(archive, socket.gethostname())
        uploader = Uploader(archive.spool.directory, node, store, options, rules, ledger)
        uploader.start()
        _log.info("archiving %s into %s", archive.spool.directory, store.describe())
        return uploader

    async def _watch(self, archive: Archive) -> None:
        """Until told to stop, seal what dead workers have left and no successor has put away."""
        while not self._told_to_stop.is_set():
            try:
                now = wall()
                for path in await asyncio.to_thread(
                    adopt_orphans, archive.spool.directory, now, before=now - ORPHAN_SECONDS
                ):
                    _log.info("sealed %s, which a process that died had left open", path.name)
            except OSError as error:
                _log.error("can't look into the spool %s: %s", archive.spool.directory, error.strerror)
            try:
                async with asyncio.timeout(ORPHAN_LOOK_SECONDS):
                    await self._told_to_stop.wait()
            except TimeoutError:
                pass

    # -- the supervisor's side

    def _on_frame(self, kind: Frame, payload: bytes) -> None:
        if kind is Frame.SETTINGS:
            self._first.set_result(payload)
        elif kind is Frame.DRAIN:
            self._grace = float(payload)
            self._told_to_stop.set()

    def _on_end(self) -> None:
        if not self._first.done():
            self._first.set_result(None)
        self._told_to_stop.set()


async def _archive(control: int, ledger: int) -> int:
    return await Archiver(LedgerMemory(ledger)).run(adopt(control))


def main(arguments: Sequence[str]) -> int:
    """Run as the archiver that `arguments` (numbers, see above) describe; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    forbid_core_dumps()
    faulthandler.enable()
    os.nice(NICENESS)
    control, _, ledger = map(int, arguments)
    try:
        return asyncio.run(_archive(control, ledger))
    finally:
        logs.flush()


if __name__ == "__main__":
    # Threads that hang in a store's call must not keep the process.
    code = main(sys.argv[1:])
    os._exit(code)
