"""A crowd of clients on asyncio: many keep-alive connections at once, raw bytes, every answer read strictly.

It keeps account of what became of each upload. It must not import anything of `proxy`.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field

from tests.conformance.wire import AnswerReader
from tests.faults.traffic import upload

ANSWER_SECONDS = 30.0
# Sizes of uploads as a busy page makes them, in bytes of body.
SIZES = (150, 400, 900, 2_000, 4_000, 8_000, 20_000)


@dataclass
class Account:
    """What became of the uploads: `answers` by status, `aborts` without a whole answer, and the SHA-256 of the bodies
    that were acknowledged with a 2xx. `faults` says what no client should ever see."""

    sent: int = 0
    aborts: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


async def burst(port: int, connections: int, requests_each: int, seed: int) -> Account:
    """All connections at once; each sends its uploads one after the other and connects anew when it was cut off."""
    account = Account()
    chance = random.Random(seed)
    seeds = [chance.randrange(1 << 30) for _ in range(connections)]
    async with asyncio.TaskGroup() as group:
        for one in seeds:
            group.create_task(_one_client(port, requests_each, random.Random(one), account))
    return account


async def _one_client(port: int, requests: int, chance: random.Random, account: Account) -> None:
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    answers = AnswerReader()
    for _ in range(requests):
        body = chance.randbytes(16).hex().encode() + b"x" * chance.choice(SIZES)
        if streams is None:
            streams = await asyncio.open_connection("127.0.0.1", port)
            answers = AnswerReader()
        kept = await _one_upload(streams, answers, body, account)
        if not kept:
            await _close(streams[1])
            streams = None
    if streams is not None:
        if answers.surplus:
            account.faults.append("bytes that nobody asked for")
        await _close(streams[1])


async def _one_upload(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], answers: AnswerReader, body: bytes, account: Account
) -> bool:
    """Send one upload and read its answer; whether the connection can be used again."""
    reader, writer = streams
    account.sent += 1
    answers.expect(b"POST")
    try:
        writer.write(upload(body))
        await writer.drain()
        while not answers.answers:
            data = await asyncio.wait_for(reader.read(65_536), ANSWER_SECONDS)
            if not data:
                break
            answers.feed(data)
    except ConnectionError:
        pass
    if not answers.answers:
        account.aborts += 1
        return False
    answer = answers.answers.popleft()
    account.answers[answer.status] += 1
    if answer.status // 100 == 2:
        account.acknowledged.add(hashlib.sha256(body).hexdigest())
        if answer.body != b'{"code":200}':
            account.faults.append(f"not the answer to an upload: {answer.body[:60]!r}")
    if not answer.all("access-control-allow-origin"):
        account.faults.append(f"a {answer.status} that no page can read")
    return answer.keeps_alive


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass
