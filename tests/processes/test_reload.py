"""Proves that a running gateway takes over a changed configuration, by SIGHUP and by the command, without losing a
request or a connection; that what is wrong or needs a restart changes nothing; and that certificates are read anew."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.gateway import COMMAND, Gateway, eventually, merged
from tests.processes.client import Client, uploaded
from tests.standin import StandIn

OK = (200, '{"code":200}')
SMALL = {"limits": {"body": 4}}


def write(gateway: Gateway, changed: dict[str, Any]) -> None:
    """Change the configuration file of a gateway."""
    gateway.config_file.write_text(json.dumps(merged(gateway.config, changed)))


def reload(gateway: Gateway, changed: dict[str, Any]) -> tuple[int, str]:
    """Change it and run the command: its exit code, and what it printed."""
    write(gateway, changed)
    command = [str(COMMAND), "reload", "--config", str(gateway.config_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def results(gateway: Gateway) -> dict[str, int]:
    names = ("applied", "problems", "restart_needed", "failed")
    return {name: int(gateway.metric("replay_gateway_reloads_total", result=name)) for name in names}


def test_the_command_applies_what_changed_and_every_worker_has_it(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway, Client(gateway.port) as client:
        assert client.upload(b"abcdef") == OK
        assert reload(gateway, SMALL) == (0, "applied; changed:\n  limits.body\n")
        assert client.upload(b"abcd") == OK
        for _ in range(20):
            with Client(gateway.port) as other:
                assert other.upload(b"abcdef")[0] == 413
        assert client.upload(b"abcdef")[0] == 413
        assert results(gateway) == {"applied": 1, "problems": 0, "restart_needed": 0, "failed": 0}
        assert gateway.metric("replay_gateway_worker_restarts_total") == 0
        (pid, _) = gateway.worker_pids()
        os.kill(pid, signal.SIGKILL)  # its successor begins with the settings of now
        eventually(lambda: len(gateway.worker_pids()) == 2 and pid not in gateway.worker_pids())
        eventually(lambda: gateway.metric("replay_gateway_workers_ready") == 2)
        for _ in range(20):
            with Client(gateway.port) as other:
                assert other.upload(b"abcdef")[0] == 413


def test_a_hang_up_does_the_same_and_what_is_in_hand_is_finished(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        client.begin(b"0123456789", 5)
        eventually(lambda: gateway.metric("replay_gateway_exchanges") >= 1)
        write(gateway, SMALL)
        gateway.send_signal(signal.SIGHUP)
        eventually(lambda: results(gateway)["applied"] == 1)
        client.send(b"56789")
        assert client.answer() == OK
        assert client.upload(b"0123456789")[0] == 413


def test_what_is_wrong_or_needs_a_restart_is_named_and_nothing_is_changed(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        began = gateway.metric("replay_gateway_config_last_reload_success_timestamp_seconds")
        assert began > 0
        code, text = reload(gateway, {"workers": 2, **SMALL})
        assert (code, text) == (2, "nothing was changed; these need a restart:\n  workers\n")
        assert client.upload(b"abcdef") == OK
        write(gateway, {"limits": {"body": "-1"}})
        gateway.send_signal(signal.SIGHUP)
        eventually(lambda: results(gateway)["problems"] == 1)
        assert client.upload(b"abcdef") == OK
        assert gateway.metric("replay_gateway_config_last_reload_successful") == 0
        assert gateway.metric("replay_gateway_config_last_reload_success_timestamp_seconds") == began
        (line,) = [each for each in gateway.log_lines("log") if "reload: problems" in each["message"]]
        assert "limits.body" in line["message"]
        missing = {"upstreams": {"us": {"track": {"ca_file": "/nowhere/ca.pem"}}}}
        assert "can't read /nowhere/ca.pem" in reload(gateway, missing)[1]
        assert reload(gateway, {})[0] == 0
        assert gateway.metric("replay_gateway_config_last_reload_successful") == 1


def test_under_load_no_request_and_no_connection_is_lost(vendor: StandIn) -> None:
    """Each client keeps its connection, so one that is closed or reset is noticed, and each upload is answered 200."""
    stop = threading.Event()
    served, broken = [0] * 6, list[str]()

    def load(number: int, port: int) -> None:
        try:
            with Client(port) as client:
                while not stop.is_set():
                    assert client.upload(b"0123456789" * (1 + served[number] % 900)) == OK
                    served[number] += 1
        except Exception as error:
            broken.append(repr(error))

    with Gateway({"limits": {"requests_per_connection": 1_000_000}}, standin=vendor, workers=2) as gateway:
        threads = [threading.Thread(target=load, args=(number, gateway.port)) for number in range(len(served))]
        for thread in threads:
            thread.start()
        for number in range(5):
            before = sum(served)
            eventually(lambda before=before: sum(served) > before + 60 or broken, 60)  # type: ignore[misc]
            write(gateway, {"limits": {"body": f"{number + 1}MiB"}})
            gateway.send_signal(signal.SIGHUP)
            eventually(lambda number=number: results(gateway)["applied"] == number + 1)  # type: ignore[misc]
        stop.set()
        for thread in threads:
            thread.join(30)
        assert broken == []
        # A request is counted a moment after its answer was sent.
        eventually(lambda: gateway.metric("replay_gateway_requests_total", outcome="delivered") >= sum(served))
        assert gateway.metric("replay_gateway_requests_total", outcome="delivered") == sum(served)
        eventually(lambda: gateway.metric("replay_gateway_connections") == 0)
    counts = vendor.counts()
    assert sum(site["complete"] for site in counts.values()) == sum(served)


def serial(port: int, authority: ssl.SSLContext) -> int:
    """The number of the certificate that a TLS listener shows."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with authority.wrap_socket(plain, server_hostname="localhost") as secured:
        found = secured.getpeercert()
        assert found
        return int(str(found["serialNumber"]), 16)


def test_a_renewed_certificate_is_shown_to_whoever_comes_next(vendor: StandIn, tmp_path: Path) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"

    def renew() -> None:
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(key)
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    renew()
    with Gateway(standin=vendor) as gateway:
        plain, secured = gateway.config["listen"]
        listen = [plain, {**secured, "tls": {"certificate": str(certificate), "key": str(key)}}]
        assert reload(gateway, {"listen": listen})[0] == 0
        first = serial(gateway.tls_port, trusting)
        renew()
        assert serial(gateway.tls_port, trusting) == first
        nothing = "applied; nothing had changed, certificates and files were read again\n"
        assert reload(gateway, {"listen": listen}) == (0, nothing)
        second = serial(gateway.tls_port, trusting)
        assert second != first
        shutil.copy(certificate, key)  # no key any more
        code, text = reload(gateway, {"listen": listen})
        assert code == 2
        assert "can't be used" in text
        assert serial(gateway.tls_port, trusting) == second


@pytest.mark.parametrize("changed", [{"admin": None}, {"archive": {"store": "directory"}}])
def test_what_can_not_be_reached_any_more_is_no_reload(vendor: StandIn, changed: dict[str, Any]) -> None:
    with Gateway(standin=vendor) as gateway:
        write(gateway, changed)
        gateway.send_signal(signal.SIGHUP)
        eventually(lambda: results(gateway)["restart_needed"] == 1)
        uploaded(gateway.port)
