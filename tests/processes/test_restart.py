"""Proves that a worker which dies is replaced, and that neither counters nor waiting connections die with it."""

from __future__ import annotations

import os
import signal

from tests.gateway import Gateway, eventually
from tests.processes.client import Client, uploaded
from tests.standin import StandIn

DELIVERED = 'replay_gateway_requests_total{outcome="delivered",route="track"}'
RESTARTS = "replay_gateway_worker_restarts_total"
STARTS = "replay_gateway_worker_starts_total"


def kill(gateway: Gateway, number: int = signal.SIGKILL) -> int:
    """Signal one worker; its process id."""
    pid = gateway.worker_pids()[0]
    os.kill(pid, number)
    return pid


def has_started(gateway: Gateway, starts: int) -> bool:
    """Whether workers have begun to serve `starts` times in all, and all of them are ready."""
    seen = gateway.metrics()
    return seen[STARTS] == starts and seen["replay_gateway_workers_ready"] == seen["replay_gateway_workers"]


def replace(gateway: Gateway) -> None:
    """Kill a worker and wait for its successor."""
    starts = gateway.metric(STARTS)
    kill(gateway)
    eventually(lambda: has_started(gateway, int(starts) + 1), 60)


def test_a_killed_worker_is_replaced_and_counted(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        replace(gateway)
        assert gateway.metric(RESTARTS) == 1
        assert gateway.health("ready")[0] == 200
        uploaded(gateway.port, 8)
        assert "was killed by SIGKILL" in gateway.log_text()


def test_counters_do_not_go_backwards_when_a_worker_is_killed(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        seen = []
        for _ in range(3):
            uploaded(gateway.port, 5)
            replace(gateway)
            seen.append(gateway.metrics()[DELIVERED])
        assert seen == [5, 10, 15]
        assert gateway.metric("replay_gateway_received_body_bytes_total", route="track") == 30


def test_every_counter_of_a_scrape_is_at_least_that_of_the_scrape_before(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        uploaded(gateway.port, 10)
        before = gateway.metrics()
        replace(gateway)
        after = gateway.metrics()
        counted = [name for name in before if "_total" in name or "_bucket" in name or "_sum" in name]
        assert all(after[name] >= before[name] for name in counted)


def test_gauges_of_a_killed_worker_are_forgotten(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        client.upload()
        eventually(lambda: gateway.metric("replay_gateway_connections") == 1)
        replace(gateway)
        eventually(lambda: gateway.metric("replay_gateway_connections") == 0)


def test_connections_that_wait_for_a_worker_are_answered_by_its_successor(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        pid = kill(gateway, signal.SIGSTOP)  # it accepts nothing any more; the kernel still does
        clients = [Client(gateway.port).__enter__() for _ in range(5)]
        for client in clients:
            client.begin(b"{}", 2)
        os.kill(pid, signal.SIGKILL)
        assert [client.answer() for client in clients] == [(200, '{"code":200}')] * 5
        for client in clients:
            client.__exit__()


def test_while_the_only_worker_is_away_the_gateway_is_alive_but_not_ready(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        seen = set()
        kill(gateway)

        def back() -> bool:
            seen.add(gateway.health("ready"))
            assert gateway.health("live")[0] == 200
            return has_started(gateway, 2)

        eventually(back, 60)
        assert seen <= {(200, "ready\n"), (503, "no worker is ready\n")}


def test_one_of_two_away_leaves_the_gateway_ready(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        kill(gateway)
        states = set()

        def back() -> bool:
            states.add(gateway.health("ready")[0])
            return has_started(gateway, 3)

        eventually(back, 60)
        assert states == {200}


def test_a_worker_that_is_told_to_end_finishes_its_request_and_is_replaced(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        client.begin(b"0123456789", 5)
        eventually(lambda: gateway.metric("replay_gateway_exchanges") == 1)
        kill(gateway, signal.SIGTERM)
        eventually(lambda: "draining" in gateway.log_text())
        client.send(b"56789")
        assert client.answer() == (200, '{"code":200}')
        eventually(lambda: has_started(gateway, 2), 60)
        uploaded(gateway.port)
        assert gateway.metric(RESTARTS) == 1


def test_a_worker_does_not_end_by_an_interrupt_or_a_hang_up(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        (pid,) = gateway.worker_pids()
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
        uploaded(gateway.port, 3)
        assert gateway.worker_pids() == [pid]


def test_a_worker_that_keeps_dying_is_restarted_with_growing_pauses(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        for _ in range(3):
            replace(gateway)
        pauses = [
            line["message"].split(" in ")[-1] for line in gateway.log_lines("log") if "another" in line["message"]
        ]
        assert len(pauses) == 3
        assert pauses[0] == "0.0 s"
        uploaded(gateway.port)
