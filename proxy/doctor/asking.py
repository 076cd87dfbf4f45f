"""Sends requests one by one and gives the answers as they came, doubled fields and all. Follows no redirect.

Bounded: each request, and all of them together. Must not know what is asked, or what makes an answer good.
"""

from __future__ import annotations

import asyncio
import ssl
from io import BytesIO
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
from yarl import URL

from proxy.doctor.browser import Request
from proxy.runtime.clock import monotonic

_BODY_MAX: Final = 2 * 1024 * 1024  # of an answer; configurations have some kilobytes
_SILENT_MAX: Final = 3  # requests without an answer, then no more are sent


class Patience(NamedTuple):
    """Seconds: to connect, for an answer (the SDK's own for uploads), for a `100 Continue`, and for all together."""

    connect: float = 5.0
    answer: float = 10.0
    interim: float = 3.0
    total: float = 90.0


class Answer(NamedTuple):
    """`seconds` from when it was asked; `is_reused`: whether the connection had been used before."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float
    is_reused: bool

    def values(self, name: str) -> list[str]:
        """The values of a field, line by line; the name in lower case."""
        return [value for each, value in self.fields if each == name]

    def listed(self, name: str) -> list[str]:
        """The members of a field that is a list, in lower case."""
        members = ",".join(self.values(name)).lower().split(",")
        return [member.strip() for member in members if member.strip()]

    def text(self, name: str) -> str:
        """The field's value, "" without one."""
        return ", ".join(self.values(name))


class NoAnswerError(Exception):
    """Nothing came that is an answer. The text says why."""


class GivenUpError(Exception):
    """The time for all requests is over, or too many of them went unanswered. The text says which."""


class Asker:
    """One visitor with one connection at a time, if the other side keeps it. An async context manager."""

    def __init__(self, patience: Patience, trust: ssl.SSLContext) -> None:
        self._patience = patience
        self._trust = trust
        self._ends = monotonic() + patience.total
        self._silent = 0
        self._is_reused = False

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(self._on_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trust, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # transports are closed in the loop's next turn, which may be its last

    async def ask(self, request: Request) -> Answer:
        """Raises NoAnswerError, or GivenUpError without having asked."""
        try:
            return await self._ask(request, self._patience.answer, expects=False)
        except NoAnswerError:
            self._silent += 1
            raise

    async def ask_first(self, request: Request) -> Answer:
        """The same with `Expect: 100-continue`: the body is held back until it is asked for."""
        return await self._ask(request, self._patience.interim, expects=True)

    async def _ask(self, request: Request, limit: float, *, expects: bool) -> Answer:
        left = self._ends - monotonic()
        if left <= 0:
            raise GivenUpError(f"{self._patience.total:g} s were not enough")
        if self._silent >= _SILENT_MAX:
            raise GivenUpError(f"{self._silent} requests got no answer")
        began = monotonic()
        self._is_reused = False
        try:
            async with asyncio.timeout(min(limit, left)):
                return await self._exchange(request, began, expects)
        except TimeoutError:
            raise NoAnswerError(f"none within {min(limit, left):.3g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswerError(_told(error)) from None

    async def _exchange(self, request: Request, began: float, expects: bool) -> Answer:
        async with self._session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.fields,
            data=BytesIO(request.body) if request.body else None,  # bytes of this size would be warned of
            expect100=expects,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._patience.connect),
        ) as response:
            body = await response.content.read(_BODY_MAX)
            while not response.content.at_eof() and len(body) < _BODY_MAX:
                body += await response.content.read(_BODY_MAX)
            fields = tuple((name.decode("latin-1").lower(), _value(value)) for name, value in response.raw_headers)
            return Answer(response.status, fields, body, monotonic() - began, self._is_reused)

    async def _on_reuse(self, *_: object) -> None:
        self._is_reused = True


def _value(raw: bytes) -> str:
    return raw.decode("latin-1").strip()


def _told(error: Exception) -> str:
    """One line without addresses of objects; a parser's complaint quotes what it read."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:200]
