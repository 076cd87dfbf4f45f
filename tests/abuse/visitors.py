"""Visitors of a site while others attack it: the browser SDK's requests over TLS at a steady rate. A page makes a few
requests over one connection and is left; the next one comes over a new connection. As browsers do, a request on a kept
connection that dies without a byte of an answer is sent once more on a new one; nothing else is repeated.

It must not import anything of `proxy`.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import time

from tests.conformance.wire import Answer, AnswerReader
from tests.soak.crowd import Account, request

VISITORS = 24
# Requests over one connection: a visit.
VISIT = 10
ANSWER_SECONDS = 10.0  # then the SDK gives up


class Page:
    """One connection over TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.asked = 0

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> Page:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))

    async def ask(self, asked: bytes) -> Answer | None:
        """The answer; None when the connection ended without a byte of one. Raises ConnectionError after part of it."""
        self.asked += 1
        answers = AnswerReader()
        answers.expect(asked.partition(b" ")[0])
        got = 0
        try:
            self._writer.write(asked)
            await self._writer.drain()
            while not answers.answers:
                data = await self._reader.read(65_536)
                if not data:
                    break
                got += len(data)
                answers.feed(data)
        except (ConnectionError, ssl.SSLError):
            pass
        if answers.answers:
            return answers.answers.popleft()
        if got:
            raise ConnectionError("the answer was cut")
        return None

    def leave(self) -> None:
        self._writer.transport.abort()


class Visitors:
    """`rate` is requests per second of all together."""

    def __init__(self, port: int, authority: str, rate: float, seed: int) -> None:
        self.account = Account()
        self.repeated = 0
        self._port = port
        self._context = ssl.create_default_context(cafile=authority)
        self._rate = rate
        self._seed = seed

    async def visit(self, seconds: float) -> Account:
        """Come, stay for so long, leave."""
        ends = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(VISITORS):
                group.create_task(self._visitor(number, ends))
        return self.account

    async def _visitor(self, number: int, ends: float) -> None:
        chance = random.Random(self._seed * VISITORS + number)
        pause = VISITORS / self._rate
        due = time.monotonic() + pause * number / VISITORS
        page: Page | None = None
        while due < ends:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            page = await self._one(page, *request(chance))
            due = max(due + pause, time.monotonic() - pause)  # what was missed is not made up for
        if page is not None:
            page.leave()

    async def _one(self, page: Page | None, kind: str, asked: bytes, body: bytes) -> Page | None:
        """One request, from the moment it is made to its answer, connecting included; the page if it stays."""
        account = self.account
        account.sent[kind] += 1
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await page.ask(asked) if page is not None else None
                if answer is None:
                    self.repeated += page is not None
                    page = await Page.open(self._port, self._context)
                    answer = await page.ask(asked)
        except (OSError, TimeoutError):
            answer = None
        if answer is None:
            account.aborts += 1
            if page is not None:
                page.leave()
            return None
        account.answers[kind, answer.status] += 1
        if answer.status // 100 == 2:  # a refusal in time is no service
            account.seconds.append(time.monotonic() - began)
        if body and answer.status // 100 == 2:
            account.acknowledged.add(hashlib.sha256(body).hexdigest())
        if page is not None and (not answer.keeps_alive or page.asked >= VISIT):
            page.leave()
            return None
        return page
