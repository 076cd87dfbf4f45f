"""Visitors of a site: uploads, configurations, preflights and last words in the proportions of the browser SDK, at a
steady rate over kept connections, every answer read strictly.

It must not import anything of `proxy`, nor know what the gateway does meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.conformance.cases import HOST, ORIGIN, TRACK_PATH, head
from tests.conformance.wire import AnswerReader
from tests.faults.traffic import config, upload

ANSWER_SECONDS = 30.0
CONNECTIONS = 32
# Of a hundred requests; a page asks once for its configuration and once for each preflight's lifetime.
UPLOADS, CONFIGS, PREFLIGHTS = 85, 8, 4  # the rest are last words, sent as a beacon without a preflight
# Sizes of uploads in bytes of body, as a busy page makes them.
SIZES = (150, 400, 900, 2_000, 4_000, 8_000, 20_000, 60_000)
_PREFLIGHT = head(
    b"OPTIONS " + TRACK_PATH + b"?type=replay HTTP/1.1",
    HOST,
    ORIGIN,
    b"Access-Control-Request-Method: POST",
    b"Access-Control-Request-Headers: authorization,content-encoding,content-type",
)


@dataclass
class Account:
    """What became of the requests: `sent` by kind, `answers` by kind and status, `aborts` without a whole answer, the
    SHA-256 of the bodies that were acknowledged with a 2xx, and the seconds of each answer. `faults` says what no
    client should ever see."""

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    aborts: int = 0
    acknowledged: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the answers took at most."""
        ordered = sorted(self.seconds) or [0.0]
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1)


class Crowd:
    """`rate` is requests per second of all together, 0: as fast as they are answered."""

    def __init__(self, port: int, rate: float, seed: int) -> None:
        self.account = Account()
        self._port = port
        self._rate = rate
        self._seed = seed
        self._ends = 0.0

    async def visit(self, seconds: float) -> Account:
        """Come, stay for so long, leave."""
        self._ends = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(self._visitor(number, random.Random(self._seed * CONNECTIONS + number)))
        return self.account

    async def _visitor(self, number: int, chance: random.Random) -> None:
        pause = CONNECTIONS / self._rate if self._rate else 0.0
        due = time.monotonic() + pause * number / CONNECTIONS
        visitor = None
        while due < self._ends:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            visitor = visitor or await _Visitor.arrive(self._port, self.account)
            if not await visitor.ask(*request(chance)):
                await visitor.leave()
                visitor = None
            due = max(due + pause, time.monotonic() - pause)  # what was missed is not made up for
        if visitor:
            await visitor.leave()


def request(chance: random.Random) -> tuple[str, bytes, bytes]:
    """Its kind, its bytes, and the body that must arrive if it is acknowledged."""
    dice = chance.randrange(100)
    if dice < CONFIGS:
        return "config", config(), b""
    if dice < CONFIGS + PREFLIGHTS:
        return "preflight", _PREFLIGHT, b""
    body = chance.randbytes(16).hex().encode() + b"x" * chance.choice(SIZES)
    if dice < CONFIGS + PREFLIGHTS + UPLOADS:
        return "upload", upload(body), body
    lines = (b"Content-Type: text/plain;charset=UTF-8", b"Content-Length: %d" % len(body))
    return "beacon", head(b"POST " + TRACK_PATH + b"?type=replay HTTP/1.1", HOST, ORIGIN, *lines) + body, body


class _Visitor:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, account: Account) -> None:
        self._reader = reader
        self._writer = writer
        self._account = account
        self._answers = AnswerReader()

    @classmethod
    async def arrive(cls, port: int, account: Account) -> _Visitor:
        return cls(*await asyncio.open_connection("127.0.0.1", port), account)

    async def ask(self, kind: str, request: bytes, body: bytes) -> bool:
        """Send a request and read its answer; whether the connection can be used again."""
        account, answers = self._account, self._answers
        account.sent[kind] += 1
        answers.expect(request.partition(b" ")[0])
        began = time.monotonic()
        try:
            self._writer.write(request)
            await self._writer.drain()
            while not answers.answers:
                async with asyncio.timeout(ANSWER_SECONDS):
                    data = await self._reader.read(65_536)
                if not data:
                    break
                answers.feed(data)
        except ConnectionError:
            pass
        if not answers.answers:
            account.aborts += 1
            return False
        account.seconds.append(time.monotonic() - began)
        answer = answers.answers.popleft()
        account.answers[kind, answer.status] += 1
        if body and answer.status // 100 == 2:
            account.acknowledged.add(hashlib.sha256(body).hexdigest())
        if not answer.all("access-control-allow-origin"):
            account.faults.append(f"a {answer.status} to a {kind} that no page can read")
        if answers.surplus:
            account.faults.append(f"bytes that nobody asked for, after a {kind}")
        return answer.keeps_alive

    async def leave(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass
