"""The gateway is told to end with uploads in hand: what has begun is finished, new work goes elsewhere, and it ends."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.conformance.wire import NoAnswer
from tests.faults.traffic import QUIET, ask, assert_readable, client, sha256, upload, upload_head, uploads
from tests.gateway import Gateway, eventually
from tests.standin import StandIn


def refuses(gateway: Gateway) -> bool:
    """Whether nobody accepts connections any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", gateway.port)) != 0


@pytest.mark.parametrize("workers", [1, 2])
def test_uploads_in_hand_are_finished(vendor: StandIn, standin: StandIn, workers: int) -> None:
    bodies = [bytes([number]) * 100_000 for number in range(20)]
    with Gateway({**QUIET, "timeouts": {"drain": "20s"}}, standin=vendor, workers=workers) as gateway:
        connections = [client(gateway) for _ in bodies]
        for connection, body in zip(connections, bodies, strict=True):
            connection.send(upload_head(len(body)) + body[:50_000])
        eventually(lambda: gateway.metric("replay_gateway_exchanges") == len(bodies), what="all uploads are in hand")
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(gateway), what="no new connections")
        for connection, body in zip(connections, bodies, strict=True):
            connection.send(body[50_000:])
        for connection in connections:
            answer = connection.read(b"POST")
            assert_readable(answer, 200)
            assert not answer.keeps_alive
            assert connection.ending() == "closed"
            connection.socket.close()
        assert gateway.wait() == 0
    arrived = sorted(record["body_sha256"] for record in uploads(standin) if record["complete"])
    assert arrived == sorted(map(sha256, bodies))


def test_answers_that_the_upstream_is_still_thinking_about_are_waited_for(vendor: StandIn, standin: StandIn) -> None:
    with Gateway(QUIET, standin=vendor) as gateway, client(gateway) as connection:
        connection.send(upload(b"{}", "standin=delay:1"))
        eventually(lambda: uploads(standin), what="the upload is upstream")
        gateway.send_signal(signal.SIGTERM)
        assert_readable(connection.read(b"POST"), 200)
        assert gateway.wait() == 0


def test_an_answer_on_its_way_is_finished(vendor: StandIn, standin: StandIn) -> None:
    with Gateway(QUIET, standin=vendor) as gateway, client(gateway, receive_buffer=4096) as connection:
        connection.send(upload(b"{}", "standin=large:5000000"))
        assert connection.wait() in ("",)
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: refuses(gateway), what="no new connections")
        answer = connection.read(b"POST")
        assert (len(answer.body), answer.complete) == (5_000_000, True)
        assert gateway.wait() == 0


def test_idle_connections_are_closed_and_do_not_hold_it_up(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**QUIET, "timeouts": {"drain": "20s"}}, standin=vendor) as gateway:
        idle = [client(gateway) for _ in range(20)]
        for connection in idle:
            assert connection.ask(upload()).status == 200
        began = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        for connection in idle:
            assert connection.ending() == "closed"
            connection.socket.close()
        assert gateway.wait() == 0
        assert time.monotonic() - began < 10.0


def test_a_request_that_crosses_with_the_end_is_answered_or_not_begun(vendor: StandIn, standin: StandIn) -> None:
    """Clients that send all the time: every request is answered whole, or never reached the upstream."""
    with Gateway({**QUIET, "timeouts": {"drain": "20s"}}, standin=vendor, workers=2) as gateway:
        connections = [client(gateway) for _ in range(10)]
        answered, number, told = 0, 0, False
        while connections:
            connection = connections[number % len(connections)]
            body = b"%d" % number
            number += 1
            try:
                answer = connection.ask(upload(body))
            except NoAnswer:
                connections.remove(connection)
                connection.socket.close()
                continue
            assert_readable(answer, 200)
            answered += 1
            if not answer.keeps_alive:
                connections.remove(connection)
                connection.socket.close()
            if number == 50 and not told:
                told = True
                gateway.send_signal(signal.SIGTERM)
        assert gateway.wait() == 0
    complete = [record for record in uploads(standin) if record["complete"]]
    assert len(complete) == answered


def test_readiness_is_gone_at_once_and_requests_are_still_taken_in_the_lame_duck_time(
    vendor: StandIn, standin: StandIn
) -> None:
    with Gateway({**QUIET, "timeouts": {"lame_duck": "1s"}}, standin=vendor) as gateway:
        gateway.send_signal(signal.SIGTERM)
        eventually(lambda: gateway.health("ready")[0] == 503, what="not ready any more")
        assert_readable(ask(gateway, upload()), 200)
        assert gateway.wait() == 0


def test_what_takes_longer_than_the_limit_is_told_so_and_cut(vendor: StandIn, standin: StandIn) -> None:
    settings = {**QUIET, "limits": {"retry_body": 0}, "timeouts": {"drain": "500ms"}}
    with Gateway(settings, standin=vendor) as gateway:
        with client(gateway) as waiting, client(gateway) as sending:
            waiting.send(upload(b"{}", "standin=hang"))
            sending.send(upload_head(1000) + b"x" * 500)
            eventually(lambda: len(uploads(standin)) == 2, what="both are upstream")
            gateway.send_signal(signal.SIGTERM)
            assert_readable(waiting.read(b"POST"), 503)
            try:
                assert_readable(sending.read(b"POST"), 503)
            except NoAnswer as silence:
                assert "closed" in str(silence)  # noqa: PT017
        assert gateway.wait() == 0
    assert not any(record["complete"] for record in uploads(standin) if record["body_length"] != 2)
