"""CPU time per request of the gateway beside a tuned nginx: a first look, run by hand.

Both proxies run with one worker on plain HTTP in front of one TLS upstream (nginx answering 200 from
memory), and take turns (A B A B …) under wrk with the SDK's real header fields and random bodies. What is
compared is the CPU time (user + system) that the operating system charged to all processes of
each proxy, divided by the requests answered: the steadiest figure on a machine that others use too.

    .venv/bin/python nginx-compare/cpu_per_request.py [--rounds 5] [--seconds 3] [--sizes 512,2048,10240,51200,204800]

Needs nginx and wrk (Debian packages nginx-light, wrk). It knows the gateway only as a process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import trustme

CONNECTIONS = 32
TRACK_HOST = "api-sr.amplitude.com"
CONFIG_HOST = "sr-client-cfg.amplitude.com"
TICK = os.sysconf("SC_CLK_TCK")

UPSTREAM = """
daemon off; worker_processes 1; pid {dir}/upstream.pid; error_log {dir}/upstream.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; client_max_body_size 64m; client_body_buffer_size 2m;
  client_body_temp_path {dir}/u1; proxy_temp_path {dir}/u2; fastcgi_temp_path {dir}/u3; uwsgi_temp_path {dir}/u4; scgi_temp_path {dir}/u5;
  server {{
    listen 127.0.0.1:{upstream} ssl; ssl_certificate {dir}/chain.pem; ssl_certificate_key {dir}/key.pem; ssl_protocols TLSv1.3;
    default_type application/json;
    location / {{ proxy_pass http://127.0.0.1:{sink}; proxy_http_version 1.1; }}  # reads the body whole before it answers
  }}
  server {{
    listen 127.0.0.1:{sink}; default_type application/json;
    location / {{ return 200 '{{"code":200}}'; }}
  }}
}}
"""

TUNED = """
daemon off; worker_processes 1; pid {dir}/tuned.pid; error_log {dir}/tuned.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; client_max_body_size 16m;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  upstream track {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{nginx};
    location = /sessions/v2/track {{
      if ($request_method = OPTIONS) {{
        add_header Access-Control-Allow-Origin $http_origin always;
        add_header Access-Control-Allow-Credentials true always;
        add_header Access-Control-Allow-Methods "POST, OPTIONS" always;
        add_header Access-Control-Allow-Headers $http_access_control_request_headers always;
        add_header Access-Control-Max-Age 7200 always;
        add_header Vary Origin always;
        return 204;
      }}
      proxy_pass https://track; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
      proxy_ssl_server_name on; proxy_ssl_name {track_host}; proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/ca.pem;
      proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_set_header Host {track_host}; proxy_set_header Cookie "";
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id;
      proxy_hide_header Access-Control-Allow-Origin; proxy_hide_header Set-Cookie;
      add_header Access-Control-Allow-Origin $http_origin always; add_header Access-Control-Allow-Credentials true always;
      add_header Access-Control-Expose-Headers "X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id" always;
      add_header Vary Origin always; add_header X-Request-Id $request_id always;
    }}
  }}
}}
"""

GATEWAY = """
listen: {{address: "127.0.0.1:{gateway}"}}
admin: {{address: "127.0.0.1:{admin}"}}
workers: 1
upstreams:
  us:
    track: {{url: "https://{track_host}/sessions/v2/track", connect: "127.0.0.1:{upstream}", ca_file: {dir}/ca.pem}}
    config: {{url: "https://{config_host}/config", connect: "127.0.0.1:{upstream}", ca_file: {dir}/ca.pem}}
"""

# The fields of a real upload by Chromium, in its order.
SCRIPT = """
local f = io.open("{body}", "rb"); local body = f and f:read("*a") or nil; if f then f:close() end
wrk.method = "{method}"
wrk.path = "/sessions/v2/track?device_id=5f3c&session_id=1795239913738&type=replay"
wrk.headers["Origin"] = "https://app.example.com"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
wrk.headers["Accept"] = "*/*"
wrk.headers["Sec-Fetch-Site"] = "same-site"
wrk.headers["Sec-Fetch-Mode"] = "cors"
wrk.headers["Sec-Fetch-Dest"] = "empty"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Accept-Language"] = "en-US,en;q=0.9"
if wrk.method == "POST" then
  wrk.body = body
  wrk.headers["Authorization"] = "Bearer 0123456789abcdef0123456789abcdef"
  wrk.headers["Content-Encoding"] = "gzip"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Client-Version"] = "1.50.2"
  wrk.headers["X-Client-Library"] = "standalone/1.50.2"
  wrk.headers["X-Client-Url"] = "https://app.example.com/orders/42?tab=items"
  wrk.headers["X-Client-Sample-Rate"] = "1"
  wrk.headers["X-Sampling-Hash-Alg"] = "xxhash32"
else
  wrk.headers["Access-Control-Request-Method"] = "POST"
  wrk.headers["Access-Control-Request-Headers"] = "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,x-client-version,x-sampling-hash-alg"
end
done = function(summary)
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def process_tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(more for child in children for more in process_tree(int(child)))]


def cpu_seconds(pid: int) -> float:
    total = 0
    for member in process_tree(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


@contextlib.contextmanager
def running(argv: list[str], port: int, log: Path) -> Iterator[int]:
    with log.open("wb") as sink:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        for _ in range(200):
            if process.poll() is not None:
                raise SystemExit(f"{argv[0]} ended: {log.read_text()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def load(port: int, script: Path, seconds: int) -> int:
    argv = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}/"]
    output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    requests, bad, broken = map(int, output.rpartition("RESULT")[2].split())
    if bad or broken or not requests:
        raise SystemExit(f"not a clean run: {requests} requests, {bad} bad answers, {broken} errors")
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--sizes", default="512,2048,10240,51200,204800")
    options = parser.parse_args()
    missing = [name for name in ("nginx", "wrk") if not shutil.which(name)]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; apt-get install nginx-light wrk")
    with tempfile.TemporaryDirectory(prefix="cpu-per-request-") as folder:
        compare(Path(folder), options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    ports = {name: free_port() for name in ("upstream", "sink", "nginx", "gateway", "admin")}
    words = {"dir": str(folder), "track_host": TRACK_HOST, "config_host": CONFIG_HOST, **ports}
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf = authority.issue_cert(TRACK_HOST, CONFIG_HOST)
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(folder / "chain.pem"), append=True)
    for name, text in (("upstream.conf", UPSTREAM), ("tuned.conf", TUNED), ("gateway.yaml", GATEWAY)):
        (folder / name).write_text(text.format(**words))
    nginx = shutil.which("nginx") or "nginx"
    with contextlib.ExitStack() as stack:
        run = lambda argv, name: stack.enter_context(running(argv, ports[name], folder / f"{name}.log"))  # noqa: E731
        run([nginx, "-p", str(folder), "-c", str(folder / "upstream.conf")], "upstream")
        systems = {
            "nginx": run([nginx, "-p", str(folder), "-c", str(folder / "tuned.conf")], "nginx"),
            "gateway": run([sys.executable, "-m", "proxy", "run", "--config", str(folder / "gateway.yaml")], "gateway"),
        }
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{ports['admin']}/health/ready", timeout=1).close()
                break
            time.sleep(0.1)
        print(f"{'case':>12} {'nginx µs':>18} {'gateway µs':>18} {'ratio':>6}")
        for case in ["preflight", *options.sizes.split(",")]:
            body = folder / "body"
            body.write_bytes(b"" if case == "preflight" else os.urandom(int(case)))
            script = folder / "load.lua"
            method = "OPTIONS" if case == "preflight" else "POST"
            script.write_text(SCRIPT.format(body=body, method=method))
            figures: dict[str, list[float]] = {name: [] for name in systems}
            for round_number in range(options.rounds + 1):
                for name, pid in systems.items():
                    before = cpu_seconds(pid)
                    requests = load(ports[name], script, options.seconds)
                    if round_number:  # the first is a warm-up
                        figures[name].append((cpu_seconds(pid) - before) / requests * 1e6)
            medians = {name: statistics.median(values) for name, values in figures.items()}
            cells = [f"{medians[n]:7.1f} ({min(v):.0f} to {max(v):.0f})" for n, v in figures.items()]
            print(f"{case:>12} {cells[0]:>18} {cells[1]:>18} {medians['gateway'] / medians['nginx']:6.2f}", flush=True)


if __name__ == "__main__":
    main()
