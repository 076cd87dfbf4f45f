"""Proves that under a service manager which keeps the listening sockets nobody is refused while the gateway is
restarted or after it was killed, and that sockets which another configuration has no use for are given back."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import Gateway, eventually, free_port, is_alive, merged
from tests.processes.keeper import Keeper
from tests.standin import StandIn

REQUEST = b"GET /config?api_key=key HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\n\r\n"
CLIENTS = 24  # with two queues, one gets none in one of eight million runs
PATIENCE = 30.0


@pytest.fixture(scope="module")
def vendor() -> Iterator[StandIn]:
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    with Keeper(tmp_path) as running:
        yield running


def under(keeper: Keeper, vendor: StandIn, *, workers: int = 2, clean: bool = True) -> Gateway:
    return Gateway(standin=vendor, workers=workers, env=keeper.env, prefix=keeper.prefix, clean=clean)


def visitors(gateway: Gateway) -> list[socket.socket]:
    """Some that have connected and asked."""
    found = [socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) for _ in range(CLIENTS)]
    for each in found:
        each.sendall(REQUEST)
    return found


def statuses(waiting: list[socket.socket]) -> list[bytes]:
    """What they were answered."""
    found = []
    for each in waiting:
        with each, each.makefile("rb") as answer:
            found.append(answer.read().partition(b"\r\n")[0])
    return found


def states(keeper: Keeper) -> list[str]:
    """What it was told of the gateway's state."""
    return [line for line in keeper.told if line in ("READY=1", "STOPPING=1")]


def ended(gateway: Gateway) -> bool:
    return gateway.returncode is not None


def change(gateway: Gateway, changed: dict[str, object]) -> None:
    """Another configuration for the next start."""
    gateway.config_file.write_text(json.dumps(merged(gateway.config, changed)))


def test_who_connects_between_two_runs_waits_for_the_second(keeper: Keeper, vendor: StandIn) -> None:
    with under(keeper, vendor) as gateway:
        eventually(lambda: len(keeper.kept) == 4, PATIENCE, "two listeners' sockets of two workers are kept")
        names = set(keeper.kept)
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: ended(gateway), PATIENCE)
        waiting = visitors(gateway)
        gateway.start_again()
        assert statuses(waiting) == [b"HTTP/1.1 200 OK"] * CLIENTS
        assert set(keeper.kept) == names  # the same ones, and no more each time
    eventually(lambda: states(keeper) == ["READY=1", "STOPPING=1"] * 2, PATIENCE)


def test_who_connects_after_a_kill_waits_too(keeper: Keeper, vendor: StandIn) -> None:
    with under(keeper, vendor, clean=False) as gateway:
        workers = gateway.worker_pids()
        os.kill(gateway.pid, signal.SIGKILL)
        eventually(lambda: ended(gateway) and not any(map(is_alive, workers)), PATIENCE)
        waiting = visitors(gateway)
        gateway.start_again()
        assert statuses(waiting) == [b"HTTP/1.1 200 OK"] * CLIENTS
        gateway.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_another_number_of_workers_leaves_nobody_waiting(keeper: Keeper, vendor: StandIn, workers: int) -> None:
    with under(keeper, vendor) as gateway:
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: ended(gateway), PATIENCE)
        change(gateway, {"workers": workers})
        gateway.start_again()
        eventually(lambda: len(keeper.kept) == 2 * workers, PATIENCE)
        assert statuses(visitors(gateway)) == [b"HTTP/1.1 200 OK"] * CLIENTS


def test_an_address_that_is_in_the_way_is_given_back(keeper: Keeper, vendor: StandIn) -> None:
    with under(keeper, vendor) as gateway:
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: ended(gateway), PATIENCE)
        change(gateway, {"listen": [{"address": f"0.0.0.0:{gateway.port}"}]})
        gateway.start_again()
        eventually(lambda: len(keeper.kept) == 2, PATIENCE)
        assert statuses(visitors(gateway)) == [b"HTTP/1.1 200 OK"] * CLIENTS


def test_no_other_process_is_told_of_the_manager(keeper: Keeper, vendor: StandIn) -> None:
    with under(keeper, vendor) as gateway:
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: ended(gateway), PATIENCE)
        gateway.start_again()
        for pid in gateway.worker_pids():
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert not [name for name in (b"NOTIFY_SOCKET", b"LISTEN_PID", b"LISTEN_FDS") if name in environment]


def test_a_socket_of_systemds_own_is_taken(vendor: StandIn) -> None:
    address = f"127.0.0.1:{free_port()}"
    prefix = ("systemd-socket-activate", f"--listen={address}")
    settings = {"listen": [{"address": address}]}
    with Gateway(settings, standin=vendor, workers=2, prefix=prefix, ready=False) as gateway:
        # It waits for somebody before it starts the gateway.
        waiting = eventually(lambda: connected(gateway), PATIENCE)
        waiting.sendall(REQUEST)
        assert statuses([waiting]) == [b"HTTP/1.1 200 OK"]
        assert statuses(visitors(gateway)) == [b"HTTP/1.1 200 OK"] * CLIENTS


def connected(gateway: Gateway) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", gateway.port), PATIENCE)
    except ConnectionRefusedError:
        return None
