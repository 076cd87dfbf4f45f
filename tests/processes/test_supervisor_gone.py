"""Proves that workers don't outlive their supervisor, however it ended, and still finish what they have in hand."""

from __future__ import annotations

import signal

from tests.gateway import Gateway, eventually, free_port, is_alive
from tests.processes.client import Client, uploaded
from tests.standin import StandIn


def all_end(pids: list[int]) -> None:
    eventually(lambda: not any(map(is_alive, pids)), 30)


def test_workers_of_a_killed_supervisor_end(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2, clean=False) as gateway:
        workers = gateway.worker_pids()
        gateway.send_signal(signal.SIGKILL)
        all_end(workers)


def test_a_request_in_hand_is_finished_all_the_same(vendor: StandIn) -> None:
    with Gateway(standin=vendor, clean=False) as gateway, Client(gateway.port) as client:
        client.begin(b"0123456789", 5)
        eventually(lambda: gateway.metric("replay_gateway_exchanges") == 1)
        workers = gateway.worker_pids()
        gateway.send_signal(signal.SIGKILL)
        eventually(lambda: "draining" in gateway.log_text())
        client.send(b"56789")
        assert client.answer() == (200, '{"code":200}')
        all_end(workers)


def test_the_addresses_are_free_for_the_next_gateway(vendor: StandIn) -> None:
    config = {"listen": [{"address": f"127.0.0.1:{free_port()}"}]}
    with Gateway(config, standin=vendor, workers=2, clean=False) as gateway:
        workers = gateway.worker_pids()
        gateway.send_signal(signal.SIGKILL)
        all_end(workers)
        with Gateway(gateway.config, standin=vendor) as successor:
            uploaded(successor.port)


def test_workers_of_a_supervisor_killed_while_it_starts_end(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2, ready=False, clean=False) as gateway:
        workers = eventually(lambda: len(found := gateway.worker_pids()) == 2 and found, 60)
        gateway.send_signal(signal.SIGKILL)
        all_end(workers)
