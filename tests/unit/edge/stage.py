"""What the tests of this folder stand on: a whole gateway on the loop of the workers, raw clients in front of it, and
scripted vendors behind it. At the end of every test nothing may be in hand and no exception may have escaped."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import Counter as Multiset
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from proxy.edge.connection import ClientConnection
from proxy.edge.gateway import Gateway
from proxy.model.record import Outcome, Record
from proxy.observe.ledger import SLOTS, Ledger
from proxy.observe.logs import AccessLog
from proxy.runtime.accepting import TlsListener
from proxy.settings import Settings
from tests.conformance.wire import Answer, AnswerReader
from tests.unit.upstream.stage import eventually, run
from tests.unit.upstream.vendor import Vendor

__all__ = ["AT_ONCE", "Client", "Stage", "chunked", "get", "ok", "post", "run", "stage"]

PATIENCE = 20.0  # seconds; the end of any single wait
ORIGIN = b"Origin: https://app.example.com"
TRACK = b"/sessions/v2/track?device_id=d&session_id=1&type=replay"
CONFIG = b"/config/key-1?config_group=browser"
VENDOR = b"vendor.example"
# An upload is carried on with its first bytes, instead of once it is whole or too large to be kept for a repeat.
AT_ONCE = {"retry_body": 0}
JSON = b'{"configs":{"sessionReplay":{}}}'


def post(body: bytes = b"abc", *lines: bytes, target: bytes = TRACK, declared: int = -1) -> bytes:
    """An upload with a counted body."""
    length = b"Content-Length: %d" % (len(body) if declared < 0 else declared)
    return b"\r\n".join((b"POST " + target + b" HTTP/1.1", b"Host: gw.example", ORIGIN, length, *lines, b"", body))


def chunked(*pieces: bytes, lines: tuple[bytes, ...] = ()) -> bytes:
    """An upload in chunks; an empty piece ends it."""
    head = (b"POST " + TRACK + b" HTTP/1.1", b"Host: gw.example", b"Transfer-Encoding: chunked", *lines, b"", b"")
    return b"\r\n".join(head) + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def get(target: bytes = CONFIG, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """A request without a body."""
    return b"\r\n".join((method + b" " + target + b" HTTP/" + version, b"Host: gw.example", ORIGIN, *lines, b"", b""))


def ok(body: bytes = b'{"code":200}', *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A vendor's answer."""
    fields = (b"Content-Type: application/json", b"Content-Length: %d" % len(body), *lines)
    return b"\r\n".join((b"HTTP/1.1 " + status, *fields, b"", body))


class Book(AccessLog):
    """An access log that keeps the records, beside the ledger's row."""

    __slots__ = ("records", "row")

    def __init__(self) -> None:
        super().__init__("off", asyncio.get_running_loop())
        self.row = memoryview(bytearray(SLOTS * 8)).cast("q")
        self.records: list[Record] = []
        self.record = self._keep

    def _keep(self, record: Record) -> None:
        assert record.outcome is not None
        assert record.ended >= record.began
        assert all(record is not other for other in self.records)
        self.records.append(record)

    def read(self, slot: int) -> int:
        """The value of a counter or gauge."""
        return self.row[slot]

    @property
    def outcomes(self) -> Multiset[Outcome | None]:
        return Multiset(record.outcome for record in self.records)


class Client:
    """A raw connection to the gateway. Answers are read more strictly than a browser does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.answers = AnswerReader()
        self.closed = False

    @classmethod
    async def connect(cls, port: int, tls: ssl.SSLContext | None = None, local: str = "") -> Self:
        name = "gw.example" if tls else None
        at = (local, 0) if local else None
        return cls(
            *await asyncio.open_connection(
                "127.0.0.1", port, ssl=tls, server_hostname=name, limit=1 << 26, local_addr=at
            )
        )

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, in packets of their own as far as that can be had."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)

    def end(self) -> None:
        """Close the sending half, if the gateway has not cut the connection already."""
        if not self.writer.transport.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        """Leave without a farewell."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def answer(self, method: bytes = b"POST") -> Answer:
        """The next answer, whole."""
        self.answers.expect(method)
        self.answers.feed(b"")
        async with asyncio.timeout(PATIENCE):
            while not self.answers.answers:
                data = await self.reader.read(1 << 16)
                if data:
                    self.answers.feed(data)
                    continue
                self.closed = True
                self.answers.end()
                assert self.answers.answers, f"closed before a whole answer: {self.answers.partial}"
        return self.answers.answers.popleft()

    async def ask(self, request: bytes) -> Answer:
        """Send a request, read its answer."""
        await self.send(request)
        return await self.answer(request.partition(b" ")[0])

    async def until_closed(self) -> bytes:
        """Everything that still comes."""
        rest = bytearray(self.answers.surplus)
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(1 << 16):
                    rest += data
            except ConnectionError:
                pass
        self.closed = True
        return bytes(rest)

    async def close(self) -> None:
        self.writer.close()


class Stage:
    """A gateway with its vendor and its clients."""

    def __init__(self, vendor: Vendor, connect: str, settings: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self.vendor = vendor
        self.book = Book()
        self.port = 0
        self.escaped: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: self.escaped.append(context))
        region = {
            "track": {"url": "http://vendor.example/sessions/v2/track", "connect": f"{connect}:{vendor.port}"},
            "config": {"url": "http://vendor.example/config", "connect": f"{connect}:{vendor.port}"},
        }
        merged = {
            "upstreams": {"us": region, "eu": region} | settings.pop("more_upstreams", {}),
            "log": {"access": "off"},
            "breaker": {"failures": 0},
        } | settings
        self._settings = merged
        self.gateway = self._gateway()
        self.clients: list[Client] = []
        self._servers: list[asyncio.Server | TlsListener] = []

    def _gateway(self) -> Gateway:
        settings = Settings.model_validate(self._settings)
        gateway = Gateway(settings, Ledger(self.book.row), asyncio.get_running_loop())
        gateway._access = self.book
        return gateway

    def reload(self, **changed: Any) -> Gateway:
        """Another gateway takes over, with other settings; the former one."""
        former = self.gateway
        self._settings = self._settings | changed
        self.gateway = self._gateway()
        self.gateway.succeed(former)
        return former

    async def listen(self, tls: ssl.SSLContext | None = None) -> int:
        """Serve on a port of the kernel's choice."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        port = int(listening.getsockname()[1])
        if tls is not None:
            self._servers.append(TlsListener(listening, tls, self.gateway.timeouts.tls_handshake, self.gateway.arrives))
        else:
            factory = self.gateway.protocol_factory()
            self._servers.append(await asyncio.get_running_loop().create_server(factory, sock=listening))
        return port

    async def client(self, port: int = 0, tls: ssl.SSLContext | None = None) -> Client:
        """A new connection to the gateway."""
        client = await Client.connect(port or self.port, tls)
        self.clients.append(client)
        return client

    def connections(self) -> list[ClientConnection]:
        """Those whose handshake is over, if there was one."""
        return [client for client in self.gateway.clients() if isinstance(client, ClientConnection)]

    async def quiet(self) -> None:
        """Wait until nothing is in hand."""
        await eventually(lambda: self.gateway.in_hand[1] == 0 and self.gateway._inflight == 0)
        await eventually(lambda: not self.gateway.has_predecessors)

    async def record(self, number: int = 1) -> Record:
        """Wait for so many records; the last one."""
        await eventually(lambda: len(self.book.records) >= number)
        assert len(self.book.records) == number
        return self.book.records[-1]

    async def leave(self) -> None:
        """All clients go; what they leave behind must come to an end by itself."""
        for client in self.clients:
            await client.close()
        await self.quiet()
        await eventually(lambda: self.gateway.connections == 0)
        room = self.gateway.room
        assert (room.guests(), room._homes, list(room._shaking)) == ([], {}, [])
        assert self.escaped == []
        assert self.vendor.violations == []

    async def close(self) -> None:
        for client in self.clients:
            client.writer.transport.abort()
        for server in self._servers:
            server.close()
        await self.gateway.close()
        await self.vendor.close()


@asynccontextmanager
async def stage(vendor: Vendor | None = None, *, connect: str = "127.0.0.1", **settings: Any) -> AsyncIterator[Stage]:
    """A gateway that serves; see the module for what holds at its end."""
    running = vendor or Vendor()
    running.host = VENDOR
    await running.start()
    try:
        one = Stage(running, connect, settings)
    except BaseException:
        await running.close()
        raise
    try:
        one.port = await one.listen()
        yield one
        await one.leave()
        pools = one.gateway._pools.values()
        for pool in pools:
            assert pool.gauges()[0] == pool.gauges()[1], "a connection is open but not idle"
            assert not pool._waiting
    finally:
        await one.close()
    await eventually(lambda: not any(pool.gauges()[0] for pool in one.gateway._pools.values()))
    assert one.escaped == []
    assert not [slot for slot in one.gateway.wheel._slots if slot], "the wheel still holds somebody"
