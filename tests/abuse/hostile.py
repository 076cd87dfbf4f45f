"""Thousands of hostile clients in one process, cheap enough to leave the machine to those whom they attack.

    python -m tests.abuse.hostile --port 8080 --tls-port 8443 --connections 2000

No threads, no coroutines and no cryptography: one epoll, sockets that say a byte every few seconds, and a ClientHello
that was made once and is sent again and again (the server signs for each). Whoever is put out comes back, all together
no more often than `--churn` times a second. Ends when its standard input does, and then prints one line of JSON: what
was opened, what was answered, what it cost. It must not import anything of `proxy`.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import ssl
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

from tests.faults.traffic import upload, upload_head

# Seconds from one drop to the next: short enough for every limit of time between two bytes.
DRIP = 2.0
ADDRESSES = [f"127.0.0.{number}" for number in range(2, 18)]
TURN = 0.05
# Of an answer that nobody reads, so much comes from the vendor.
UNREAD = 300_000


@dataclass(frozen=True, slots=True)
class Kind:
    """What one sort of client says first and then, a byte at a time; whether it reads; how many of a hundred it is."""

    name: str
    first: bytes
    drops: bytes = b""
    reads: bool = True
    over_tls: bool = False
    share: int = 0


def client_hello() -> bytes:
    """As a browser would begin."""
    context = ssl.create_default_context()
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def kinds() -> list[Kind]:
    """The whole crowd."""
    slow_head = b"POST /sessions/v2/track?type=replay HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
    return [
        Kind("slow heads", slow_head, b"a" * 10_000, share=28),
        Kind("idle", b"", share=18),
        Kind("slow bodies", upload_head(1_000_000), b"x" * 10_000, share=18),
        Kind("slow readers", upload(b"{}", f"standin=large:{UNREAD}"), reads=False, share=4),
        Kind("pipelining", upload(b"{}") * 400, reads=False, share=2),
        Kind("half a ClientHello", client_hello()[:100], over_tls=True, share=10),
        Kind("a whole ClientHello", client_hello(), over_tls=True, share=10),
        Kind("garbage", b"GARBAGE\r\n\r\n", share=4),
        Kind("garbage for TLS", b"GET / HTTP/1.1\r\n\r\n", over_tls=True, share=3),
        Kind("scanners", b"GET /.env HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", share=3),
    ]


@dataclass(slots=True)
class Client:
    """One connection, or none while it waits to come back."""

    kind: Kind
    address: str
    socket: socket.socket | None = None
    said: int = -1  # drops; below 0 it is still connecting


@dataclass(slots=True)
class Count:
    """What happened, by kind."""

    opened: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0  # could not even connect
    most_open: int = 0


class Mob:
    """All of them."""

    def __init__(self, port: int, tls_port: int, number: int, churn: float) -> None:
        self._ports = {False: ("127.0.0.1", port), True: ("127.0.0.1", tls_port)}
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._away = deque(_crowd(number))
        self._churn = churn
        self._credit = 0.0
        self._due: deque[tuple[float, int, Client]] = deque()  # the interval is the same for all
        self.count = Count()

    def run(self) -> None:
        """Until standard input ends."""
        self._epoll.register(sys.stdin.fileno(), select.EPOLLIN)
        last = time.monotonic()
        while True:
            events = self._epoll.poll(TURN)
            now = time.monotonic()
            for number, event in events:
                if number == sys.stdin.fileno():
                    return
                self._look(self._clients[number], event, now)
            self._drip(now)
            self._credit = min(self._credit + (now - last) * self._churn, self._churn)
            last = now
            while self._away and self._credit >= 1:
                self._credit -= 1
                self._come(self._away.popleft())
            self.count.most_open = max(self.count.most_open, len(self._clients))

    def _come(self, client: Client) -> None:
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen with the connection
        if not client.kind.reads:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            one.bind((client.address, 0))
            one.connect_ex(self._ports[client.kind.over_tls])
        except OSError:
            one.close()
            self._away.append(client)
            return
        client.socket, client.said = one, -1
        self._clients[one.fileno()] = client
        self._epoll.register(one.fileno(), select.EPOLLOUT | select.EPOLLRDHUP)
        self.count.opened[client.kind.name] += 1

    def _look(self, client: Client, event: int, now: float) -> None:
        assert client.socket is not None
        kind = client.kind
        try:
            if event & select.EPOLLOUT and client.said < 0:
                client.said = 0
                if kind.first:
                    client.socket.send(kind.first)
                if kind.drops:
                    self._due.append((now + DRIP, client.socket.fileno(), client))
                reading = select.EPOLLIN if kind.reads else 0
                self._epoll.modify(client.socket.fileno(), reading | select.EPOLLRDHUP)
                return
            if event & select.EPOLLIN:
                data = client.socket.recv(65_536)
                if data.startswith(b"HTTP/1.1 "):
                    self.count.answers[data[9:12].decode()] += 1
                if data:
                    return
        except BlockingIOError:
            return
        except OSError:
            if client.said < 0:
                self.count.unanswered += 1
        self._go(client)

    def _drip(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, number, client = self._due.popleft()
            if client.socket is None or client.socket.fileno() != number or self._clients.get(number) is not client:
                continue
            try:
                client.socket.send(client.kind.drops[client.said : client.said + 1])
                client.said += 1
                self._due.append((now + DRIP, number, client))
            except OSError:
                self._go(client)

    def _go(self, client: Client) -> None:
        assert client.socket is not None
        self._clients.pop(client.socket.fileno(), None)
        client.socket.close()  # the epoll forgets it
        client.socket = None
        self.count.ended[client.kind.name] += 1
        self._away.append(client)


def _crowd(number: int) -> Iterator[Client]:
    """So many, of all kinds in turn, from all addresses."""
    addresses, every = cycle(ADDRESSES), kinds()
    # Spread over a hundred places, so that whoever comes first is of all kinds.
    mixed = [
        kind for place in range(100) for kind in every if (place + 1) * kind.share // 100 > place * kind.share // 100
    ]
    for index in range(number):
        yield Client(mixed[index % len(mixed)], next(addresses))


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description="Hostile clients.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--churn", type=float, default=300.0, help="new connections a second, of all together")
    given = parser.parse_args()
    mob = Mob(given.port, given.tls_port, given.connections, given.churn)
    mob.run()
    count = mob.count
    told = {
        "opened": dict(count.opened),
        "ended": dict(count.ended),
        "answers": dict(count.answers),
        "unanswered": count.unanswered,
        "most_open": count.most_open,
        "seconds_of_processor": round(time.process_time(), 2),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
