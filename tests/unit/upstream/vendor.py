"""A scripted upstream on a loopback address, stricter than the RFC: what it would not read in one way only is a
violation. Records what came, byte for byte, and answers as it is told. Shares no code with the gateway."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z|\Z")
REQUEST_LINE = re.compile(rb"([A-Z]+) (/[\x21-\x7e]*) HTTP/1\.1\Z")
SIZE = re.compile(rb"[1-9a-f][0-9a-f]{0,7}\Z|0\Z")
NEVER = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect", b"http2-settings"}
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"code":200}'


class Left(Exception):
    """The other side closed where it should not have."""


@dataclass
class Seen:
    """One request that arrived. `complete` is whether its body came whole; `visit` counts connections from 1 and
    `turn` the requests on one."""

    visit: int
    turn: int
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False

    def all(self, name: bytes) -> list[bytes]:
        """The values of the fields called `name`, lower case."""
        return [value for known, value in self.fields if known.lower() == name]


class Visit:
    """One connection to the vendor, for scripts that do everything by hand."""

    def __init__(self, vendor: Vendor, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.turn = 0
        self._vendor = vendor

    async def head(self) -> Seen | None:
        """The next request's head; None when the other side closed in good order before it."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise Left from None
            return None
        self.turn += 1
        seen = self._vendor.judge(raw[:-4], self)
        self._vendor.requests.append(seen)
        self._vendor.wake()
        return seen

    async def body(self, seen: Seen) -> None:
        """The body that belongs to a head."""
        lengths, codings = seen.all(b"content-length"), seen.all(b"transfer-encoding")
        try:
            if codings:
                await self._chunks(seen)
            elif lengths:
                while len(seen.body) < int(lengths[0]):
                    piece = await self.reader.read(int(lengths[0]) - len(seen.body))
                    if not piece:
                        raise Left
                    seen.body += piece
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise Left from None
        seen.complete = True
        self._vendor.wake()

    async def _chunks(self, seen: Seen) -> None:
        while True:
            line = (await self.reader.readuntil(b"\r\n"))[:-2]
            if not SIZE.match(line):
                self._vendor.violations.append(f"chunk size {line!r}")
                raise Left
            seen.body += await self.reader.readexactly(int(line, 16))
            if await self.reader.readexactly(2) != b"\r\n":
                self._vendor.violations.append("a chunk does not end in CRLF, or trailers came")
                raise Left
            if line == b"0":
                return

    async def request(self) -> Seen | None:
        """A whole request, or None."""
        seen = await self.head()
        if seen is not None:
            await self.body(seen)
        return seen

    def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise Left  # a pool that distrusts us has reset the connection; uvloop would complain of the write
        self.writer.write(data)

    def end(self) -> None:
        """Close the sending half, if the other side has not left already."""
        if not self.writer.transport.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        """Close with a reset, as a crashed server does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Visit], Awaitable[None]]
_running: set[Vendor] = set()


async def close_all() -> None:
    """Close every vendor that still runs: a loop that is closed over an open server would never end."""
    for vendor in list(_running):
        await vendor.close()


@dataclass(eq=False)
class Vendor:
    """`script` serves each connection; by default every request is answered with `reply`, which may be changed at any
    time. `host` is what the Host field must be when it is set."""

    reply: Callable[[Seen], bytes] = lambda seen: OK
    script: Script | None = None
    host: bytes = b""
    requests: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    port: int = 0
    open: int = 0

    def __post_init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def start(self, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Vendor:
        self._server = await asyncio.start_server(self._visited, address, port, ssl=tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        _running.add(self)
        return self

    async def close(self) -> None:
        _running.discard(self)
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self) -> None:
        """Something happened that somebody may wait for."""
        self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something about this vendor is true; 20 s is the end of any patience."""
        async with asyncio.timeout(20):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def judge(self, raw: bytes, visit: Visit) -> Seen:
        """Take a head apart, and note everything that a stricter reader could object to."""
        first, *lines = raw.split(b"\r\n")
        match = REQUEST_LINE.match(first)
        seen = Seen(visit.number, visit.turn, match[1] if match else b"", match[2] if match else first, [])
        if not match:
            self.violations.append(f"request line {first!r}")
        for line in lines:
            name, colon, value = line.partition(b":")
            seen.fields.append((name, value.strip(b" \t")))
            if not colon or not TOKEN.match(name) or b"_" in name or not VALUE.match(value.strip(b" \t")):
                self.violations.append(f"field {line!r}")
            if name.lower() in NEVER or b"\r" in line or b"\n" in line:
                self.violations.append(f"field {line!r} belongs to one hop")
        self._judge_framing(seen)
        return seen

    def _judge_framing(self, seen: Seen) -> None:
        lengths, codings, hosts = (seen.all(name) for name in (b"content-length", b"transfer-encoding", b"host"))
        if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
            self.violations.append(f"framing {lengths} {codings}")
        if lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            self.violations.append(f"length {lengths[0]!r}")
        if len(hosts) != 1 or (self.host and hosts[0] != self.host):
            self.violations.append(f"hosts {hosts}")
        for name in (b"x-real-ip", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"):
            if len(seen.all(name)) > 1:
                self.violations.append(f"{name.decode()} {seen.all(name)}")

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        visit = Visit(self, len(self.visits) + 1, reader, writer)
        self.visits.append(visit)
        self.open += 1
        self.wake()
        try:
            await (self.script or self._serve)(visit)
        except (Left, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.open -= 1
            writer.close()
            self.wake()

    async def _serve(self, visit: Visit) -> None:
        while (seen := await visit.request()) is not None:
            visit.send(self.reply(seen))
            await visit.writer.drain()
