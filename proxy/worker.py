"""One worker process: a loop that serves clients on the sockets it was started with, until it is told to drain.

Composition root of the data plane. Started by the supervisor as `python -m proxy.worker CHANNEL ROW LEDGER SOCKET…`,
all numbers: the channel's descriptor, this worker's row in the ledger, the ledger's descriptor, and a listening socket
for each entry of `listen`. It drains when the supervisor says so, on SIGTERM, and when the supervisor is gone. Other
settings make another gateway beside the one that serves, which then takes over (see `edge.gateway`).
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from proxy.edge.gateway import Gateway
from proxy.observe import logs
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.runtime.accepting import TlsListener
from proxy.runtime.clock import monotonic, wall
from proxy.runtime.control import Channel, Frame
from proxy.runtime.machine import KEPT_FREE_ARCHIVING, forbid_core_dumps, give_memory_back
from proxy.runtime.sockets import BACKLOG, accepted, adopt
from proxy.runtime.tasks import spawn
from proxy.runtime.tls import server_context
from proxy.settings import Settings
from proxy.settings.handover import load
from proxy.spool.rules import SpoolRules
from proxy.spool.tee import Tee

DRAIN_LOOK_SECONDS = 0.02  # how often a draining worker looks whether it is done
LET_GO_SECONDS = 1.0  # how often it is asked whether a former gateway's last request is over
# How long the spool's writer may take to write what it has and to seal it.
SPOOL_SECONDS = 2.0

_log = logging.getLogger("proxy.worker")


@dataclass(slots=True)
class Listener:
    """A listening socket and what is served on it. `kept` is a second descriptor of the same socket: the server
    closes its own before the accept queue is empty."""

    kept: socket.socket
    server: asyncio.Server | TlsListener


class Worker:
    """What a worker process does, from its first frame to its exit code."""

    def __init__(self, row: int, memory: LedgerMemory, sockets: Sequence[socket.socket]) -> None:
        self._row = row
        self._memory = memory
        self._sockets = sockets
        self._first: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._configs: list[bytes] = []  # learnt by others before the gateway is built; as many as its cache holds
        self._key_set = b""  # what the supervisor fetched last
        self._settings: Settings | None = None
        self._gateway: Gateway | None = None
        self._tee: Tee | None = None
        self._channel: Channel | None = None
        self._listeners: list[Listener] = []
        self._reloading = asyncio.Lock()  # held while it starts, too
        self._told_to_drain = asyncio.Event()
        self._deadline = 0.0

    async def run(self, control: socket.socket) -> int:
        """Serve until drained; the exit code."""
        self._channel = await Channel.open(control, self._on_frame, self._on_end)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._drain_by_default)
        async with self._reloading:
            handed_over = await self._first
            if handed_over is None:
                return 0  # the supervisor ended before it said anything
            try:
                await self._start(load(handed_over))
            except Exception as error:
                _log.exception("the worker could not start")
                self._channel.send(Frame.FAILED, f"{type(error).__name__}: {error}".encode())
                await asyncio.sleep(0)  # the loop writes it in its next turn
                return 1
        self._channel.send(Frame.READY)
        await self._told_to_drain.wait()
        async with self._reloading:  # one that is under way ends first, and no other begins
            await self._drain()
        return 0

    # -- start

    async def _start(self, settings: Settings) -> None:
        self._settings = settings
        ledger = Ledger(self._memory.rows[self._row], settings.upstreams)
        self._log_as(settings, ledger)
        loop = asyncio.get_running_loop()
        if settings.archive is not None:
            give_memory_back(KEPT_FREE_ARCHIVING)
            self._tee = Tee(SpoolRules.of(settings.archive, socket.gethostname()), ledger, loop)
            self._tee.start()
        self._gateway = Gateway(settings, ledger, loop, self._tee)
        self._gateway.config_answers.on_store = self._share
        self._gateway.on_keys_wanted = self._ask_for_keys
        for entry in self._configs:
            self._learn(entry)
        self._learn_keys(self._gateway)
        self._listeners = await self._listen_all(self._gateway, self._sockets)
        ledger.count(Counter.WORKER_STARTS)
        _keep_all_there_is()

    def _log_as(self, settings: Settings, ledger: Ledger) -> None:
        logs.configure(settings.log, f"worker {self._row}", wall, lambda n: ledger.count(Counter.LOG_LINES_DROPPED, n))

    async def _listen_all(self, gateway: Gateway, sockets: Sequence[socket.socket]) -> list[Listener]:
        listeners: list[Listener] = []
        try:
            for number, each in enumerate(sockets):
                listeners.append(await self._listen(gateway, number, each))
        except BaseException:
            _close(listeners)
            raise
        return listeners

    async def _listen(self, gateway: Gateway, number: int, listening: socket.socket) -> Listener:
        tls = gateway.settings.listen[number].tls
        if tls:
            context = server_context(f"listen[{number}].tls", tls)
            kept = listening.dup()
            return Listener(kept, TlsListener(listening, context, gateway.timeouts.tls_handshake, gateway.arrives))
        kept = listening.dup()
        loop = asyncio.get_running_loop()
        return Listener(kept, await loop.create_server(gateway.protocol_factory(), sock=listening, backlog=BACKLOG))

    # -- reload

    async def _reload(self, handed_over: bytes) -> None:
        """Take over other settings as a whole, or keep those in hand; tells the supervisor which."""
        assert self._channel is not None
        async with self._reloading:
            try:
                if not self._told_to_drain.is_set():
                    await self._take_over(load(handed_over))
                why = ""
            except Exception as error:
                _log.exception("other settings could not be taken over; those in hand are kept")
                why = f"{type(error).__name__}: {error}"
            self._channel.send(Frame.RELOADED, why.encode())

    async def _take_over(self, settings: Settings) -> None:
        former = self._gateway
        assert former is not None
        ledger = former.ledger  # a row has one writer
        self._log_as(settings, ledger)
        gateway = None
        try:
            gateway = Gateway(settings, ledger, asyncio.get_running_loop(), self._tee)
            listeners = await self._listen_all(gateway, [each.kept.dup() for each in self._listeners])
        except BaseException:
            self._log_as(former.settings, former.ledger)
            if gateway is not None:
                await gateway.close()
            raise
        gateway.on_keys_wanted = self._ask_for_keys
        if settings.jwt != former.settings.jwt:
            self._key_set = b""  # it may be another issuer's
        self._learn_keys(gateway)
        gateway.succeed(former)
        _close(self._listeners)
        self._gateway, self._settings, self._listeners = gateway, settings, listeners
        spawn(_let_go(gateway), "the end of the former gateway")

    # -- drain

    async def _drain(self) -> None:
        gateway = self._gateway
        assert gateway is not None
        _log.info("draining: %d connections, %d requests in hand", *gateway.in_hand)
        late = await self._stop_accepting()
        gateway.drain()
        # Looked at instead of waited for: they are plain integers, because every request changes them.
        while self._is_busy(gateway, late) and monotonic() < self._deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        if self._is_busy(gateway, late):
            _log.warning("the drain limit is over; cut: %d connections, %d requests in hand", *gateway.in_hand)
        await gateway.close()
        if self._tee is not None:
            left = await self._tee.close(SPOOL_SECONDS)
            if left:
                _log.error("the spool took no more; %d uploads or outcomes are not archived", left)

    def _is_busy(self, gateway: Gateway, late: list[asyncio.Task[None]]) -> bool:
        return any(gateway.in_hand) or not all(task.done() for task in late)

    async def _stop_accepting(self) -> list[asyncio.Task[None]]:
        """Close the listeners. What the kernel has accepted is not reset but taken, each by one of the tasks."""
        for listener in self._listeners:
            listener.server.close()
        await asyncio.sleep(0)  # the loop lets go of the sockets in its next turn
        late = []
        for listener in self._listeners:
            for client in accepted(listener.kept):
                if isinstance(listener.server, TlsListener):
                    listener.server.take(client)
                else:
                    late.append(spawn(self._take(client), "late connection"))
            listener.kept.close()
        return late

    async def _take(self, client: socket.socket) -> None:
        assert self._gateway is not None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._gateway.protocol_factory(), client)
        except OSError:
            client.close()  # it left: as usual as on any other day

    # -- the supervisor's side

    def _on_frame(self, kind: Frame, payload: bytes) -> None:
        if kind is Frame.SETTINGS:
            self._first.set_result(payload)
        elif kind is Frame.RELOAD:
            spawn(self._reload(payload), "reload")
        elif kind is Frame.DRAIN:
            self._drain_within(float(payload))
        elif kind is Frame.KEYS:
            self._key_set = payload
            if self._gateway is not None:
                self._learn_keys(self._gateway)
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

    def _ask_for_keys(self) -> None:
        if self._channel is not None:
            self._channel.offer(Frame.KEYS, b"")

    def _learn_keys(self, gateway: Gateway) -> None:
        tokens = gateway.admission.tokens
        if tokens is None or not self._key_set:
            return
        try:
            tokens.learn(self._key_set)
        except ValueError as problem:
            _log.error("the keys that check tokens stay as they were: %s", problem)

    def _learn(self, entry: bytes) -> None:
        assert self._gateway is not None
        try:
            self._gateway.config_answers.load(entry)
        except Exception:
            _log.exception(
                "a configuration answer of another worker could not be used"
            )  # costs a request, not a worker


def _keep_all_there_is() -> None:
    """What exists now lives long: the collector need not look at it again."""
    gc.collect()
    gc.freeze()


async def _let_go(gateway: Gateway) -> None:
    """Once a gateway's predecessors are gone the collector may have what is left of them, which was kept from it."""
    while gateway.has_predecessors:  # noqa: ASYNC110
        await asyncio.sleep(LET_GO_SECONDS)
    if gateway.successor is None:
        gc.unfreeze()
        _keep_all_there_is()


def _close(listeners: Sequence[Listener]) -> None:
    """Stop accepting on these descriptors; others of the same sockets go on."""
    for listener in listeners:
        listener.server.close()
        listener.kept.close()


async def _serve(control: int, row: int, ledger: int, listening: Sequence[int]) -> int:
    worker = Worker(row, LedgerMemory(ledger), [adopt(number) for number in listening])
    return await worker.run(adopt(control))


def main(arguments: Sequence[str]) -> int:
    """Run as the worker that `arguments` (numbers, see above) describe; the exit code."""
    # What follows from an interrupt or a hang-up is the supervisor's choice, also when one is sent here by hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    forbid_core_dumps()
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
