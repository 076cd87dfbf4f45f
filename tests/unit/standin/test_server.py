"""Proves how the process starts, what it says, and that it ends when it should and never lingers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standin import ROOT, StandIn, StandInError
from tests.unit.standin.client import Client, request, upload

COMMAND = [sys.executable, "-m", "proxy.standin", "--quiet", "--no-tls"]
PATIENCE = 30


def start(*arguments: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)


def test_one_line_tells_where_it_serves() -> None:
    with StandIn("--quiet") as vendor:
        assert list(vendor.ports) == ["us", "eu", "us-tls", "eu-tls"]
        assert vendor.control.startswith("http://127.0.0.1:")
        assert vendor.ca_file.is_file()
        assert vendor.pid > 0
    assert not vendor.ca_file.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_but_the_line_said(number: signal.Signals) -> None:
    with start() as process:
        assert process.stdout is not None
        places = json.loads(process.stdout.readline())
        assert places.keys() == {"control", "us", "eu", "pid"}
        with socket.create_connection(("127.0.0.1", int(places["us"].split(":")[1]))) as sock:
            sock.sendall(request(b"/config/key?standin=hang"))
            process.send_signal(number)
            output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output, errors) == (0, b"", b"")


def test_the_end_of_stdin_ends_it_when_asked_for() -> None:
    with start("--until-stdin-closes") as process:
        assert process.stdout is not None
        process.stdout.readline()
        output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output, errors) == (0, b"", b"")


def test_named_listeners_replace_the_default_ones() -> None:
    with StandIn("--quiet", "--no-tls", "--listen", "mars=127.0.0.1:0") as vendor:
        assert list(vendor.ports) == ["mars"]
        with Client(vendor, "mars") as client:
            assert b'"region":"mars"' in client.ask(request()).body


def test_a_port_that_is_taken_is_a_failure_that_says_so(vendor: StandIn) -> None:
    with pytest.raises(StandInError, match="in use"):
        StandIn("--no-tls", "--listen", f"us=127.0.0.1:{vendor.ports['us']}").__enter__()


def test_a_certificate_that_does_not_exist_is_a_failure_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StandInError, match="there are server, wrong-name, expired"):
        StandIn("--tls", "us-tls=127.0.0.1:0,certificate=nobody", "--tls-dir", str(tmp_path)).__enter__()


@pytest.mark.parametrize(
    "argument", ["--listen=us", "--listen=us=here", "--tls=us=127.0.0.1:0,key=x", "--control=127.0.0.1:99999"]
)
def test_wrong_usage_is_exit_code_2(argument: str) -> None:
    with start(argument) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert b"is not" in errors


def test_each_request_is_a_line_for_people_without_the_key() -> None:
    with StandIn("--no-tls") as vendor:
        with Client(vendor) as client:
            client.ask(upload(b"12345", b"?api_key=secret"))
            client.ask(request(fields=b"TE: trailers\r\n"))
            client.send(upload(b"12345")[:-1])
        vendor.wait_for(3)
    assert vendor.errors().splitlines() == [
        "us #1 POST /sessions/v2/track 5 bytes: 200",
        "us #2 GET /config/key 0 bytes: 200; hop_by_hop: te b'trailers'",
        "us #3 POST /sessions/v2/track 4 bytes: no answer, incomplete",
    ]


def test_records_are_bounded_as_asked_for() -> None:
    with StandIn("--quiet", "--no-tls", "--records", "2") as vendor:
        with Client(vendor) as client:
            for _ in range(5):
                client.ask(request())
        assert [record["seq"] for record in vendor.wait_for(5)] == [4, 5]
        assert vendor.counts()["us"]["complete"] == 5


def test_without_the_gzip_check_any_body_will_do() -> None:
    with StandIn("--quiet", "--no-tls", "--no-check") as vendor, Client(vendor) as client:
        assert client.ask(upload(b"plain", fields=b"Content-Encoding: gzip\r\n")).status == 200
