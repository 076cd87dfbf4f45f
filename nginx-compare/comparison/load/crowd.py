"""Visitors with connections of their own: whole sessions of the SDK, or a new TLS connection for each request.

Each of `clients` visitors is a process that waits for one answer at a time, so the loop is closed and the pauses of a
session are real ones. Sessions come in a fixed order; a visitor's connection ends with its session.

    python -m comparison.load.crowd '{"port": 8443, "tls": true, "resume": false, "sessions": false, …}'
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from typing import Any

from comparison.load import traffic
from comparison.load.answer import closes, status_of
from comparison.load.outcome import outcome, tell

PATIENCE = 10.0  # seconds for one answer
SESSIONS = 20  # different ones; they repeat


@dataclass
class Seen:
    """What one visitor saw in `seconds`: latencies, errors in words, and TLS sessions taken up again."""

    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    resumed: int = 0
    seconds: float = 0.0


class Visitor:
    """A browser: it opens connections, resumes its TLS session if it is to, and asks."""

    def __init__(self, port: int, tls: bool, resume: bool) -> None:
        self._port = port
        self._tls = trusting() if tls else None
        self._resume = resume
        self._session: ssl.SSLSession | None = None
        self._socket: socket.socket | None = None
        self.seen = Seen()

    def visit(self, steps: list[traffic.Step]) -> None:
        """One session over one connection. A connection that is closed between requests is opened again."""
        try:
            for step in steps:
                time.sleep(step.pause)
                self._ask(step.request)
        except OSError as error:
            self.seen.errors.append(repr(error))
        finally:
            self._leave()

    def _ask(self, request: bytes) -> None:
        begun = time.perf_counter()
        connection = self._socket = self._socket or self._connect()
        connection.sendall(request)
        answer = b""
        while not (status := status_of(answer)):
            data = connection.recv(65_536)
            if not data:
                raise ConnectionResetError("closed before the answer")
            answer += data
        if 200 <= status < 300:
            self.seen.latencies.append(time.perf_counter() - begun)
        else:
            self.seen.errors.append(f"status {status}")
        if closes(answer):
            self._leave()

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._tls:
            return plain
        secured = self._tls.wrap_socket(plain, server_hostname=traffic.HOST, session=self._session)
        self.seen.resumed += bool(secured.session_reused)
        return secured

    def _leave(self) -> None:
        if isinstance(self._socket, ssl.SSLSocket) and self._resume:
            self._session = self._socket.session  # with TLS 1.3 it has come with the first answer
        if self._socket:
            self._socket.close()
        self._socket = None


def trusting() -> ssl.SSLContext:
    """A client context that takes any certificate: looking at them is not the proxy's work."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _visits(order: dict[str, Any]) -> list[list[traffic.Step]]:
    if order["sessions"]:
        return [traffic.visit(number, order["pace"]) for number in range(SESSIONS)]
    visitors = (traffic.FIRST_SESSION + number for number in range(order["clients"]))
    return [[traffic.Step(0, traffic.upload(order["size"], one))] for one in visitors]


def _go(number: int, order: dict[str, Any], visits: list[list[traffic.Step]], told: Queue[Seen]) -> None:
    visitor = Visitor(order["port"], order["tls"], order["resume"])
    begun = time.monotonic()
    while time.monotonic() < begun + order["seconds"]:
        visitor.visit(visits[number % len(visits)])
        number += order["clients"]
    visitor.seen.seconds = time.monotonic() - begun
    told.put(visitor.seen)


def _everyone(order: dict[str, Any]) -> Iterator[Seen]:
    """Lets all visitors loose; what each of them saw."""
    forking = multiprocessing.get_context("fork")  # so that nobody has to make the sessions again
    visits, told = _visits(order), forking.Queue()
    visitors = [forking.Process(target=_go, args=(n, order, visits, told)) for n in range(order["clients"])]
    for one in visitors:
        one.start()
    for _ in visitors:
        yield told.get(timeout=order["seconds"] + PATIENCE * 2)
    for one in visitors:
        one.join()


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    everyone = list(_everyone(order))
    latencies = [value for seen in everyone for value in seen.latencies]
    errors = [text for seen in everyone for text in seen.errors]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    tell(
        outcome(
            latencies,
            max(seen.seconds for seen in everyone),
            errors,
            cpu=used.ru_utime + used.ru_stime,
            resumed=sum(seen.resumed for seen in everyone),
        )
    )


if __name__ == "__main__":
    main()
