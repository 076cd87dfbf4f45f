"""A small server that answers the browser SDK as a correct proxy does, but for one flaw at a time.

It stands for proxy and vendor at once, and knows nothing of the doctor.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import hdrs, web
from multidict import CIMultiDict

ORIGIN = "https://app.example.com"
TRACK = "/sessions/v2/track"
CONFIG = "/config"
BODY_LIMIT = 64 * 1024 * 1024
ALLOWED_HEADERS = (
    "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
    "x-client-version,x-sampling-hash-alg,x-session-token"
)
CONFIGURATION = json.dumps({"configs": {"sessionReplay": {}}}).encode()


@dataclass
class Reply:
    """An answer before it is sent. `is_cut` resets the connection in its place, `delay` is in seconds."""

    status: int
    kind: str = "text/plain"
    body: bytes = b""
    fields: CIMultiDict[str] = field(default_factory=CIMultiDict)
    delay: float = 0.0
    is_cut: bool = False


class Asked(NamedTuple):
    """A request, as a flaw looks at it. `place` is track, config or elsewhere."""

    method: str
    target: str
    place: str
    body: bytes
    fields: CIMultiDict[str]


Flaw = Callable[[Asked, Reply], None]


def correct(asked: Asked) -> Reply:
    """What a correct proxy in front of a vendor answers that knows the key."""
    if asked.place == "elsewhere":
        reply = Reply(404, body=b"no such path\n")
    elif asked.method == "OPTIONS":
        reply = Reply(204)
    elif asked.place == "config" and asked.method == "GET":
        reply = Reply(200, "application/json", CONFIGURATION)
    elif asked.place == "track" and asked.method == "POST":
        reply = Reply(200, "application/json", b'{"code":200}')
    else:
        reply = Reply(405, body=b"this method is not allowed here\n")
    reply.fields.add("Vary", "Origin")
    if asked.fields.get("Origin") == ORIGIN:
        reply.fields.add("Access-Control-Allow-Origin", ORIGIN)
        reply.fields.add("Access-Control-Allow-Credentials", "true")
        if asked.method == "OPTIONS":
            reply.fields.add("Access-Control-Allow-Headers", ALLOWED_HEADERS)
            reply.fields.add("Access-Control-Max-Age", "7200")
        else:
            reply.fields.add("Access-Control-Expose-Headers", "X-Session-Replay-Event-Skipped, Retry-After")
    return reply


def place_of(path: str) -> str:
    """Exact paths, the configuration's with a segment behind it."""
    if path == TRACK:
        return "track"
    below, _, key = path.rpartition("/")
    return "config" if path == CONFIG or (below == CONFIG and key) else "elsewhere"


class FlawedProxy:
    """The running server. `flaw` changes replies, `expectation` is the status for an Expect, 0 for no word at all."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.flaw: Flaw | None = None
        self.expectation = 100

    @property
    def track(self) -> str:
        return f"http://127.0.0.1:{self.port}{TRACK}"

    @property
    def config(self) -> str:
        return f"http://127.0.0.1:{self.port}{CONFIG}"

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._handle, expect_handler=self._expect)
        return application

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        if self.expectation == 100:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return web.Response(status=417) if self.expectation == 417 else None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        place = place_of(request.raw_path.partition("?")[0])
        asked = Asked(request.method, request.raw_path, place, body, CIMultiDict(request.headers))
        reply = correct(asked)
        if self.flaw is not None:
            self.flaw(asked, reply)
        await asyncio.sleep(reply.delay)
        if reply.is_cut and request.transport is not None:
            request.transport.abort()
        answer = web.Response(status=reply.status, headers=reply.fields, body=reply.body or None)
        if reply.body:
            answer.headers[hdrs.CONTENT_TYPE] = reply.kind
        return answer


@contextmanager
def served(application: web.Application, port: int) -> Iterator[None]:
    """The application on that port of loopback, in a thread of its own, until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(awaitable: Awaitable[None]) -> None:
        async def waiting() -> None:
            await awaitable

        asyncio.run_coroutine_threadsafe(waiting(), loop).result(30)

    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    try:
        wait(runner.setup())
        site = asyncio.run_coroutine_threadsafe(_started(runner, port), loop)
        site.result(30)
        yield
    finally:
        wait(runner.cleanup())
        wait(_none_left())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _started(runner: web.AppRunner, port: int) -> None:
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def _none_left() -> None:
    """Whose connection was cut may still wait for it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def flawed_proxy(port: int) -> Iterator[FlawedProxy]:
    proxy = FlawedProxy(port)
    with served(proxy.application(), port):
        yield proxy
