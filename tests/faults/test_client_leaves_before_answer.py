"""The client goes away after it has sent everything, as closed pages do: the upload is delivered all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conformance.cases import chunked
from tests.conformance.wire import Client
from tests.faults.traffic import (
    QUIET,
    assert_idle,
    assert_unhurt,
    client,
    config,
    counted,
    leaving_nothing,
    new_key,
    sha256,
    upload,
    upload_head,
    uploads,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

LEAVINGS: dict[str, Callable[[Client], None]] = {
    "closes": lambda connection: connection.socket.close(),
    "resets": Client.reset,
}
SLOW = "standin=delay:0.3"


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway as it comes."""
    with Gateway(QUIET, standin=vendor) as running, leaving_nothing(running):
        yield running


@pytest.mark.parametrize("leaving", LEAVINGS)
@pytest.mark.parametrize("size", [2, 65_483, 1_000_000])
def test_a_complete_upload_is_delivered(gateway: Gateway, standin: StandIn, leaving: str, size: int) -> None:
    body = bytes(size)
    with counted(gateway, 1), client(gateway) as connection:
        connection.send(upload(body, SLOW))
        eventually(lambda: uploads(standin) and uploads(standin)[0]["complete"], what="the upload is upstream")
        LEAVINGS[leaving](connection)
    (record,) = uploads(standin)
    assert record["body_sha256"] == sha256(body)
    eventually(lambda: uploads(standin)[0]["status"] == 200, what="the upstream could answer")
    assert_idle(gateway)
    assert_unhurt(gateway)


def test_an_upload_that_arrives_together_with_the_end_is_delivered(gateway: Gateway, standin: StandIn) -> None:
    """Nothing of it is upstream yet when the client has already left."""
    for number in range(20):
        with client(gateway) as connection:
            connection.send(upload(b"x" * number, SLOW))
    records = eventually(lambda: len(uploads(standin)) == 20 and standin.wait_for(20), what="all uploads are upstream")
    assert isinstance(records, list)
    assert sorted(record["body_length"] for record in records if record["complete"]) == list(range(20))
    assert_idle(gateway)


def test_a_complete_chunked_upload_is_delivered(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(-1, SLOW) + chunked(b"hello ", b"world"))
    eventually(lambda: [r["body_sha256"] for r in uploads(standin) if r["complete"]] == [sha256(b"hello world")])
    assert_idle(gateway)


def test_a_client_that_leaves_during_the_answer_leaves_nothing_behind(gateway: Gateway, standin: StandIn) -> None:
    for leaving in LEAVINGS.values():
        with client(gateway, receive_buffer=4096) as connection:
            connection.send(upload(b"{}", "standin=large:20000000"))
            assert connection.wait() == ""
            leaving(connection)
        assert_idle(gateway)
    assert_unhurt(gateway)


def test_a_client_that_leaves_before_its_config_leaves_nothing_behind(gateway: Gateway, standin: StandIn) -> None:
    with counted(gateway, 1, route="config"), client(gateway) as connection:
        connection.send(config(new_key(), "standin=delay:0.2"))
        connection.reset()
    assert_idle(gateway)
    assert_unhurt(gateway)


def test_one_of_two_who_share_a_config_leaves(gateway: Gateway, standin: StandIn) -> None:
    key = new_key()
    with client(gateway) as staying, client(gateway) as leaving:
        leaving.send(config(key, "standin=delay:0.3"))
        eventually(lambda: standin.requests(), what="the question is upstream")
        staying.send(config(key, "standin=delay:0.3"))
        leaving.reset()
        answer = staying.read(b"GET")
        assert (answer.status, answer.complete) == (200, True)
    assert_idle(gateway)
