"""A client of raw sockets, to see what the stand-in really does to a connection."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from tests.standin import StandIn

PATIENCE = 20.0  # seconds; only reached when something that should come does not
SILENCE = 0.3  # seconds without a byte that are taken for "nothing comes"
T = TypeVar("T")

HOST = b"api-sr.amplitude.com"


def request(
    target: bytes = b"/config/key", method: bytes = b"GET", fields: bytes = b"", body: bytes | None = None
) -> bytes:
    """A request as a correct proxy sends it."""
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    return method + b" " + target + b" HTTP/1.1\r\nHost: " + HOST + b"\r\n" + fields + length + b"\r\n" + (body or b"")


def upload(body: bytes = b"{}", query: bytes = b"", fields: bytes = b"") -> bytes:
    """A replay upload; `query` begins with `?` or is empty."""
    return request(b"/sessions/v2/track" + query, b"POST", fields, body)


class Answer:
    """A whole answer: status, fields with lower-case names in order, body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        self.body = body

    def field(self, name: str) -> str | None:
        """The value of a field that must not be there twice."""
        values = [value for known, value in self.fields if known == name]
        assert len(values) < 2
        return values[0] if values else None


class TlsSocket:
    """TLS over a socket, by hand: `ssl.SSLSocket` reports a reset as if it were an end of file."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str | None) -> None:
        self._socket = sock
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=name)
        self.settimeout = sock.settimeout
        self.setsockopt = sock.setsockopt
        self.close = sock.close
        self._carry(self._tls.do_handshake)

    def recv(self, length: int) -> bytes:
        """Decrypted bytes; none after close_notify. Raises ssl.SSLEOFError for an end without it."""
        try:
            return self._carry(lambda: self._tls.read(length))
        except ssl.SSLZeroReturnError:
            return b""

    def send(self, data: bytes) -> int:
        """Sends all of it or raises."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Sends all of it."""
        self._carry(lambda: self._tls.write(data))

    def _carry(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return work()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._socket.sendall(self._to_send.read())
            data = self._socket.recv(1 << 16)
            if data:
                self._received.write(data)
            else:
                self._received.write_eof()


class Client:
    """One connection to a site of the stand-in."""

    def __init__(self, vendor: StandIn, site: str = "us", name: str = HOST.decode(), send_buffer: int = 0) -> None:
        sock = socket.socket()
        if send_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", vendor.ports[site]))
        self.socket: socket.socket | TlsSocket = sock
        self.buffer = b""
        if site.endswith("-tls"):
            context = ssl.create_default_context(cafile=str(vendor.ca_file))
            context.check_hostname = bool(name)
            try:
                self.socket = TlsSocket(sock, context, name or None)
            except OSError:
                sock.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        self.socket.sendall(data)

    def ask(self, data: bytes) -> Answer:
        """Sends a request and reads its answer."""
        self.send(data)
        return self.answer()

    def answer(self, head_only: bool = False) -> Answer:
        """The next answer, delimited by Content-Length."""
        head = self.until(b"\r\n\r\n")[:-4]
        answer = Answer(head, b"")
        if not head_only:
            answer.body = self.exactly(int(answer.field("content-length") or 0))
        return answer

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while mark not in self.buffer:
            self._more()
        end = self.buffer.index(mark) + len(mark)
        return self._take(end)

    def exactly(self, length: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < length:
            self._more()
        return self._take(length)

    def reset(self) -> None:
        """Ends the connection with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def rest(self) -> tuple[bytes, str]:
        """Everything until the connection ends, and how: "closed", "cut" (TLS without close_notify) or "reset"."""
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return self._take(len(self.buffer)), "reset"
            except ssl.SSLEOFError:
                return self._take(len(self.buffer)), "cut"
            if not data:
                return self._take(len(self.buffer)), "closed"
            self.buffer += data

    def quiet(self) -> bool:
        """Whether the connection is open and nothing comes on it."""
        self.socket.settimeout(SILENCE)
        try:
            return not self.buffer and self.socket.recv(1) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, f"the connection ended after {self.buffer!r}"
        self.buffer += data

    def _take(self, length: int) -> bytes:
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken
