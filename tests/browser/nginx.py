"""nginx in front of the stand-in: the vendor's recipe as it is published, and the same with its CORS put right.

It renders configurations and runs the server; what a browser makes of it is for the tests. The recipe is the
nginx part of the vendor's page "Self-host Session Replay": the same directives in the same places, only ports,
certificate paths and the upstreams' addresses are those of the test.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.browser.sdk_build import needed_tool
from tests.gateway import eventually, free_port

STOP_SECONDS = 10.0
PROCESS = """daemon off;
master_process off;
pid nginx.pid;
error_log error.log info;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What one `location` of the recipe differs by."""

    path: str
    upstream: str
    host: str
    methods: str


PLACES = (
    Place("/sessions/v2/track", "amplitude_replay", "api-sr.amplitude.com", "GET, POST, OPTIONS"),
    Place("/config", "amplitude_config", "sr-client-cfg.amplitude.com", "GET, OPTIONS"),
)
FORWARD = """
            proxy_pass https://{place.upstream};
            proxy_ssl_server_name on;
            proxy_set_header Host {place.host};
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
"""
PUBLISHED = """
            add_header Access-Control-Allow-Origin $http_origin always;
            add_header Access-Control-Allow-Methods "{place.methods}" always;
            add_header Access-Control-Allow-Headers "Content-Type, Authorization" always;
"""
# What the published lines lack: the header names that the SDKs really send, credentials for the beacons, a readable
# kill switch, only one Access-Control-Allow-Origin when the vendor sends its own; room for a big page, and the TLS
# server name of the vendor in place of the upstream group's.
CORRECTED = """
            client_max_body_size 16m;
            proxy_ssl_name {place.host};
            proxy_hide_header Access-Control-Allow-Origin;
            proxy_hide_header Access-Control-Allow-Credentials;
            add_header Access-Control-Allow-Origin $http_origin always;
            add_header Access-Control-Allow-Credentials true always;
            add_header Access-Control-Allow-Methods "{place.methods}" always;
            add_header Access-Control-Allow-Headers "Content-Type, Content-Encoding, Authorization, X-Client-Version,
                X-Client-Library, X-Client-Url, X-Client-Sample-Rate, X-Sampling-Hash-Alg" always;
            add_header Access-Control-Expose-Headers X-Session-Replay-Event-Skipped always;
            add_header Access-Control-Max-Age 600 always;
            add_header Vary Origin always;
"""
PREFLIGHT = """
            if ($request_method = OPTIONS) {
                return 204;
            }
"""


GROUP = """
    upstream {place.upstream} {{
        server {address};
        keepalive 32;
    }}
"""
SERVER = """
    server {{
        listen {listen} ssl;
        server_name localhost;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{locations}
    }}
}}
"""


def configuration(directives: str, address: str, listen: str, certificate: Path, key: Path) -> str:
    """The whole file: `address` is that of a TLS site which answers for both of the vendor's hosts."""
    groups = "".join(GROUP.format(place=place, address=address) for place in PLACES)
    locations = "".join(_location(place, directives) for place in PLACES)
    return PROCESS + groups + SERVER.format(listen=listen, certificate=certificate, key=key, locations=locations)


def _location(place: Place, directives: str) -> str:
    # A field value must not contain the line break that the source has for the reader's sake.
    fields = directives.format(place=place).replace(",\n                ", ", ")
    return f"        location {place.path} {{{FORWARD.format(place=place)}{fields}{PREFLIGHT}        }}\n"


class Nginx:
    """nginx with one configuration on a free TLS port of 127.0.0.1, in a folder of its own, running while entered."""

    def __init__(self, directives: str, address: str, certificate: Path, key: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nginx-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._text = configuration(directives, address, f"127.0.0.1:{self.port}", certificate, key)

    @property
    def tls_url(self) -> str:
        """Base URL, without a trailing slash."""
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        folder = Path(self._folder.name)
        (folder / "nginx.conf").write_text(self._text)
        command = [needed_tool("nginx", "nginx-light"), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
        with (folder / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        eventually(self._listens, what="nginx listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._folder.cleanup()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, Path(self._folder.name, "stderr").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
