"""An open loop: requests arrive at a fixed mean rate, whether or not those before them are answered.

Latency counts from the moment at which a request was meant to be sent, so a proxy that stalls is charged for all that
it kept waiting. Arrivals are random (exponential gaps, the same at each run): visitors don't take turns. It speaks
plain HTTP and waits with microsecond precision, for which an event loop's millisecond timers are too coarse.

    python -m comparison.load.arrivals '{"port": 8080, "size": 2048, "rate": 2000, …}'
"""

from __future__ import annotations

import ctypes
import json
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from comparison.load import traffic
from comparison.load.answer import status_of
from comparison.load.outcome import Outcome, outcome, tell

PATIENCE = 5.0  # seconds for the answers to the last requests
RAMP = 1.0  # seconds at the beginning, in which the rate grows and nothing is counted: connections are made then
TIMER_SLACK = 29  # prctl(PR_SET_TIMERSLACK): else the kernel adds up to 50 µs to each wait


class Line:
    """One visitor's connection, one request at a time. `wanted` is when the request in hand was meant to be sent."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.wanted = 0.0
        self._unsent = memoryview(b"")
        self._answer = b""

    def ask(self, wanted: float) -> bool:
        """Sends as much as fits; False when some is left for `go_on`."""
        self.wanted = wanted
        self._unsent = memoryview(self._request)
        return self.go_on()

    def go_on(self) -> bool:
        """Sends more of what is left; True when all is sent."""
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        return not self._unsent

    def status(self) -> int:
        """The status of the answer, 0 while it has not come whole. Raises OSError when it never will."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionResetError("closed before the answer")
        self._answer += data
        status = status_of(self._answer)
        if status:
            self._answer = b""
        return status


class OpenLoop:
    """Plays the arrivals; `play` once."""

    def __init__(self, port: int, requests: Iterable[bytes]) -> None:
        """With a connection for each of the requests."""
        self._poll = select.epoll()
        self._lines = {line.socket.fileno(): line for line in (Line(port, request) for request in requests)}
        self._idle = deque(self._lines.values())  # in turn, so that every worker of a proxy gets its share
        self._waiting: deque[float] = deque()
        self._latencies: list[float] = []
        self._answered = 0
        self._errors: list[str] = []
        self._counts_from = 0.0
        for number in self._lines:
            self._poll.register(number, select.EPOLLIN)

    def play(self, rate: float, seconds: float, seed: int) -> Outcome:
        """Arrivals at `rate` a second. Those that come while every connection is busy wait, and their clock runs."""
        chance = random.Random(seed)
        begun, used = time.perf_counter(), time.process_time()
        self._counts_from = begun + RAMP
        due, ends = begun, self._counts_from + seconds
        while due < ends:
            self._serve(due - time.perf_counter())
            now = time.perf_counter()
            while due <= now:
                self._waiting.append(due)
                due += chance.expovariate(rate * min(0.1 + (due - begun) / RAMP, 1))
            self._send_waiting()
        while self._in_hand() and time.perf_counter() < ends + PATIENCE:
            self._serve(0.1)
            self._send_waiting()
        self._errors += ["no answer in time"] * self._in_hand()
        self._errors += ["not sent: every connection waits for an answer"] * len(self._waiting)
        took, used = time.perf_counter() - begun, time.process_time() - used
        return outcome(self._latencies, took, self._errors, cpu=used, requests=self._answered)

    def _in_hand(self) -> int:
        return len(self._lines) - len(self._idle)

    def _serve(self, seconds: float) -> None:
        """What the connections have to tell, waiting for it no longer than that."""
        if seconds > 0:
            select.select([self._poll], [], [], seconds)  # epoll alone counts in milliseconds
        for number, events in self._poll.poll(0):
            try:
                if events & select.EPOLLOUT and self._lines[number].go_on():
                    self._poll.modify(number, select.EPOLLIN)
                if events & ~select.EPOLLOUT:
                    self._read(self._lines[number])
            except OSError as error:
                self._errors.append(repr(error))
                self._lose(number)

    def _read(self, line: Line) -> None:
        status = line.status()
        if status:
            self._idle.append(line)
            if not 200 <= status < 300:
                self._errors.append(f"status {status}")
                return
            self._answered += 1
            if line.wanted >= self._counts_from:
                self._latencies.append(time.perf_counter() - line.wanted)

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            line = self._idle.popleft()
            if not line.ask(self._waiting.popleft()):
                self._poll.modify(line.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _lose(self, number: int) -> None:
        line = self._lines.pop(number)
        if line in self._idle:
            self._idle.remove(line)
        line.socket.close()


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(TIMER_SLACK, 1, 0, 0, 0)
    visitors = (traffic.FIRST_SESSION + number for number in range(order["lines"]))
    loop = OpenLoop(order["port"], [traffic.upload(order["size"], one) for one in visitors])
    tell(loop.play(order["rate"], order["seconds"], order["seed"]))


if __name__ == "__main__":
    main()
