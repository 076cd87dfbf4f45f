"""A process for the tests of `child` and `crew`: it does what its SETTINGS frame says.

`python -m tests.unit.runtime.program CHANNEL ROW DESCRIPTOR…`, like a worker. The payload is words: `serve` (ready,
until DRAIN), `stubborn` (ready, ignores DRAIN), `silent` (never ready), `fail TEXT` (says FAILED, exits with 1),
`exit CODE`, `die` (ready, kills itself at the next frame), `once FILE rest` (does `rest` once, then serves).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

from proxy.runtime.control import Decoder, Frame, encoded


class Program:
    """The blocking counterpart of a worker."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._decoder = Decoder()
        self._frames: list[tuple[Frame, bytes]] = []

    def frame(self) -> tuple[Frame, bytes]:
        while not self._frames:
            data = self._channel.recv(65536)
            if not data:
                sys.exit(0)
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def send(self, kind: Frame, payload: bytes = b"") -> None:
        self._channel.sendall(encoded(kind, payload))

    def run(self, order: str, row: int, descriptors: list[int]) -> int:
        verb, _, rest = order.partition(" ")
        if verb == "once":
            file, _, first = rest.partition(" ")
            return self.run("serve" if self._was_here(Path(file)) else first, row, descriptors)
        if verb == "fail":
            self.send(Frame.FAILED, rest.encode())
            return 1
        if verb == "exit":
            return int(rest)
        if verb == "silent":
            time.sleep(60)
        self.send(Frame.READY)
        self.send(Frame.CONFIG, f"{row} {[os.fstat(each).st_size for each in descriptors]}".encode())
        if verb == "die":
            self.frame()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.serve(is_stubborn=verb == "stubborn")

    def serve(self, *, is_stubborn: bool) -> int:
        while True:
            kind, payload = self.frame()
            if kind is Frame.DRAIN and not is_stubborn:
                return 0
            if kind is Frame.CONFIG:
                self.send(Frame.CONFIG, b"echo " + payload)

    def _was_here(self, file: Path) -> bool:
        was_here = file.exists()
        file.touch()
        return was_here


if __name__ == "__main__":
    number, row, *descriptors = map(int, sys.argv[1:])
    program = Program(socket.socket(fileno=number))
    _, order = program.frame()
    sys.exit(program.run(order.decode(), row, descriptors))
