"""A proxy that stands before a real S3 server and spoils what it is told to spoil, request by request.

Every request goes over a connection of its own to the server, unaltered, so its signature still holds. `with
Chaos(port) as chaos:` gives one on a free port of loopback. Must not know who asks, or what is stored.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

WAIT_SECONDS = 30.0  # for either side; then the connection ends
CHUNK = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger

ASIDE = "prefix=v1%2Fsuppressed%2F"


@dataclass(frozen=True)
class Request:
    """As it came: the head with its empty line, and how long the body is that follows."""

    head: bytes
    length: int


class Trouble(Protocol):
    """What becomes of one request. `meet` has read its head and nothing more; the client is closed behind it."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None: ...


class Pass:
    """None: the server's answer comes back."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward, and answer."""
        client.sendall(chaos.ask(request.head + read_body(client, request)))


@dataclass(frozen=True)
class Answer:
    """The server is not asked; this comes back."""

    status: str
    body: bytes = b""
    fields: str = ""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Read it all, and answer."""
        read_body(client, request)
        head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n{self.fields}\r\n"
        client.sendall(head.encode() + (b"" if request.head.startswith(b"HEAD ") else self.body))


def refusal(status: str, code: str) -> Answer:
    """An error as S3 servers write it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(status, body.encode(), "Content-Type: application/xml\r\n")


@dataclass(frozen=True)
class Reset:
    """The connection is reset after so many bytes of the body; the server sees nothing of the request."""

    after: int

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Read a part, and break off."""
        read_exactly(client, min(self.after, request.length))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


@dataclass(frozen=True)
class Cut:
    """The answer's body ends after so many bytes, with a connection that ends as if all were well."""

    after: int

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward, and answer with less."""
        answer = chaos.ask(request.head + read_body(client, request))
        client.sendall(answer[: answer.index(b"\r\n\r\n") + 4 + self.after])


class Lost:
    """The server does what it is asked to, and its answer gets lost."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward, and say nothing."""
        chaos.ask(request.head + read_body(client, request))


class Altered:
    """One bit of the body is another one when it arrives."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward with a change in the middle."""
        body = bytearray(read_body(client, request))
        body[len(body) // 2] ^= 1
        client.sendall(chaos.ask(request.head + bytes(body)))


class Chaos:
    """`endpoint` is where clients go. `meets(*troubles)` gives the next requests one each; the others pass,
    and so do listings of suppressed people. With `tls`
    it speaks TLS to clients; to the server it never does."""

    def __init__(self, upstream_port: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream_port = upstream_port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._troubles: deque[Trouble] = deque()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: list[str] = []  # method and target of each request

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join(WAIT_SECONDS)

    def meets(self, *troubles: Trouble) -> None:
        """For the requests that come next, in their order, in place of those that are left."""
        self._troubles = deque(troubles)

    def ask(self, request: bytes) -> bytes:
        """The server's whole answer."""
        with socket.create_connection(("127.0.0.1", self._upstream_port), WAIT_SECONDS) as server:
            server.sendall(request)
            pieces = []
            while piece := server.recv(CHUNK):
                pieces.append(piece)
        return b"".join(pieces)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # shut down
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        """One request; the connection ends with it."""
        plain.settimeout(WAIT_SECONDS)
        client = plain
        try:
            if self._tls:
                client = self._tls.wrap_socket(plain, server_side=True)
            request = read_head(client)
            self.seen.append(" ".join(request.head.decode("latin-1").split(" ", 2)[:2]))
            # The archiver asks about who was erased before and after each object; the troubles are the objects'.
            is_passed = not self._troubles or ASIDE in self.seen[-1]
            trouble = Pass() if is_passed else self._troubles.popleft()
            trouble.meet(request, client, self)
        except (OSError, EOFError):
            pass  # the client has gone, which some of the troubles make it do
        finally:
            client.close()


def read_head(client: socket.socket) -> Request:
    """The next request's. Its connection to the server is made to end with the answer; an expected go-ahead is given.
    Raises EOFError when there is none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(client, 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if fields.get("expect") == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Neither of the two is signed.
    kept = [line for line in lines[:-2] if not line.lower().startswith(("expect:", "connection:"))]
    changed = "\r\n".join((first, *kept, "Connection: close", "", ""))
    return Request(changed.encode("latin-1"), int(fields.get("content-length", 0)))


def read_body(client: socket.socket, request: Request) -> bytes:
    """All of it."""
    return read_exactly(client, request.length)


def read_exactly(client: socket.socket, length: int) -> bytes:
    """Raises EOFError when the other side ends before."""
    pieces, left = [], length
    while left:
        piece = client.recv(min(left, CHUNK))
        if not piece:
            raise EOFError
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
