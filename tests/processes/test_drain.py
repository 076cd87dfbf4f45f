"""Proves that ending the gateway loses no request: those in hand are finished, those that wait are taken, and only the
drain limit or a second signal cuts anything."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.gateway import Gateway, eventually
from tests.processes.client import Client, uploaded
from tests.standin import StandIn

OK = (200, '{"code":200}')


def in_hand(gateway: Gateway, client: Client) -> None:
    """Half an upload that a worker has begun to carry."""
    client.begin(b"0123456789", 5)
    eventually(lambda: gateway.metric("replay_gateway_exchanges") >= 1)


def draining(gateway: Gateway) -> None:
    """Wait until a worker has stopped accepting."""
    eventually(lambda: any("draining" in line["message"] for line in gateway.log_lines("log")))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_hand_is_finished(vendor: StandIn, number: int) -> None:
    with Gateway(standin=vendor, workers=2) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        gateway.send_signal(number)
        draining(gateway)
        assert gateway.returncode is None
        client.send(b"56789")
        assert client.answer() == OK
        assert gateway.wait() == 0
    (seen,) = [each for each in vendor.requests() if each["method"] == "POST"]
    assert (seen["complete"], seen["body_length"]) == (True, 10)


def test_a_request_that_waits_for_the_vendor_is_finished(vendor: StandIn) -> None:
    vendor.behave({"match": {"method": "POST"}, "action": "delay", "seconds": 1.0})
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        client.begin(b"{}", 2)
        eventually(lambda: gateway.metric("replay_gateway_exchanges") == 1)
        gateway.send_signal()
        assert client.answer() == OK


def test_new_connections_are_refused_while_it_drains(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        gateway.send_signal()
        draining(gateway)
        with pytest.raises(ConnectionRefusedError):
            Client(gateway.port).__enter__()
        client.send(b"56789")
        assert client.answer() == OK


def test_an_idle_connection_is_closed_in_order(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        assert client.upload() == OK
        gateway.send_signal()
        assert client.is_closed_by_the_other_end()
        assert gateway.wait() == 0


def test_it_is_not_ready_but_alive_while_it_drains(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        gateway.send_signal()
        draining(gateway)
        assert gateway.health("ready") == (503, "draining: the gateway is shutting down\n")
        assert gateway.health("live")[0] == 200
        assert gateway.metric("replay_gateway_draining") == 1
        client.send(b"56789")
        assert client.answer() == OK


def test_in_the_lame_duck_time_it_is_not_ready_and_still_accepts(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"lame_duck": "3s"}}, standin=vendor) as gateway:
        gateway.send_signal()
        eventually(lambda: gateway.health("ready")[0] == 503)
        uploaded(gateway.port, 3)
        assert gateway.wait() == 0


def test_connections_in_the_accept_queue_are_taken_before_the_end(vendor: StandIn) -> None:
    with Gateway(standin=vendor) as gateway:
        (pid,) = gateway.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        clients = [Client(gateway.port).__enter__() for _ in range(5)]
        for client in clients:
            client.begin(b"{}", 2)
        gateway.send_signal()
        eventually(lambda: gateway.health("ready")[0] == 503)
        os.kill(pid, signal.SIGCONT)
        assert [client.answer() for client in clients] == [OK] * 5
        for client in clients:
            client.__exit__()
        assert gateway.wait() == 0


def test_under_a_stream_of_connections_each_is_served_or_refused_but_none_is_reset(vendor: StandIn) -> None:
    """Refused is told to the client at once and nothing of its request was taken; a reset is a request lost."""
    ends: list[str] = []

    def stream(port: int) -> None:
        while "refused" not in ends:
            try:
                with Client(port) as client:
                    ends.append("served" if client.upload() == OK else "wrong")
            except ConnectionRefusedError:
                ends.append("refused")
            except OSError as error:
                ends.append(type(error).__name__)

    with Gateway(standin=vendor, workers=2) as gateway:
        threads = [threading.Thread(target=stream, args=(gateway.port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(ends) > 200, 30)
        gateway.send_signal()
        for thread in threads:
            thread.join(30)
        assert gateway.wait() == 0
    assert set(ends) == {"served", "refused"}


def test_the_drain_limit_cuts_what_is_left_and_the_end_is_still_clean(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"drain": "300ms"}}, standin=vendor) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        assert gateway.stop() == 0
        assert "the drain limit is over; cut: 1 connections" in gateway.log_text()
    assert not [each for each in vendor.requests() if each["complete"]]


def test_a_second_signal_cuts_at_once(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"drain": "5m"}}, standin=vendor) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        gateway.send_signal()
        draining(gateway)
        assert gateway.returncode is None
        gateway.send_signal(signal.SIGINT)
        assert gateway.wait() == 0
        assert "SIGINT again" in gateway.log_text()


def test_a_second_signal_ends_the_lame_duck_time(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"lame_duck": "5m"}}, standin=vendor) as gateway:
        gateway.send_signal()
        eventually(lambda: gateway.health("ready")[0] == 503)
        gateway.send_signal()
        assert gateway.wait() == 0


def test_a_worker_that_does_not_end_is_killed_and_told(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"drain": "100ms"}}, standin=vendor, clean=False) as gateway:
        (pid,) = gateway.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        assert gateway.stop() == 1
        assert "worker 0 did not end well: it was killed by SIGKILL" in gateway.log_text()


def test_a_worker_killed_while_it_drains_is_not_replaced_and_told(vendor: StandIn) -> None:
    with Gateway(standin=vendor, clean=False) as gateway, Client(gateway.port) as client:
        in_hand(gateway, client)
        (pid,) = gateway.worker_pids()
        gateway.send_signal()
        draining(gateway)
        os.kill(pid, signal.SIGKILL)
        assert gateway.wait() == 1


def test_a_client_that_never_asks_does_not_hinder_the_end(vendor: StandIn) -> None:
    with Gateway({"timeouts": {"drain": "2s"}}, standin=vendor) as gateway, Client(gateway.port):
        assert gateway.stop() == 0
