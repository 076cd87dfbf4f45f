"""What the tests of this folder stand on: a loop that reports everything it had to swallow, a ledger, a timer wheel,
and carriers that note what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from proxy.model.failure import FailureKind
from proxy.observe.ledger import SLOTS, Counter, Ledger
from proxy.policy.targets import Peer
from proxy.runtime.timers import TimerWheel
from proxy.settings import Settings
from proxy.settings.upstreams import Upstream
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.pool import Pool
from proxy.wire.answer import AnswerHead, AnswerReader
from tests.unit.upstream.vendor import Vendor, close_all

PATIENCE = 20.0  # seconds; the end of any single wait, far beyond what a working pool needs
REQUEST = b"POST /t HTTP/1.1\r\nHost: v\r\nContent-Length: 3\r\n\r\nabc"
EMPTY = b"GET /t HTTP/1.1\r\nHost: v\r\n\r\n"


class Carrier:
    """Notes everything, and sends a request as soon as it has a connection."""

    def __init__(self, pool: Pool | None = None, request: bytes = EMPTY, *, complete: bool = True) -> None:
        self.pool = pool
        self.connection: UpstreamConnection | None = None
        self.connections = 0
        self.reused = False
        self.failures: list[FailureKind] = []
        self.head: AnswerHead | None = None
        self.body = b""
        self.complete = False
        self.writable: list[bool] = []
        self.head_only = False
        self.first_byte: float = 60.0
        self._request = request
        self._request_complete = complete
        self._changed = asyncio.Event()

    def connected(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        self.connections += 1
        self.reused = connection.served > 0
        connection.carry(self, head_only=self.head_only)
        connection.write(self._request)
        if self._request_complete:
            connection.request_complete = True
            connection.due(asyncio.get_running_loop().time() + self.first_byte)
        self._changed.set()

    def upstream_failed(self, kind: FailureKind) -> None:
        self.connection = None
        self.failures.append(kind)
        self._changed.set()

    def answer(self, head: AnswerHead, piece: bytes, complete: bool) -> None:
        assert self.head is None
        self.head = head
        self.answer_body(piece, complete)

    def answer_body(self, piece: bytes, complete: bool) -> None:
        assert not self.complete
        assert not self.failures
        self.body += piece
        self.complete = complete
        self._changed.set()

    def upstream_writable(self, writable: bool) -> None:
        self.writable.append(writable)
        self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something about this carrier is true."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def ended(self) -> Carrier:
        """Wait for the whole answer or a failure."""
        await self.until(lambda: self.complete or self.failures)
        return self


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something becomes true that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


class Stage:
    """A loop's worth of pool parts. `vendor` is an upstream at `vendor.port`."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.row = memoryview(bytearray(SLOTS * 8)).cast("Q")
        self.ledger = Ledger(self.row)
        self.wheel = TimerWheel(asyncio.get_running_loop(), lambda now: None)
        self.pools: list[Pool] = []

    def pool(self, *, host: str = "vendor.example", connect: str = "", tls_ca: str = "", **settings: Any) -> Pool:
        """A pool of connections to the vendor under some settings."""
        scheme = "https" if tls_ca else "http"
        upstream = Upstream.model_validate(
            {
                "url": f"{scheme}://{host}/t",
                "connect": connect or f"127.0.0.1:{self.vendor.port}",
                "ca_file": tls_ca or None,
            }
        )
        read = Settings.model_validate(settings)
        reader = AnswerReader(fields=read.limits.answer_fields)
        pool = Pool(Peer(upstream), read, reader, self.wheel, self.ledger)
        self.pools.append(pool)
        return pool

    def counted(self, counter: Counter) -> int:
        return self.row[counter]

    async def carry(self, pool: Pool, request: bytes = EMPTY, *, head_only: bool = False) -> Carrier:
        """One exchange, to its end."""
        carrier = Carrier(pool, request)
        carrier.head_only = head_only
        pool.acquire(carrier)
        return await carrier.ended()


@asynccontextmanager
async def stage(vendor: Vendor | None = None) -> AsyncIterator[Stage]:
    """A stage whose vendor runs; at its end nothing may be left over and no exception may have escaped."""
    loop = asyncio.get_running_loop()
    escaped: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: escaped.append(context))
    running = await (vendor or Vendor()).start()
    one = Stage(running)
    try:
        yield one
        for pool in one.pools:
            pool.abort()
        await eventually(lambda: all(pool.gauges()[0] == 0 for pool in one.pools))
        await eventually(lambda: not [slot for slot in one.wheel._slots if slot])
    finally:
        one.wheel.close()
        await running.close()
    assert escaped == [], escaped
    assert running.violations == []


async def closing_vendors(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test, and leave no server behind, whatever becomes of it."""
    try:
        await main()
    finally:
        await close_all()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on the loop that the workers use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(closing_vendors(main))
