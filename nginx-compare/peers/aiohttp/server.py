"""A plain proxy for session-replay traffic: aiohttp's server, and aiohttp's client session towards the vendor.

Written as a careful Python developer would, with the settings that keep every byte: nothing is decompressed, targets
are not quoted anew, no fields are added. Settings come from the environment; it knows nothing of the gateway.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

BODY_LIMIT = int(os.environ["BODY_LIMIT"])
UPSTREAM = f"https://127.0.0.1:{os.environ['UPSTREAM_PORT']}"
TIMEOUT = aiohttp.ClientTimeout(
    total=None, connect=3, sock_read=float(os.environ["ANSWER_TIMEOUT"]) + float(os.environ["BODY_TIMEOUT"])
)
CONFIG = re.compile(r"/config(/[^/]*)?")
SANE_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
EXPOSED = "X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id"
SDK_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, X-Client-Library, X-Client-Sample-Rate, X-Client-Url, "
    "X-Client-Version, X-Sampling-Hash-Alg"
)
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": SDK_HEADERS,
    "Access-Control-Max-Age": "7200",
}
# About one connection, and so not for the next one (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset(
    [
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ]
)
# What only the proxy knows, and what is none of the vendor's business.
CLAIMS = frozenset(
    [
        "cookie",
        "forwarded",
        "host",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
        "x-request-id",
    ]
)
NOT_FOR_OUR_DOMAIN = frozenset(
    ("set-cookie", "strict-transport-security", "alt-svc", "clear-site-data", "nel", "x-request-id")
)
FAILED = (aiohttp.ClientError, OSError, ValueError)


@dataclass(frozen=True)
class Route:
    """The vendor's host of a route, and the methods that browsers use there."""

    host: str
    methods: tuple[str, ...]


TRACK = Route("api-sr.amplitude.com", ("POST",))
CONFIGURATION = Route("sr-client-cfg.amplitude.com", ("GET", "HEAD"))


class TooLarge(Exception):
    """The body is larger than the limit, as is seen only when so much of it has arrived."""


def route_of(path: str) -> Route | None:
    """The route of a raw path, None if there is none."""
    if path == "/sessions/v2/track":
        return TRACK
    return CONFIGURATION if CONFIG.fullmatch(path) else None


def dropped(fields: CIMultiDict[str]) -> set[str]:
    """The names that must not be passed on, those that Connection lists included."""
    listed = {name.strip().lower() for line in fields.getall("Connection", ()) for name in line.split(",")}
    return HOP_BY_HOP | (listed - {"content-length", "content-type", "content-encoding", "authorization"})


def fields_for_vendor(request: web.Request, route: Route, name: str) -> CIMultiDict[str]:
    """The head of the request to the vendor."""
    gone = dropped(CIMultiDict(request.headers)) | CLAIMS
    fields = CIMultiDict(
        (key, value) for key, value in request.headers.items() if key.lower() not in gone and "_" not in key
    )
    fields["Host"] = route.host
    fields["X-Forwarded-For"] = fields["X-Real-IP"] = request.remote or ""
    fields["X-Forwarded-Proto"] = (
        "https" if request.transport and request.transport.get_extra_info("ssl_object") else "http"
    )
    fields["X-Forwarded-Host"] = request.headers.get("Host", "")
    fields["X-Request-Id"] = name
    return fields


def fields_for_browser(request: web.Request, name: str) -> CIMultiDict[str]:
    """What every answer carries, so that the page that asked can read it."""
    fields = CIMultiDict({"Vary": "Origin", "X-Request-Id": name})
    if origin := request.headers.get("Origin"):
        fields["Access-Control-Allow-Origin"] = origin
        fields["Access-Control-Allow-Credentials"] = "true"
        fields["Access-Control-Expose-Headers"] = EXPOSED
    return fields


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TooLarge."""
    seen = 0
    async for piece in request.content.iter_any():
        seen += len(piece)
        if seen > BODY_LIMIT:
            raise TooLarge
        yield piece


class Proxy:
    """One server's client sessions (a session for each name that certificates are checked for) and its handler."""

    def __init__(self) -> None:
        context = ssl.create_default_context(cafile=os.environ["CA"])
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        connector = aiohttp.TCPConnector(ssl=context, limit=0, keepalive_timeout=15)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            timeout=TIMEOUT,
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request, whatever becomes of it."""
        given = request.headers.getall("X-Request-Id", ())
        name = given[0] if len(given) == 1 and SANE_ID.fullmatch(given[0]) else uuid.uuid4().hex
        fields = fields_for_browser(request, name)
        route = route_of(request.raw_path.partition("?")[0])
        if route is None:
            return web.Response(status=404, text="no such path\n", headers=fields)
        if request.method == "OPTIONS":
            return web.Response(status=204, headers={**fields, **PREFLIGHT})
        if request.method not in route.methods:
            fields["Allow"] = ", ".join((*route.methods, "OPTIONS"))
            return web.Response(status=405, text="not this method\n", headers=fields)
        if (request.content_length or 0) > BODY_LIMIT:
            return too_large(fields)
        return await self._forward(request, route, name, fields)

    async def _forward(
        self, request: web.Request, route: Route, name: str, fields: CIMultiDict[str]
    ) -> web.StreamResponse:
        answer: web.StreamResponse | None = None
        try:
            async with self._session.request(
                request.method,
                URL(UPSTREAM + request.raw_path, encoded=True),
                headers=fields_for_vendor(request, route, name),
                data=body_of(request) if request.body_exists else None,
                server_hostname=route.host,
                allow_redirects=False,
            ) as theirs:
                answer = answer_head(theirs, fields)
                await answer.prepare(request)
                async for piece in theirs.content.iter_any():
                    await answer.write(piece)
                await answer.write_eof()
                return answer
        except TooLarge:
            return too_large(fields)
        except (TimeoutError, *FAILED) as error:
            if answer is not None and answer.prepared:
                if request.transport:
                    request.transport.abort()  # a part must not look like the whole
                raise ConnectionResetError from error
            status = 504 if isinstance(error, TimeoutError) else 502
            return web.Response(status=status, text=f"{type(error).__name__}\n", headers=fields)


def answer_head(theirs: aiohttp.ClientResponse, fields: CIMultiDict[str]) -> web.StreamResponse:
    """The vendor's head with the CORS fields of our own."""
    gone = dropped(CIMultiDict(theirs.headers)) | NOT_FOR_OUR_DOMAIN
    kept = CIMultiDict(
        (key, value)
        for key, value in theirs.headers.items()
        if key.lower() not in gone and not key.lower().startswith("access-control-")
    )
    kept.extend(fields)
    return web.StreamResponse(status=theirs.status, reason=theirs.reason, headers=kept)


def too_large(fields: CIMultiDict[str]) -> web.Response:
    """The words make the SDK halve its batch."""
    text = f"Payload exceeds the maximum allowed size of {BODY_LIMIT} bytes\n"
    return web.Response(status=413, text=text, headers=fields)


async def serve() -> None:
    """Serves both listeners until SIGTERM."""
    # A server of the low level has no router, which would decode and normalise the path.
    runner = web.ServerRunner(web.Server(Proxy().handle, auto_decompress=False, access_log=None, keepalive_timeout=75))
    await runner.setup()
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    front.minimum_version = ssl.TLSVersion.TLSv1_2
    front.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
    port, tls_port = int(os.environ["PORT"]), int(os.environ["TLS_PORT"])
    await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True, backlog=1024).start()
    await web.TCPSite(runner, "127.0.0.1", tls_port, ssl_context=front, reuse_port=True, backlog=1024).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()


def main() -> None:
    """One process for each of WORKERS; the first one ends the others."""
    others: list[int] = []
    for _ in range(int(os.environ["WORKERS"]) - 1):
        if not (pid := os.fork()):
            others.clear()
            break
        others.append(pid)
    uvloop.run(serve())
    for other in others:
        os.kill(other, signal.SIGTERM)
    for other in others:
        os.waitpid(other, 0)


if __name__ == "__main__":
    main()
