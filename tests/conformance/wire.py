"""The client's side of the wire: raw bytes out, answers read as strictly as RFC 9112 allows.

No HTTP library stands between a test and the socket. The reader refuses whatever a recipient could
read in two ways (bare LF, two lengths, a malformed chunk), so that a proxy that passes such an answer
on fails the test that reads it, whatever the test is about. It must not import anything of `proxy`.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

TIMEOUT = 10.0  # seconds; the outer limit of any single wait, far above what a working proxy needs
LINE_LIMIT = 64 * 1024  # bytes of one line of an answer head
FIELDS_LIMIT = 200
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\Z")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\Z")


class BadAnswer(AssertionError):
    """The bytes that came back are not one well-formed answer; the text says where they go wrong."""


class NoAnswer(AssertionError):
    """Nothing, or nothing more, came back; the text says how the wait ended."""


@dataclass
class Answer:
    """One final answer.

    `fields` are in order, values stripped of surrounding white space. `framing` is "none", "length", "chunked" or
    "close", `declared` the length announced or -1. `complete` is whether the framing said that the body has ended;
    `interim` holds the statuses of the 1xx answers before it.
    """

    status: int
    reason: str
    version: str
    fields: list[tuple[str, str]]
    interim: tuple[int, ...] = ()
    framing: str = "none"
    declared: int = -1
    received: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def body(self) -> bytes:
        """The body as far as it has come, its framing taken off."""
        return bytes(self.received)

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The value of a field that may appear once; None without it, BadAnswer when repeated."""
        values = self.all(name)
        if len(values) > 1:
            raise BadAnswer(f"{name} appears {len(values)} times: {values}")
        return values[0] if values else None

    def listed(self, name: str) -> set[str]:
        """The members of a comma-separated field, lower-case."""
        return {part.strip().lower() for value in self.all(name) for part in value.split(",")} - {""}

    @property
    def keeps_alive(self) -> bool:
        """Whether the answer itself says that the connection stays open (RFC 9112, 9.3)."""
        options = self.listed("connection")
        return "close" not in options and (self.version == "1.1" or "keep-alive" in options)


class AnswerReader:
    """Turns the bytes of one connection into answers. `expect` says which method the next one answers."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.partial: Answer | None = None
        self.interim_seen = 0
        self._buffer = bytearray()
        self._methods: deque[bytes] = deque()
        self._ended = False
        self._steps = self._read_all()
        next(self._steps)

    def expect(self, *methods: bytes) -> None:
        """Queue the methods of requests sent; without one, bytes that arrive were not asked for."""
        self._methods.extend(methods)

    def feed(self, data: bytes) -> None:
        """Take bytes as they came. Raises BadAnswer."""
        self._buffer += data
        self._steps.send(None)

    def end(self) -> None:
        """The peer has closed cleanly: a body that only the close delimits is complete."""
        self._ended = True
        self._steps.send(None)

    @property
    def surplus(self) -> bytes:
        """Bytes that have arrived and belong to no answer yet."""
        return bytes(self._buffer)

    def _read_all(self) -> Generator[None, None, None]:
        while True:
            while not (self._buffer and self._methods):
                yield
            method = self._methods.popleft()
            answer = yield from self._head()
            interim: list[int] = []
            while answer.status < 200:
                if answer.status == 101:
                    raise BadAnswer("101: the proxy switched protocols")
                interim.append(answer.status)
                self.interim_seen += 1
                answer = yield from self._head()
            answer.interim = tuple(interim)
            self.partial = answer
            yield from self._body(answer, method)
            answer.complete = True
            self.partial = None
            self.answers.append(answer)

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_LIMIT:
                raise BadAnswer(f"a line of more than {LINE_LIMIT} bytes")
            yield
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if not line.endswith(b"\r\n"):
            raise BadAnswer(f"a line that does not end in CRLF: {line[:200]!r}")
        return line[:-2]

    def _head(self) -> Generator[None, None, Answer]:
        line = yield from self._line()
        match = _STATUS_LINE.match(line)
        if not match:
            raise BadAnswer(f"not a status line: {line[:200]!r}")
        reason = line[13:].decode("latin-1")
        answer = Answer(int(match[2]), reason, f"1.{match[1].decode()}", [])
        while line := (yield from self._line()):
            match = _FIELD.match(line)
            if not match:
                raise BadAnswer(f"not a field: {line[:200]!r}")
            answer.fields.append((match[1].decode("latin-1"), match[2].decode("latin-1")))
            if len(answer.fields) > FIELDS_LIMIT:
                raise BadAnswer(f"more than {FIELDS_LIMIT} fields")
        _judge_framing(answer)
        return answer

    def _body(self, answer: Answer, method: bytes) -> Generator[None, None, None]:
        if method == b"HEAD" or answer.status in (204, 304):
            return
        codings = answer.all("transfer-encoding")
        if codings:
            answer.framing = "chunked"
            yield from self._chunks(answer)
        elif answer.declared >= 0:
            answer.framing = "length"
            yield from self._take(answer, answer.declared)
        else:
            answer.framing = "close"
            while True:
                answer.received += self._buffer
                self._buffer.clear()
                if self._ended:
                    return
                yield

    def _take(self, answer: Answer, size: int) -> Generator[None, None, None]:
        while True:
            piece = self._buffer[:size]
            del self._buffer[: len(piece)]
            answer.received += piece
            size -= len(piece)
            if not size:
                return
            yield

    def _chunks(self, answer: Answer) -> Generator[None, None, None]:
        while True:
            line = yield from self._line()
            if not _CHUNK_SIZE.match(line):
                raise BadAnswer(f"not a chunk size: {line[:200]!r}")
            size = int(line, 16)
            if not size:
                break
            yield from self._take(answer, size)
            if (yield from self._line()):
                raise BadAnswer("a chunk is longer than its size")
        trailer = yield from self._line()
        if trailer:
            raise BadAnswer(f"a trailer was passed on: {trailer[:200]!r}")


def _judge_framing(answer: Answer) -> None:
    codings, lengths = answer.all("transfer-encoding"), answer.all("content-length")
    if len(lengths) > 1 or (lengths and not re.fullmatch(r"[0-9]{1,15}", lengths[0])):
        raise BadAnswer(f"Content-Length {lengths}")
    if codings and (lengths or codings != ["chunked"] or answer.version != "1.1"):
        raise BadAnswer(f"Transfer-Encoding {codings} with Content-Length {lengths} in HTTP/{answer.version}")
    if (codings or lengths) and (answer.status < 200 or answer.status == 204):
        raise BadAnswer(f"{answer.status} with {codings or lengths} (RFC 9110, 8.6; RFC 9112, 6.1)")
    if len(answer.all("date")) > 1:
        raise BadAnswer(f"Date {answer.all('date')}")
    if lengths:
        answer.declared = int(lengths[0])


class Client:
    """One TCP (or TLS) connection to a proxy. Errors of sending are kept, not raised: an answer may
    be there all the same, and whether it can be read is what the tests are about."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> None:
        self.socket: socket.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            # An end without close_notify must not pass for a clean one.
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        self.reader = AnswerReader()
        self.send_error: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Write all of `data`; False when the peer no longer takes it."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.send_error = error
            return False
        return True

    def send_slowly(self, writes: Iterable[bytes | float]) -> None:
        """Write the bytes one piece after the other; a number is a pause in seconds."""
        for item in writes:
            if isinstance(item, float):
                time.sleep(item)
            elif not self.send(item):
                return

    def read(self, method: bytes = b"GET", timeout: float = TIMEOUT) -> Answer:
        """The next answer, whole or cut off (`complete` says which). Raises NoAnswer, BadAnswer."""
        self.reader.expect(method)
        if self.reader.surplus:
            self.reader.feed(b"")
        ends = time.monotonic() + timeout
        while not self.reader.answers:
            ending = self._receive(ends)
            if ending == "closed":
                self.reader.end()
            if ending and not self.reader.answers:
                if self.reader.partial:
                    return self.reader.partial
                raise NoAnswer(f"no answer, {ending}")
        return self.reader.answers.popleft()

    def ask(self, request: bytes, timeout: float = TIMEOUT) -> Answer:
        """Send one request in one piece and read its answer."""
        self.send(request)
        return self.read(request.lstrip(b"\r\n").partition(b" ")[0], timeout)

    def wait(self, timeout: float = TIMEOUT) -> str:
        """Take the next bytes, which the reader then has; "" when some came, else "closed", "reset" or "silent"."""
        return self._receive(time.monotonic() + timeout)

    def readable(self, seconds: float) -> bool:
        """Whether something (bytes, an end or a reset) is there to be read, waiting so long for it."""
        # Not select, which can't take a descriptor above 1,023.
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def ending(self, timeout: float = TIMEOUT) -> str:
        """What follows when nothing more is asked: "closed", "reset" or, when nothing does within `timeout`, "open"."""
        ends = time.monotonic() + timeout
        while True:
            ending = self._receive(ends)
            if ending:
                return "open" if ending == "silent" else ending
            if self.reader.surplus or self.reader.answers:
                raise BadAnswer(f"bytes that nobody asked for: {self.reader.surplus[:15]!r}")

    def ended(self, probe: bytes) -> str:
        """Whether the connection is over: "closed" or "reset", or "open" when one more request is answered on it.

        A proxy that is slow to close has all the time it needs, and one that doesn't close is found out at once.
        """
        try:
            ending = self.ending(0.05)
            if ending == "open":
                self.send(probe)
                self.read(probe.partition(b" ")[0])
        except NoAnswer as silence:
            return str(silence).rpartition(" ")[2]
        except BadAnswer:  # what was sent after the refused request is being answered
            return "open"
        return ending

    def _receive(self, ends: float) -> str:
        """Take what the socket has; "" when bytes came, else how it ended."""
        is_here = isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        if not is_here and not self.readable(max(0.0, ends - time.monotonic())):
            return "silent"
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionError, ssl.SSLError):
            return "reset"
        if not data:
            return "closed"
        self.reader.feed(data)
        return ""

    def half_close(self) -> None:
        """Say that no more requests follow, and keep reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
