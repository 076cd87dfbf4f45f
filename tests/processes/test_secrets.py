"""Proves that what identifies a visitor, a page or a project is in no output of the gateway: marked secrets go in by
every way there is, by requests that succeed, fail and are refused, and are looked for in everything that comes out. It
runs in Python's development mode, which says more; a worker crashes, which says more still, and may leave no core."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import COMMAND, Gateway, eventually
from tests.standin import StandIn

KEY, DEVICE, SESSION, TOKEN, PAGE, COOKIE, ALLOWED, SENT = (
    f"mark{name}cafe0123456789" for name in ("Key", "Device", "Session", "Token", "Page", "Cookie", "Allowed", "Sent")
)
# What is never kept either; the archive has the rest, since it is what it is for.
NEVER_KEPT = (KEY, TOKEN, COOKIE, ALLOWED, SENT)
MARKS = (KEY, DEVICE, SESSION, TOKEN, PAGE, COOKIE, ALLOWED, SENT)
FIELDS = (
    f"Authorization: Bearer {KEY}\r\nX-Client-Url: https://app.example.com/{PAGE}?q={PAGE}\r\nX-Token: {TOKEN}\r\n"
    f"Cookie: id={COOKIE}\r\nReferer: https://app.example.com/{PAGE}\r\nOrigin: https://app.example.com\r\n"
)
QUERY = f"device_id={DEVICE}&session_id={SESSION}&api_key={KEY}&type=replay"
BODY = json.dumps({"device_id": DEVICE, "session_id": SESSION, "events": [PAGE]})


def request(line: str, fields: str = FIELDS, body: str = "") -> bytes:
    return f"{line} HTTP/1.1\r\nHost: {PAGE}.example\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}".encode()


UPLOAD = request(f"POST /sessions/v2/track?{QUERY}", body=BODY)
CONFIG = request(f"GET /config/{ALLOWED}?{QUERY}")
# Refused for as many reasons as there are steps: framing, head, method, path, key, preflight, body.
REFUSED = (
    request(f"POST /{PAGE}/{KEY}?{QUERY}", body=BODY),
    request(f"PUT /sessions/v2/track?{QUERY}", body=BODY),
    request(f"POST /sessions/v2/track?{QUERY}&device_id={DEVICE}", f"Authorization: Bearer {TOKEN}\r\n", BODY),
    request(f"GET /config/{KEY}x?{QUERY}"),
    f"POST /sessions/v2/track?{QUERY} HTTP/1.1\r\nHost: a\r\n{FIELDS}Content-Length: {KEY}\r\n\r\n{BODY}".encode(),
    f"POST /sessions/v2/track?{QUERY} HTTP/1.1\r\nHost: a\r\n{FIELDS}X-{DEVICE}\r\n\r\n".encode(),
    f"POST /sessions/v2/track?{QUERY} HTTP/9.{KEY}\r\nHost: a\r\n{FIELDS}\r\n".encode(),
    f"POST /sessions/v2/track?{QUERY}&p={'x' * 9000} HTTP/1.1\r\nHost: a\r\n{FIELDS}\r\n".encode(),
    f"POST /sessions/v2/track?{QUERY} HTTP/1.1\r\nHost: a\r\n{FIELDS}Transfer-Encoding: chunked\r\n\r\n{KEY}".encode(),
    f"POST /sessions/v2/track?{QUERY} HTTP/1.1\r\nHost: a\r\n{FIELDS}Content-Length: 99999999999\r\n\r\n".encode(),
    f"OPTIONS /sessions/v2/track?{QUERY} HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\n"
    f"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-unknown\r\n\r\n".encode(),
)
VENDOR_FAULTS: tuple[dict[str, Any], ...] = (
    {"action": "reset_after_head"},
    {"action": "close_before_answer"},
    {"action": "hang"},
)


def asked(port: int, data: bytes) -> str:
    """What the gateway answers to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b"")).decode("latin-1")


def commands(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """What the commands print that can be asked about a running gateway."""
    for arguments in (
        ["check"],
        ["check", "--json"],
        ["reload"],
        ["reload", "--json"],
        ["archive", "status"],
        ["archive", "status", "--json"],
        ["archive", "doctor", "--json"],
        ["doctor"],
        ["doctor", "--json"],
        ["doctor", "--json", "--url", gateway.url, "--api-key", KEY],
    ):
        command = [str(COMMAND), *arguments, "--config", str(gateway.config_file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        yield " ".join(arguments), done.stdout + done.stderr


def of_processes(gateway: Gateway) -> Iterator[tuple[str, str]]:
    """What everybody on the machine can read of them."""
    for pid in (gateway.pid, *gateway.worker_pids(), *gateway.archiver_pids()):
        yield f"arguments of {pid}", Path(f"/proc/{pid}/cmdline").read_text()


@pytest.fixture
def gateway(vendor: StandIn, tmp_path: Path) -> Iterator[Gateway]:
    config = {
        "log": {"access": "all", "level": "debug"},
        "keys": {"allow": [ALLOWED, KEY]},
        "region": {"api_keys": {ALLOWED: "eu", KEY: "eu"}},
        "headers": {"upstream": {"set": {"X-Sent": SENT}}},
        "timeouts": {"track_total": "2s", "first_byte": "1s"},
        "archive": {
            "directory": str(tmp_path / "archive"),
            "codec": "none",
            "spool": {"directory": str(tmp_path / "spool"), "min_free_bytes": 0},
        },
    }
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # as where cores are wanted
    try:
        with Gateway(config, standin=vendor, env={"PYTHONDEVMODE": "1"}) as running:
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def core_limits(gateway: Gateway) -> set[tuple[str, ...]]:
    """The soft and the hard limit of core dumps of each process, in bytes."""
    pids = (gateway.pid, *gateway.worker_pids(), *gateway.archiver_pids())
    limits = "\n".join(Path(f"/proc/{pid}/limits").read_text() for pid in pids)
    found = re.findall(r"^Max core file size +(\w+) +(\w+)", limits, re.MULTILINE)
    assert len(found) == len(pids) >= 3
    return set(found)


def crash_a_worker(gateway: Gateway) -> None:
    """Have a worker end as by a fault in machine code, and wait for the next one."""
    starts = gateway.metric("replay_gateway_worker_starts_total")
    os.kill(gateway.worker_pids()[0], signal.SIGABRT)
    eventually(lambda: gateway.metric("replay_gateway_worker_starts_total") == starts + 1, 60)


def test_no_output_has_any_of_them(gateway: Gateway, vendor: StandIn, tmp_path: Path) -> None:
    outputs: dict[str, str] = {}
    assert " 200 " in asked(gateway.port, UPLOAD)
    assert " 200 " in asked(gateway.port, CONFIG)
    for number, data in enumerate(REFUSED):
        outputs[f"answer to refused request {number}"] = asked(gateway.port, data)
        asked(int(gateway.admin.rpartition(":")[2]), data)  # the answer is the library's, the log is ours
    for fault in VENDOR_FAULTS:
        vendor.behave(fault)
        outputs[f"answer after {fault}"] = asked(gateway.port, UPLOAD) + asked(gateway.port, CONFIG)
    vendor.behave()
    outputs.update(commands(gateway))
    outputs.update(of_processes(gateway))
    broken = gateway.config_file.read_text().replace(f'"{SENT}"', f'"{SENT}\\n"')  # no value of a field line
    assert broken != gateway.config_file.read_text()
    gateway.config_file.write_text(broken)
    gateway.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.metric("replay_gateway_reloads_total", result="problems") == 1)
    for path in ("/", "/status", "/metrics", "/health/ready", "/health/live", "/reload", f"/{KEY}?{QUERY}"):
        outputs[path] = gateway.get(path)[1]
    assert core_limits(gateway) == {("1", "1")}  # byte
    crash_a_worker(gateway)
    outputs["/metrics, OpenMetrics"] = gateway.get("/metrics", {"Accept": "application/openmetrics-text"})[1]
    gateway.stop()
    outputs["the log"] = gateway.log_text()
    assert "Fatal Python error: Aborted" in outputs["the log"]
    lines = gateway.log_lines("request")
    assert {line["outcome"] for line in lines} >= {"delivered", "rejected", "failed"}
    assert len(lines) >= len(REFUSED) + 2 * len(VENDOR_FAULTS) + 2
    stored = {path.name: path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()}
    assert any(DEVICE in text for text in stored.values())
    assert [(mark, name) for name, text in stored.items() for mark in NEVER_KEPT if mark.lower() in text.lower()] == []
    assert COOKIE not in json.dumps(vendor.requests())
    found = [(mark, where) for where, text in outputs.items() for mark in MARKS if mark.lower() in text.lower()]
    assert found == []
