"""Proves that a gateway starts with all its workers or not at all, says what it is, and refuses what it can't have."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.gateway import ROOT, Gateway, eventually, free_port
from tests.processes.client import Client, uploaded
from tests.standin import StandIn


def test_it_starts_serves_and_ends(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        assert gateway.health("live") == (200, "alive\n")
        assert gateway.health("ready") == (200, "ready\n")
        assert len(gateway.worker_pids()) == 2
        uploaded(gateway.port, 3)
        assert gateway.metric("replay_gateway_requests_total", route="track", outcome="delivered") == 3
        assert gateway.metric("replay_gateway_workers_ready") == 2
        assert gateway.metric("replay_gateway_worker_starts_total") == 2
        workers = gateway.worker_pids()
    assert gateway.returncode == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_the_tls_listener_serves_and_counts_handshakes(vendor: StandIn) -> None:
    trusting = ssl.create_default_context(cafile=str(vendor.ca_file))
    with Gateway(standin=vendor) as gateway:
        with urllib.request.urlopen(gateway.tls_url + "/config/key", context=trusting) as answer:
            assert answer.status == 200
        assert gateway.metric("replay_gateway_tls_handshakes_begun_total") == 1


def test_it_is_alive_before_it_is_ready() -> None:
    with Gateway(workers=2, ready=False) as gateway:
        eventually(lambda: gateway.health("live")[0] == 200, 60)
        eventually(lambda: gateway.health("ready") == (200, "ready\n"), 60)


def test_connections_that_come_before_the_workers_are_ready_are_answered(vendor: StandIn) -> None:
    with Gateway(standin=vendor, ready=False) as gateway:
        eventually(lambda: gateway.health("live")[0] == 200, 60)
        uploaded(gateway.port)


def test_without_an_admin_server_it_serves_all_the_same(vendor: StandIn) -> None:
    with Gateway({"admin": None}, standin=vendor, ready=False) as gateway:
        eventually(lambda: "workers are ready" in gateway.log_text(), 60)
        uploaded(gateway.port)


def test_each_connection_goes_to_one_of_the_workers(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        makers = set()
        for _ in range(64):
            with Client(gateway.port) as client:
                client.upload()
                makers.add(client.request_id[:12])
        assert len(makers) == 2


def test_secrets_are_on_no_command_line(vendor: StandIn) -> None:
    config = {"headers": {"upstream": {"set": {"X-Proxy-Token": "s3cret-token"}}}}
    with Gateway(config, standin=vendor) as gateway:
        for pid in (gateway.pid, *gateway.worker_pids()):
            assert b"s3cret-token" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert "s3cret-token" not in gateway.log_text()


def test_each_request_is_one_line_in_the_access_log(vendor: StandIn) -> None:
    with Gateway({"log": {"access": "all"}}, standin=vendor) as gateway:
        uploaded(gateway.port, 2)
        lines = eventually(lambda: len(found := gateway.log_lines("request")) == 2 and found)
        assert [line["outcome"] for line in lines] == ["delivered", "delivered"]
        assert "device_id" not in gateway.log_text()
        assert "Bearer" not in gateway.log_text()


def test_the_last_lines_are_written_before_the_end(vendor: StandIn) -> None:
    with Gateway({"log": {"access": "all"}}, standin=vendor) as gateway:
        uploaded(gateway.port)
        gateway.stop()
        assert len(gateway.log_lines("request")) == 1


def refused(gateway: Gateway) -> str:
    """The log of a gateway that did not start because of what it was told."""
    assert gateway.wait() == 2
    assert "Traceback" not in gateway.log_text()
    return gateway.log_text()


def test_a_taken_port_ends_the_start_with_exit_code_2_and_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = {"listen": [{"address": f"127.0.0.1:{port}"}]}
        with Gateway(config, ready=False, clean=False) as gateway:
            text = refused(gateway)
    assert "listen[0].address" in text
    assert f"127.0.0.1:{port}" in text
    assert "already in use" in text


def test_a_taken_admin_port_ends_the_start_with_exit_code_2() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config = {"admin": {"address": f"127.0.0.1:{other.getsockname()[1]}"}}
        with Gateway(config, ready=False, clean=False) as gateway:
            assert "admin.address" in refused(gateway)


def test_a_second_gateway_with_the_same_addresses_is_refused_and_the_first_goes_on(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as first:
        with Gateway(first.config, ready=False, clean=False) as second:
            assert "already in use" in refused(second)
        uploaded(first.port, 8)


def test_a_certificate_that_is_not_there_ends_the_start_with_exit_code_2(tmp_path: Path) -> None:
    tls = {"certificate": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    config = {"listen": [{"address": f"127.0.0.1:{free_port()}", "tls": tls}]}
    with Gateway(config, ready=False, clean=False) as gateway:
        assert "none.pem" in refused(gateway)


def supervised(settings: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """The supervisor alone, without the command line's checks before it."""
    program = (
        "import json, sys\n"
        "from proxy.settings import Settings\n"
        "from proxy.supervisor import run\n"
        "sys.exit(run(Settings.model_validate(json.loads(sys.argv[1]))))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, json.dumps(settings)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_workers_that_cannot_start_end_the_gateway_with_exit_code_1_and_their_error(tmp_path: Path) -> None:
    url = "https://replay.example.com"
    upstream = {"url": f"{url}/track", "ca_file": str(tmp_path / "gone.pem")}
    ended = supervised(
        {
            "listen": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "workers": 2,
            "upstreams": {"us": {"track": upstream, "config": f"{url}/config"}},
        }
    )
    assert ended.returncode == 1
    last = json.loads(ended.stderr.splitlines()[-1])
    assert last["message"].startswith("the workers can't start: FileNotFoundError")


@pytest.mark.parametrize("listener", [{"address": "192.0.2.1:8080"}, {"address": "127.0.0.1:0", "tls": {}}])
def test_the_supervisor_itself_checks_what_it_needs(listener: dict[str, object], tmp_path: Path) -> None:
    if "tls" in listener:
        listener = {**listener, "tls": {"certificate": str(tmp_path / "a"), "key": str(tmp_path / "b")}}
    ended = supervised({"listen": [listener], "admin": None})
    assert ended.returncode == 2
    assert ended.stderr.startswith("listen[0]")
    assert "Traceback" not in ended.stderr


def test_a_limit_of_descriptors_that_is_too_low_is_told(vendor: StandIn) -> None:
    with Gateway({"limits": {"connections": 5_000_000}}, standin=vendor) as gateway:
        assert "LimitNOFILE" in gateway.log_text()


def test_a_worker_that_nobody_can_hear_ends(vendor: StandIn) -> None:
    """Started by hand with a channel whose other end is closed: it must neither serve nor stay."""
    ours, theirs = socket.socketpair()
    ours.close()
    ledger = os.memfd_create("ledger")
    os.ftruncate(ledger, 1 << 16)
    with theirs:
        command = [sys.executable, "-m", "proxy.worker", str(theirs.fileno()), "0", str(ledger)]
        ended = subprocess.run(command, cwd=ROOT, pass_fds=(theirs.fileno(), ledger), timeout=60, check=False)
    os.close(ledger)
    assert ended.returncode == 0


def test_an_interrupt_while_it_starts_ends_it(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2, ready=False) as gateway:
        eventually(lambda: gateway.health("live")[0] == 200, 60)
        assert gateway.stop(signal.SIGINT) == 0
