"""The endpoints: health for probes, metrics for Prometheus, reload for the operator. Nothing cached.

Must not decide what "ready" means, nor how a reload is done; it asks.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http import HttpProcessingError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from proxy.runtime.reload import Report, Result

# A probe or a scrape is one small request; whoever keeps a connection longer than a scrape interval dials again.
KEEP_ALIVE_SECONDS = 75.0
# How long an answer in hand may take when the server stops.
SHUTDOWN_SECONDS = 1.0
TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# Of a reload, for scripts that look at nothing else.
RELOAD_STATUSES = {Result.APPLIED: 200, Result.RESTART: 409, Result.PROBLEMS: 422, Result.FAILED: 500}


class Endpoints:
    """The handlers. `unready` gives the reason why no requests should be sent here now, or None; `registry` is what
    /metrics shows, `reload` applies the configuration as it is now."""

    def __init__(
        self,
        unready: Callable[[], str | None],
        registry: CollectorRegistry,
        reload: Callable[[], Awaitable[Report]],
    ) -> None:
        self._unready = unready
        self._registry = registry
        self._apply = reload

    def application(self) -> web.Application:
        """An aiohttp application with all routes."""
        application = web.Application(handler_args={"keepalive_timeout": KEEP_ALIVE_SECONDS})
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_post("/reload", self._reload)
        application.on_response_prepare.append(_plain_head)
        return application

    async def _live(self, request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, request: web.Request) -> web.Response:
        reason = self._unready()
        if reason is None:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"{reason}\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        # The library's own choice between the two raises on a version that it can't read.
        if "application/openmetrics-text" in request.headers.get("Accept", ""):
            body, kind = openmetrics.generate_latest(self._registry), OPENMETRICS  # type: ignore[no-untyped-call]
        else:
            body, kind = generate_latest(self._registry), TEXT
        return web.Response(body=body, headers={"Content-Type": kind})

    async def _reload(self, request: web.Request) -> web.Response:
        # Browsers send one of them with every POST of a page, and no page is to make a gateway act.
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            return web.Response(status=403, text="not from a page: use replay-gateway reload, or curl -X POST\n")
        report = await self._apply()
        document = {"result": report.result.value, "lines": report.lines}
        return web.json_response(document, status=RELOAD_STATUSES[report.result])


class _NoBadRequests(logging.Filter):
    """Holds back what the library has to say of bytes that are no HTTP: they are answered with 400 and nobody's error
    here, and it would quote them, with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info and record.exc_info[1]
        return not isinstance(error, HttpProcessingError)


_NO_BAD_REQUESTS = _NoBadRequests()


async def serve(application: web.Application, listening: socket.socket) -> web.AppRunner:
    """Serve on a socket that already listens. `cleanup()` of what is returned ends it."""
    logging.getLogger("aiohttp.server").addFilter(_NO_BAD_REQUESTS)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    return runner


async def _plain_head(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "replay-gateway"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
