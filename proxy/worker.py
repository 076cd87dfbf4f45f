"""One worker process: a loop that serves clients on the sockets it was started with, until it is told to drain.

Composition root of the data plane. Started by the supervisor as `python -m proxy.worker CHANNEL ROW LEDGER SOCKET…`,
all numbers: the channel's descriptor, this worker's row in the ledger, the ledger's descriptor, and a listening socket
for each entry of `listen`. It drains when the supervisor says so, on SIGTERM, and when the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import uvloop

from proxy.edge.gateway import Gateway
from proxy.observe import logs
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.runtime.clock import monotonic, wall
from proxy.runtime.control import Channel, Frame
from proxy.runtime.machine import give_memory_back
from proxy.runtime.sockets import BACKLOG, accepted, adopt
from proxy.runtime.tasks import spawn
from proxy.runtime.tls import server_context
from proxy.settings import Settings
from proxy.settings.handover import load
from proxy.spool.rules import SpoolRules
from proxy.spool.tee import Tee

DRAIN_LOOK_SECONDS = 0.02  # how often a draining worker looks whether it is done
# How long the spool's writer may take to write what it has and to seal it.
SPOOL_SECONDS = 2.0

_log = logging.getLogger("proxy.worker")


@dataclass(slots=True)
class Listener:
    """A listening socket and what is served on it. `kept` is a second descriptor of the same socket: the server
    closes its own before the accept queue is empty."""

    kept: socket.socket
    server: asyncio.Server
    factory: Callable[[], asyncio.Protocol]
    context: ssl.SSLContext | None


class Worker:
    """What a worker process does, from its first frame to its exit code."""

    def __init__(self, row: int, memory: LedgerMemory, sockets: Sequence[socket.socket]) -> None:
        self._row = row
        self._memory = memory
        self._sockets = sockets
        self._first: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._configs: list[bytes] = []  # learnt by others before the gateway is built; as many as its cache holds
        self._settings: Settings | None = None
        self._gateway: Gateway | None = None
        self._tee: Tee | None = None
        self._channel: Channel | None = None
        self._listeners: list[Listener] = []
        self._told_to_drain = asyncio.Event()
        self._deadline = 0.0

    async def run(self, control: socket.socket) -> int:
        """Serve until drained; the exit code."""
        self._channel = await Channel.open(control, self._on_frame, self._on_end)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._drain_by_default)
        handed_over = await self._first
        if handed_over is None:
            return 0  # the supervisor ended before it said anything
        try:
            gateway = await self._start(load(handed_over))
        except Exception as error:
            _log.exception("the worker could not start")
            self._channel.send(Frame.FAILED, f"{type(error).__name__}: {error}".encode())
            await asyncio.sleep(0)  # the loop writes it in its next turn
            return 1
        self._channel.send(Frame.READY)
        await self._told_to_drain.wait()
        await self._drain(gateway)
        return 0

    # -- start

    async def _start(self, settings: Settings) -> Gateway:
        self._settings = settings
        loop = asyncio.get_running_loop()
        ledger = Ledger(self._memory.rows[self._row], settings.upstreams)
        logs.configure(settings.log, f"worker {self._row}", wall, lambda n: ledger.count(Counter.LOG_LINES_DROPPED, n))
        if settings.archive is not None:
            self._tee = Tee(SpoolRules.of(settings.archive, socket.gethostname()), ledger, loop)
            self._tee.start()
        gateway = self._gateway = Gateway(settings, ledger, loop, self._tee)
        gateway.config_answers.on_store = self._share
        for entry in self._configs:
            self._learn(entry)
        for number, each in enumerate(self._sockets):
            self._listeners.append(await self._listen(settings, gateway, ledger, number, each))
        ledger.count(Counter.WORKER_STARTS)
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        return gateway

    async def _listen(
        self, settings: Settings, gateway: Gateway, ledger: Ledger, number: int, listening: socket.socket
    ) -> Listener:
        tls = settings.listen[number].tls
        context = server_context(f"listen[{number}].tls", tls) if tls else None
        plain = gateway.protocol_factory(tls is not None)

        def counted() -> asyncio.Protocol:
            ledger.count(Counter.TLS_HANDSHAKES_BEGUN)
            return plain()

        factory = counted if tls else plain
        kept = listening.dup()
        handshake = settings.timeouts.tls_handshake if tls else None
        server = await asyncio.get_running_loop().create_server(
            factory, sock=listening, backlog=BACKLOG, ssl=context, ssl_handshake_timeout=handshake
        )
        return Listener(kept, server, factory, context)

    # -- drain

    async def _drain(self, gateway: Gateway) -> None:
        _log.info("draining: %d connections, %d requests in hand", gateway.connections, gateway.exchanges)
        late = await self._stop_accepting()
        gateway.drain()
        # Looked at instead of waited for: they are plain integers, because every request changes them.
        while self._is_busy(gateway, late) and monotonic() < self._deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        if self._is_busy(gateway, late):
            cut = gateway.connections, gateway.exchanges
            _log.warning("the drain limit is over; cut: %d connections, %d requests in hand", *cut)
        await gateway.close()
        if self._tee is not None:
            left = await self._tee.close(SPOOL_SECONDS)
            if left:
                _log.error("the spool took no more; %d uploads or outcomes are not archived", left)

    def _is_busy(self, gateway: Gateway, late: list[asyncio.Task[None]]) -> bool:
        return bool(gateway.connections or gateway.exchanges) or not all(task.done() for task in late)

    async def _stop_accepting(self) -> list[asyncio.Task[None]]:
        """Close the listeners. What the kernel has accepted is not reset but taken, each by one of the tasks."""
        for listener in self._listeners:
            listener.server.close()
        await asyncio.sleep(0)  # the loop lets go of the sockets in its next turn
        late = []
        for listener in self._listeners:
            late += [spawn(self._take(listener, each), "late connection") for each in accepted(listener.kept)]
            listener.kept.close()
        return late

    async def _take(self, listener: Listener, client: socket.socket) -> None:
        assert self._settings is not None
        handshake = self._settings.timeouts.tls_handshake if listener.context else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                listener.factory, client, ssl=listener.context, ssl_handshake_timeout=handshake
            )
        except OSError:
            client.close()  # it left, or its handshake failed: as usual as on any other day

    # -- the supervisor's side

    def _on_frame(self, kind: Frame, payload: bytes) -> None:
        if kind is Frame.SETTINGS:
            self._first.set_result(payload)
        elif kind is Frame.DRAIN:
            self._drain_within(float(payload))
        elif kind is Frame.CONFIG and self._gateway is None:
            self._configs.append(payload)
        elif kind is Frame.CONFIG:
            self._learn(payload)

    def _on_end(self) -> None:
        if not self._first.done():
            self._first.set_result(None)
        self._drain_by_default()

    def _drain_by_default(self) -> None:
        if not self._told_to_drain.is_set():
            self._drain_within(self._settings.timeouts.drain if self._settings else 0.0)

    def _drain_within(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._told_to_drain.set()

    def _share(self, entry: bytes) -> None:
        if self._channel is not None:
            self._channel.offer(Frame.CONFIG, entry)

    def _learn(self, entry: bytes) -> None:
        assert self._gateway is not None
        try:
            self._gateway.config_answers.load(entry)
        except Exception:
            _log.exception(
                "a configuration answer of another worker could not be used"
            )  # costs a request, not a worker


async def _serve(control: int, row: int, ledger: int, listening: Sequence[int]) -> int:
    worker = Worker(row, LedgerMemory(ledger), [adopt(number) for number in listening])
    return await worker.run(adopt(control))


def main(arguments: Sequence[str]) -> int:
    """Run as the worker that `arguments` (numbers, see above) describe; the exit code."""
    # What follows from an interrupt or a hang-up is the supervisor's choice, also when one is sent here by hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()
    give_memory_back()
    control, row, ledger, *listening = map(int, arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(control, row, ledger, listening))
    finally:
        logs.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
