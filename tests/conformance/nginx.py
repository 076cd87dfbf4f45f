"""A real nginx, configured for this traffic as well as nginx can be: the measuring stick of the suite.

What a widely trusted proxy does with the same bytes shows which expectations are fair, and the table of
differences (see `differences`) shows where the gateway promises more. Upstream: TLS with verification and SNI,
keep-alive, HTTP/1.1, streaming in both directions. Its time-outs are short, so that what it does not notice
costs the suite little. It must not know any test case.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conformance.cases import BODY_LIMIT
from tests.gateway import Vendor, eventually, free_port

SDK_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, X-Client-Library, X-Client-Sample-Rate, X-Client-Url, "
    "X-Client-Version, X-Sampling-Hash-Alg"
)
CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 2048; }}
http {{
  access_log off;
  server_tokens off;
  default_type text/plain;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;

  keepalive_timeout 75s;
  keepalive_requests 1000;
  client_header_timeout 10s;
  client_body_timeout 2s;
  lingering_timeout 1s;
  client_max_body_size {body_limit};
  large_client_header_buffers 4 8k;
  merge_slashes off;

  map $http_origin $credentials {{ "" ""; default true; }}
  map $http_origin $exposed {{ "" ""; default "X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id"; }}
  map $http_x_request_id $id {{ default $request_id; "~^[A-Za-z0-9._~+/=:@-]{{1,128}}$" $http_x_request_id; }}
  map $request_method $track_refused {{ default 1; POST 0; OPTIONS 0; }}
  map $request_method $config_refused {{ default 1; GET 0; HEAD 0; OPTIONS 0; }}

  add_header Access-Control-Allow-Origin $http_origin always;
  add_header Access-Control-Allow-Credentials $credentials always;
  add_header Access-Control-Expose-Headers $exposed always;
  add_header Vary Origin always;
  add_header X-Request-Id $id always;

  upstream track {{ server 127.0.0.1:{upstream}; keepalive 32; keepalive_timeout 15s; }}
  upstream config {{ server 127.0.0.1:{upstream}; keepalive 32; keepalive_timeout 15s; }}

  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_redirect off;
  proxy_connect_timeout 3s;
  proxy_read_timeout 1s;
  proxy_send_timeout 10s;
  proxy_ssl_server_name on;
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 2;
  proxy_ssl_protocols TLSv1.2 TLSv1.3;
  proxy_ssl_trusted_certificate {ca_file};
  proxy_hide_header Access-Control-Allow-Origin;
  proxy_hide_header Access-Control-Allow-Credentials;
  proxy_hide_header Access-Control-Allow-Headers;
  proxy_hide_header Access-Control-Allow-Methods;
  proxy_hide_header Access-Control-Expose-Headers;
  proxy_hide_header Access-Control-Max-Age;
  proxy_hide_header Set-Cookie;
  proxy_hide_header Strict-Transport-Security;
  proxy_hide_header Alt-Svc;
  proxy_hide_header X-Request-Id;
  proxy_hide_header Access-Control-Allow-Private-Network;
  proxy_hide_header Clear-Site-Data;
  proxy_hide_header NEL;
  proxy_hide_header Upgrade;
  proxy_hide_header Proxy-Authenticate;

  server {{
    listen 127.0.0.1:{port} default_server;
    error_page 413 @too_large;
    location @too_large {{ return 413 "Payload exceeds the maximum allowed size of {body_limit} bytes\\n"; }}
    location / {{ return 404 "no such path\\n"; }}
    location = /sessions/v2/track {{
      if ($track_refused) {{ return 405; }}
      if ($request_method = OPTIONS) {{
        {preflight}
        return 204;
      }}
      {forwarding}
      proxy_set_header Host api-sr.amplitude.com;
      proxy_ssl_name api-sr.amplitude.com;
      proxy_pass https://track;
    }}
    location ~ ^/config(/[^/]*)?$ {{
      if ($config_refused) {{ return 405; }}
      if ($request_method = OPTIONS) {{
        {preflight}
        return 204;
      }}
      {forwarding}
      proxy_set_header Host sr-client-cfg.amplitude.com;
      proxy_ssl_name sr-client-cfg.amplitude.com;
      proxy_pass https://config;
    }}
  }}
}}
"""
# Repeated in every location: one proxy_set_header there switches off all that stand above it.
FORWARDING = """
      proxy_set_header Connection "";
      proxy_set_header Cookie "";
      proxy_set_header Forwarded "";
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Port "";
      proxy_set_header X-Forwarded-Server "";
      proxy_set_header X-Request-Id $id;
      proxy_set_header Keep-Alive "";
      proxy_set_header Trailer "";
      proxy_set_header Proxy-Connection "";
      proxy_set_header Proxy-Authorization "";
      proxy_set_header HTTP2-Settings "";
"""
PREFLIGHT = f"""
        add_header Access-Control-Allow-Origin $http_origin always;
        add_header Access-Control-Allow-Credentials $credentials always;
        add_header Access-Control-Allow-Methods "GET, HEAD, POST, OPTIONS" always;
        add_header Access-Control-Allow-Headers "{SDK_HEADERS}" always;
        add_header Access-Control-Max-Age 7200 always;
        add_header Vary "Origin, Access-Control-Request-Headers, Access-Control-Request-Method" always;
        add_header X-Request-Id $id always;
"""


class Nginx:
    """One nginx on a free loopback port, in front of the stand-in's US site over TLS."""

    def __init__(self, standin: Vendor) -> None:
        self._standin = standin
        self._folder = tempfile.TemporaryDirectory(prefix="nginx-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        program = shutil.which("nginx")
        assert program, "this suite compares with nginx, and nginx is not installed: apt-get install nginx-light"
        for _ in range(5):  # each loses only when another test took the port meanwhile
            self._start(program)
            if eventually(self._answer, 10.0, "nginx accepts connections or ends") == "serves":
                return self
        raise AssertionError(f"nginx did not start:\n{self.log_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"nginx's log:\n{self.log_text()[-4000:]}")
        if self._process:
            self._process.terminate()
            self._process.wait(10)
        self._folder.cleanup()

    def log_text(self) -> str:
        """The error log so far."""
        file = Path(self._folder.name, "error.log")
        return file.read_text(errors="replace") if file.exists() else ""

    def _start(self, program: str) -> None:
        self.port = free_port()
        folder = Path(self._folder.name)
        text = CONFIGURATION.format(
            folder=folder,
            port=self.port,
            body_limit=BODY_LIMIT,
            upstream=self._standin.ports["us-tls"],
            ca_file=self._standin.ca_file,
            forwarding=FORWARDING,
            preflight=PREFLIGHT,
            user="user root;" if os.geteuid() == 0 else "",
        )
        file = folder / "nginx.conf"
        file.write_text(text)
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answer(self) -> str:
        assert self._process is not None
        if self._process.poll() is not None:
            return "ended"
        with socket.socket() as probe:
            return "serves" if probe.connect_ex(("127.0.0.1", self.port)) == 0 else ""
