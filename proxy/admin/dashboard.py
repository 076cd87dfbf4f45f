"""The status as JSON, and the page that shows it: files of this package, which ask for nothing from anywhere else.

The server has no password, so a page of any site could have a browser ask it under a name that leads here (DNS
rebinding). These answers are for readers, hence only for those who name the server by its address, by localhost or as
it is configured; probes and Prometheus, which may use any name, get nothing that is worth it. Must not know what a
status holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Final

import orjson
from aiohttp import web

ASSETS: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}": (name, "text/javascript") for name in ("page.js", "elements.js", "setup.js")},
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEAD: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
MISDIRECTED: Final = (
    "This server answers to its IP address, to localhost and to the host of admin.address, not to {host!r}. "
    "Behind a proxy, have it send one of these as Host.\n"
)

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Dashboard:
    """`status` gives what /status shows; `host` is that of admin.address."""

    def __init__(self, status: Callable[[], Awaitable[dict[str, Any]]], host: str) -> None:
        self._status = status
        self._host = host
        self._assets = {path: (_content(name), kind) for path, (name, kind) in ASSETS.items()}

    def add_to(self, application: web.Application) -> None:
        """Serve the page and /status."""
        for path in self._assets:
            application.router.add_get(path, self._guarded(self._asset))
        application.router.add_get("/status", self._guarded(self._json))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.Response:
            name = request.headers.get("Host", "")
            if not is_ours(name, self._host):
                return web.Response(status=421, text=MISDIRECTED.format(host=name))
            answer = await handler(request)
            answer.headers.update(HEAD)
            return answer

        return guarded

    async def _asset(self, request: web.Request) -> web.Response:
        body, kind = self._assets[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _json(self, request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(await self._status()), content_type="application/json")


def is_ours(name: str, host: str) -> bool:
    """Whether a Host field names the server by an address, by localhost or as `host`."""
    bare = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if bare.lower() in ("localhost", host.lower()):
        return True
    try:
        ip_address(bare)
    except ValueError:
        return False
    return True


def _content(name: str) -> bytes:
    return files("proxy.admin").joinpath("page", name).read_bytes()
