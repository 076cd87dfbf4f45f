"""The customer's own site: pages with one SDK on them, over HTTP and over HTTPS, that set a session cookie.

It knows the page and the SDK's options; whether a proxy, nginx or the stand-in listens at the addresses
that it hands to the SDK is none of its business.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SITE_COOKIE = "site_session"
SITE_SECRET = "only-for-the-site"
ROW_OCTETS = 96  # so that 12,000 rows make a snapshot of 1.5 MB gzip and stay below the SDK's 9 MB for one event


@dataclass(frozen=True, slots=True)
class Scenario:
    """One page: which SDK (`sdk_build.FLAVOURS`), where it sends, and how big the page is.

    `gateway` is a base URL without a trailing slash. `options` go to the SDK as they are. A table of `rows` rows makes
    the first snapshot as big as a test needs it.
    """

    flavour: str
    gateway: str
    device_id: str
    api_key: str
    rows: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)

    def script(self) -> str:
        """`window.scenario` as the page scripts read it, safe inside a script element."""
        values = {
            "apiKey": self.api_key,
            "deviceId": self.device_id,
            "trackServerUrl": f"{self.gateway}/sessions/v2/track",
            "configServerUrl": f"{self.gateway}/config",
            "options": dict(self.options),
        }
        return "window.scenario = " + json.dumps(values).replace("<", "\\u003c")


def row_text(number: int) -> str:
    """What stands in a table row: as hard to compress as identifiers are."""
    return hashlib.shake_128(str(number).encode()).hexdigest(ROW_OCTETS)


def page(scenario: Scenario) -> str:
    """The page: a button, room to scroll, the table, a clock, and `note(text)`, which changes the page as work would.

    The clock makes the page a living one: the SDKs look at their flush intervals only when an event comes.
    """
    rows = "".join(
        f'<tr class="row"><td>{number}</td><td><a href="/item/{number}">{row_text(number)}</a></td></tr>'
        for number in range(scenario.rows)
    )
    return f"""<!doctype html>
<html><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>{html.escape(scenario.device_id)}</title></head>
<body><button id="work">work</button><p id="clock"></p><div id="notes"></div><table>{rows}</table>
<div style="height: 3000px"></div>
<script>
  {scenario.script()}
  function note(text) {{
    document.querySelector("#notes").appendChild(document.createElement("p")).textContent = text;
  }}
  setInterval(() => {{ document.querySelector("#clock").textContent = Date.now(); }}, 100);
</script>
<script src="/sdk/{scenario.flavour}.js"></script></body></html>"""


class PageSite:
    """The site on free ports of localhost, served while entered. `publish` a scenario, visit the URL."""

    def __init__(self, scripts: Path, certificate: Path, key: Path) -> None:
        self._scripts = scripts
        self._numbers = itertools.count(1)
        self._pages: dict[str, bytes] = {}
        self._plain = self._server()
        self._tls = self._server()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # The handshake happens in the connection's own thread: a browser opens connections in advance and waits.
        self._tls.socket = context.wrap_socket(self._tls.socket, server_side=True, do_handshake_on_connect=False)
        self._servers = (self._plain, self._tls)

    def origin(self, scheme: str) -> str:
        """The page's origin for `http` or `https`."""
        server = self._tls if scheme == "https" else self._plain
        return f"{scheme}://localhost:{server.server_port}"

    def publish(self, scenario: Scenario, scheme: str) -> str:
        """Put the scenario's page on the site; its URL."""
        path = f"/page/{next(self._numbers)}"
        self._pages[path] = page(scenario).encode()
        return self.origin(scheme) + path

    def find(self, path: str) -> tuple[str, bytes] | None:
        """Media type and content at a path, None when nothing is there."""
        if path in self._pages:
            return "text/html", self._pages[path]
        if path == "/away":
            return "text/html", b'<!doctype html><link rel="icon" href="data:,"><p>another page'
        if path.startswith("/sdk/"):
            return "text/javascript", (self._scripts / Path(path).name).read_bytes()
        return None

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _server(self) -> ThreadingHTTPServer:
        site = self

        class Handler(_Handler):
            def find(self, path: str) -> tuple[str, bytes] | None:
                return site.find(path)

        return _QuietServer(("127.0.0.1", 0), Handler)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser drops connections as it likes; anything else is a fault of the test and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    def find(self, path: str) -> tuple[str, bytes] | None:
        raise NotImplementedError

    def do_GET(self) -> None:
        found = self.find(self.path.partition("?")[0])
        self._answer(404, "text/plain", b"not here") if found is None else self._answer(200, *found)

    def do_POST(self) -> None:
        """Where the analytics SDK leaves its own events."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._answer(200, "application/json", b'{"code":200}')

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"{SITE_COOKIE}={SITE_SECRET}; Path=/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Page loads are no news."""
