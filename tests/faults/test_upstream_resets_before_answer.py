"""The upstream closes or resets without an answer.

On a connection that had served before this is most likely the ordinary end of an idle connection: the upload is sent
once more on a fresh one, while its body is still held, and the client notices nothing. On a fresh connection, after
a byte of an answer, or when the body is no longer held, it is not: sent twice it might be stored twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.conformance.cases import chunked
from tests.faults.traffic import (
    OK,
    QUIET,
    ask,
    assert_readable,
    client,
    config,
    configs,
    leaving_nothing,
    new_key,
    sha256,
    upload,
    upload_head,
    uploads,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

DEATHS = ["reset_before_answer", "close_before_answer", "close_after_head"]
HELD = 128 * 1024  # bytes; limits.retry_body


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway that never opens its breaker."""
    with (
        Gateway({**QUIET, "breaker": {"failures": 0}, "limits": {"retry_body": HELD}}, standin=vendor) as running,
        leaving_nothing(running),
    ):
        yield running


def settle(gateway: Gateway, standin: StandIn) -> None:
    """One good upload, so that there is an idle upstream connection, then a clean sheet."""
    assert ask(gateway, upload()).status == 200
    assert ask(gateway, config(new_key())).status == 200
    standin.clear()


def end_idle_connections(gateway: Gateway, standin: StandIn) -> None:
    """Let the upstream end the idle connections, so that the next request gets a fresh one."""
    standin.behave({"action": "status", "code": 200, "headers": {"Connection": "close"}})
    assert ask(gateway, upload()).status == 200
    assert ask(gateway, config(new_key())).status == 200
    standin.clear()


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("size", [0, 2_000, 30_000, 100_000])
def test_a_stale_connection_is_replaced_unnoticed(gateway: Gateway, standin: StandIn, death: str, size: int) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST", "first": 1}, "action": death})
    body = random.Random(size).randbytes(size)
    before = gateway.metric("replay_gateway_requests_retried_total")
    answer = ask(gateway, upload(body))
    assert_readable(answer, 200)
    assert answer.body == OK
    first, second = uploads(standin)
    assert (first["nth_on_connection"] > 1, second["nth_on_connection"]) == (True, 1)
    assert (second["complete"], second["body_sha256"]) == (True, sha256(body))
    eventually(lambda: gateway.metric("replay_gateway_requests_retried_total") == before + 1, what="one retry counted")


@pytest.mark.parametrize("death", DEATHS)
def test_a_chunked_upload_is_sent_once_more_whole(gateway: Gateway, standin: StandIn, death: str) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST", "first": 1}, "action": death})
    with client(gateway) as connection:
        connection.send(upload_head(-1))
        connection.send(chunked(b"hello ", b"world"))
        assert_readable(connection.read(b"POST"), 200)
    assert uploads(standin)[-1]["body_sha256"] == sha256(b"hello world")


@pytest.mark.parametrize("death", DEATHS)
def test_a_stale_connection_is_replaced_for_config_too(gateway: Gateway, standin: StandIn, death: str) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "GET", "first": 1}, "action": death})
    assert_readable(ask(gateway, config(new_key())), 200)
    assert [record["nth_on_connection"] > 1 for record in configs(standin)] == [True, False]


@pytest.mark.parametrize("death", DEATHS)
def test_on_a_fresh_connection_it_is_a_502_and_not_sent_again(gateway: Gateway, standin: StandIn, death: str) -> None:
    end_idle_connections(gateway, standin)
    standin.behave({"match": {"first": 1}, "action": death})
    assert_readable(ask(gateway, upload(b"once")), 502)
    assert len(uploads(standin)) == 1


@pytest.mark.parametrize("death", DEATHS)
def test_it_is_sent_once_more_not_twice_more(gateway: Gateway, standin: StandIn, death: str) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST"}, "action": death})
    assert_readable(ask(gateway, upload(b"never")), 502)
    assert len(uploads(standin)) == 2


def test_an_upload_no_longer_held_is_not_sent_again(gateway: Gateway, standin: StandIn) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST", "first": 1}, "action": "reset_before_answer"})
    assert_readable(ask(gateway, upload(bytes(HELD * 4))), 502)
    assert len(uploads(standin)) == 1


@pytest.mark.parametrize("part", ["HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"])
def test_after_a_byte_of_an_answer_it_is_not_sent_again(gateway: Gateway, standin: StandIn, part: str) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST"}, "action": "raw", "bytes": part, "then": "reset"})
    assert_readable(ask(gateway, upload(b"once")), 502)
    assert len(uploads(standin)) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_an_answer_is_never_a_reason_to_send_again(gateway: Gateway, standin: StandIn, status: int) -> None:
    settle(gateway, standin)
    standin.behave({"match": {"method": "POST"}, "action": "status", "code": status})
    assert_readable(ask(gateway, upload(b"once")), status)
    assert len(uploads(standin)) == 1


def test_a_connection_that_the_upstream_closes_between_requests_is_not_used(gateway: Gateway, standin: StandIn) -> None:
    standin.behave({"action": "close_idle"})
    for number in range(10):
        body = b"x" * number
        assert ask(gateway, upload(body)).status == 200
    digests = [record["body_sha256"] for record in uploads(standin) if record["complete"]]
    assert digests == [sha256(b"x" * number) for number in range(10)]
