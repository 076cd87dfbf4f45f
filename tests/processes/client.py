"""A client of the gateway for the tests of processes: one connection, requests that can be left half sent."""

from __future__ import annotations

import http.client
import json
from typing import Self

PATIENCE = 30.0
TRACK = "/sessions/v2/track?device_id=d&session_id=1&type=replay"
CONFIG = "/config/0123456789abcdef?config_group=browser"


class Client:
    """A connection to a port of the gateway on loopback; closed with its block."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.request_id = ""

    def __enter__(self) -> Self:
        self._connection.connect()
        self._connection.auto_open = 0  # a connection that was closed must not come back by itself
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def begin(self, body: bytes, sent: int) -> None:
        """Send an upload's head and `sent` bytes of its body."""
        self._connection.putrequest("POST", TRACK)
        self._connection.putheader("Authorization", "Bearer key")
        self._connection.putheader("Content-Type", "application/json")
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body[:sent])

    def send(self, data: bytes) -> None:
        """Send more of the body."""
        self._connection.send(data)

    def answer(self) -> tuple[int, str]:
        """Status and body of the answer."""
        answer = self._connection.getresponse()
        self.request_id = answer.headers["X-Request-Id"]
        return answer.status, answer.read().decode()

    def upload(self, body: bytes = b"{}") -> tuple[int, str]:
        """An upload and its answer."""
        self.begin(body, len(body))
        return self.answer()

    def config(self) -> tuple[int, str]:
        """A configuration request and its answer."""
        return self.get(CONFIG)

    def get(self, target: str) -> tuple[int, str]:
        """A GET request and its answer."""
        self._connection.request("GET", target)
        return self.answer()

    def is_closed_by_the_other_end(self) -> bool:
        """Whether the connection ends without another byte; waits for the end."""
        try:
            return self._connection.sock.recv(1) == b""
        except ConnectionResetError:
            return False


def uploaded(port: int, times: int = 1) -> None:
    """Uploads, each on a connection of its own, that must be delivered."""
    for _ in range(times):
        with Client(port) as client:
            status, text = client.upload()
            assert (status, json.loads(text)) == (200, {"code": 200})
