"""What Chromium wrote to its sockets, byte for byte, read from the network log that it keeps itself.

The browser's own view of a request (the developer tools) ends when its page is gone, and that is when the
beacons leave. The network log (`--log-net-log`, capture mode `Everything`) holds the bytes of each write, before TLS,
whoever asked for them: page, worker, beacon, preflight. It knows HTTP/1.1 framing and nothing of session replay.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TLS_HANDSHAKE = 0x16  # first octet of a TLS connection: ciphertext, its plaintext is logged under another name
BYTES_SENT = ("SOCKET_BYTES_SENT", "SSL_SOCKET_BYTES_SENT")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that Chromium sent completely. Header names are lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a field, None without it."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def digest(self) -> str:
        """SHA-256 of the body, as hex."""
        return hashlib.sha256(self.body).hexdigest()


class NetLog:
    """Follows a network log that is still being written.

    Chromium hands events over in groups of fifteen: the newest ones show up when more traffic follows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._names: dict[int, str] = {}
        self._streams: dict[tuple[int, str], bytearray] = {}
        self._sent: list[Sent] = []

    def sent(self) -> list[Sent]:
        """All requests sent so far, to whatever address, in the order of their last byte."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take(line.rstrip(b","))
        return list(self._sent)

    def _take(self, line: bytes) -> None:
        """The log is one JSON document with the constants in its first line and one event in each later one."""
        if line.startswith(b'{"constants":'):
            types = json.loads(line + b"}")["constants"]["logEventTypes"]
            self._names = {number: name for name, number in types.items() if name in BYTES_SENT}
        elif line.startswith(b'{"') and b'"bytes":' in line:
            self._take_event(json.loads(line))

    def _take_event(self, event: dict[str, Any]) -> None:
        name = self._names.get(event["type"])
        if name is None:
            return
        stream = self._streams.setdefault((event["source"]["id"], name), bytearray())
        stream += base64.b64decode(event["params"]["bytes"])
        if stream[0] == TLS_HANDSHAKE:
            return
        while request := _take_request(stream):
            self._sent.append(request)


def _take_request(stream: bytearray) -> Sent | None:
    """Cut the first complete request off; None while there is none. Chromium never sends chunked bodies."""
    end = stream.find(b"\r\n\r\n")
    if end < 0:
        return None
    start_line, *lines = stream[:end].decode("latin-1").split("\r\n")
    fields = [line.partition(":") for line in lines]
    headers = tuple((name.lower(), value.strip()) for name, _, value in fields)
    length = int(dict(headers).get("content-length", 0))
    begin = end + 4
    if len(stream) < begin + length:
        return None
    method, target, _ = start_line.split(" ")
    request = Sent(method, target, headers, bytes(stream[begin : begin + length]))
    del stream[: begin + length]
    return request
