"""Visitors whose uploads go the way that the browser SDK's go: one retry within a second after an answer that says so,
none after an answer that can't be read, given up after ten seconds.

They keep account of every upload. They know the public port and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.conformance.cases import ORIGIN_VALUE
from tests.conformance.wire import Answer, AnswerReader, BadAnswer
from tests.faults.traffic import config, upload

VISITORS: Final = 16
PATIENCE: Final = 10.0  # the SDK gives an upload up after so many seconds
RETRY_WITHIN: Final = 1.0  # and repeats it within so many
RETRIED: Final = frozenset((408, 429, 499))
CONFIG_EVERY: Final = 8  # one request of so many asks for the configuration
CHANGE_EVERY: Final = 8  # and one is another visitor's, whose browser has no connection yet


@dataclass
class Try:
    """One request: when it was asked and answered (seconds of the monotonic clock), the status, 0 for none that a page
    could read, and what the gateway calls the reason."""

    asked: float
    ended: float
    status: int
    reason: str = ""

    @property
    def is_good(self) -> bool:
        return self.status // 100 == 2

    @property
    def is_repeated(self) -> bool:
        """Whether the SDK asks once more."""
        return self.status // 100 == 5 or self.status in RETRIED


@dataclass
class Account:
    """Uploads by the SHA-256 of their bodies with the tries that each took, and what was asked of the configuration."""

    uploads: dict[str, list[Try]] = field(default_factory=dict)
    configs: list[Try] = field(default_factory=list)

    def within(self, begin: float, end: float) -> list[tuple[str, list[Try]]]:
        """The uploads that were first sent in this time."""
        return [(name, tries) for name, tries in self.uploads.items() if tries and begin <= tries[0].asked < end]

    @property
    def acknowledged(self) -> set[str]:
        """The bodies that the SDK has deleted because it was told that they had arrived."""
        return {name for name, tries in self.uploads.items() if any(each.is_good for each in tries)}

    @property
    def tries(self) -> list[Try]:
        """All of them, of uploads and configurations, by the time at which they ended."""
        return sorted((each for tries in (*self.uploads.values(), self.configs) for each in tries), key=_end)


def _end(each: Try) -> float:
    return each.ended


class Visitors:
    """`rate` is new requests per second of all together."""

    def __init__(self, port: int, rate: float) -> None:
        self.account = Account()
        self._port = port
        self._rate = rate
        self._is_over = False

    def leave(self) -> None:
        """Begin nothing new."""
        self._is_over = True

    async def visit(self) -> None:
        """Ask until told to leave, and until what was begun is over."""
        async with asyncio.TaskGroup() as group:
            for number in range(VISITORS):
                group.create_task(self._visitor(number))

    async def _visitor(self, number: int) -> None:
        chance, pause = random.Random(number), VISITORS / self._rate
        connection = _Connection(self._port)
        due = time.monotonic() + pause * number / VISITORS
        while not self._is_over:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if not chance.randrange(CHANGE_EVERY):
                connection.close()
            if chance.randrange(CONFIG_EVERY):
                await self._upload(connection, chance)
            else:
                self.account.configs.append(await connection.ask(config()))
            due = max(due + pause, time.monotonic())
        connection.close()

    async def _upload(self, connection: _Connection, chance: random.Random) -> None:
        body = chance.randbytes(16).hex().encode() + b"x" * chance.choice((200, 2_000, 20_000))
        tries = self.account.uploads[hashlib.sha256(body).hexdigest()] = []
        tries.append(await connection.ask(upload(body)))
        if tries[0].is_repeated or tries[0].reason == LATE:
            await asyncio.sleep(chance.random() * RETRY_WITHIN)
            tries.append(await connection.ask(upload(body)))


UNREADABLE: Final = "unreadable"
REFUSED: Final = "no connection"
LATE: Final = "not in 10 s"


class _Connection:
    """A visitor's kept connection; another is opened where it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._has_begun = False  # something of an answer has come

    async def ask(self, request: bytes) -> Try:
        """Chromium sends a request again by itself, on another connection, if a kept one has ended before a byte of an
        answer came: it may have been closed while the request was on its way."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                is_kept = self._writer is not None
                try:
                    answer = await self._answer(request)
                except ConnectionError:
                    answer = UNREADABLE if self._writer is not None else REFUSED
                if is_kept and answer == UNREADABLE and not self._has_begun:
                    self.close()
                    answer = await self._answer(request)
        except TimeoutError:
            answer = LATE
        except (ConnectionError, OSError):
            answer = REFUSED if self._writer is None else UNREADABLE
        except BadAnswer:
            answer = UNREADABLE
        ended = time.monotonic()
        if isinstance(answer, str):
            self.close()
            return Try(asked, ended, 0, answer)
        if not answer.keeps_alive:
            self.close()
        if answer.all("access-control-allow-origin") != [ORIGIN_VALUE]:
            return Try(asked, ended, 0, UNREADABLE)
        return Try(asked, ended, answer.status, answer.one("x-gateway-reason") or "")

    async def _answer(self, request: bytes) -> Answer | str:
        if self._writer is None or self._writer.is_closing():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        self._has_begun = False
        reader = AnswerReader()
        reader.expect(request.partition(b" ")[0])
        self._writer.write(request)
        await self._writer.drain()
        while not reader.answers:
            data = await self._reader.read(65_536)
            if not data:
                return UNREADABLE
            self._has_begun = True
            reader.feed(data)
        return reader.answers[0]

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def reasons(tries: list[Try]) -> Counter[str]:
    """How tries ended that were not good: status and reason."""
    return Counter(
        f"{each.status} `{each.reason}`" if each.status else each.reason for each in tries if not each.is_good
    )
