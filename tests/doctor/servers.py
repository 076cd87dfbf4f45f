"""Servers that are no HTTP servers, or not for long: silent, garbling, dripping, with certificates that are wrong."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

Talk = Callable[[socket.socket], None]

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def silent(connection: socket.socket) -> None:
    """Reads and says nothing until the client leaves."""
    while connection.recv(65536):
        pass


def garbled(connection: socket.socket) -> None:
    """Answers what is no HTTP."""
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


def deaf(connection: socket.socket) -> None:
    """Closes without a word."""
    connection.recv(65536)


def endless(connection: socket.socket) -> None:
    """A head without an end."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Field: value\r\n" * 4096)


def answering(head: str) -> Talk:
    """One answer to whatever comes, and the end."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1"))
        connection.recv(1)

    return talk


@contextmanager
def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port on loopback where it talks with whoever comes, each in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accepting, args=(listening, talk, tls), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _accepting(listening: socket.socket, talk: Talk, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=_talking, args=(connection, talk, tls), daemon=True).start()


def _talking(connection: socket.socket, talk: Talk, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), connection:
        if tls is None:
            talk(connection)
            return
        with tls.wrap_socket(connection, server_side=True) as secured:
            talk(secured)


class Certificates:
    """An authority and certificates of it, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, *names: str, days: float = 90) -> tuple[Path, Path]:
        """Certificate and key for these names, good for so many days, which may be over."""
        stem = f"{names[0].replace('*', 'any')}-{days:g}"
        begin = NOW - (400 * DAY)
        leaf = self._authority.issue_cert(*names, not_before=begin, not_after=NOW + days * DAY)
        certificate, key = self._folder / f"{stem}.pem", self._folder / f"{stem}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def context(self, *names: str, days: float = 90) -> ssl.SSLContext:
        """A server's, with such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names, days=days))
        return context
