"""The vendor gives no configuration: pages that could record yesterday still can, with the last good answer.

Without an answer the SDK records nothing on that page. A stale answer is marked as such, has bounds, and never
stands in for what the vendor itself refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.cases import HOST, ORIGIN, head
from tests.conformance.wire import Answer
from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    client,
    config,
    configs,
    counted,
    leaving_nothing,
    new_key,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

SETTINGS: dict[str, Any] = {
    **QUIET,
    "breaker": {"failures": 0},
    "timeouts": {"config_total": "300ms", "first_byte": "2s"},
}
OUTAGES = {
    "reset": "reset_before_answer",
    "close": "close_before_answer",
    "503": "status:503",
    "500": "status:500",
    "429": "status:429",
    "hang": "hang",
    "garbage": "garbage",
    "cut off": "truncate:1000",
    "cut off chunked": "truncate_chunked:3",
    "no json": "html",
    "no content": "status:204",
}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """One worker, so that what is remembered is where the next request goes."""
    with (
        Gateway(SETTINGS, standin=vendor) as running,
        leaving_nothing(running),
    ):
        yield running


def outage(standin: StandIn, action: str, **more: Any) -> None:
    """From now on config requests get this."""
    name, _, argument = action.partition(":")
    parameters = {"status": "code", "truncate": "length", "truncate_chunked": "n"}
    extra = {parameters[name]: int(argument)} if argument else {}
    standin.behave({"match": {"method": "GET", **more}, "action": name, **extra})


def known(gateway: Gateway, key: str, query: str = "config_group=browser") -> bytes:
    """Let the gateway learn the good answer; returns its body."""
    answer = ask(gateway, config(key, query))
    assert_readable(answer, 200)
    assert answer.one("x-gateway-config") is None
    return answer.body


def assert_stale(answer: Answer, body: bytes) -> None:
    """The last good answer, marked."""
    assert_readable(answer, 200)
    assert answer.body == body
    assert answer.one("x-gateway-config") == "stale"
    assert (answer.one("age") or "").isdigit()
    assert len(answer.all("date")) == 1
    assert "json" in (answer.one("content-type") or "")
    assert "no-store" in answer.listed("cache-control")


@pytest.mark.parametrize("kind", OUTAGES)
def test_the_last_good_answer_is_given_in_an_outage(gateway: Gateway, standin: StandIn, kind: str) -> None:
    key = new_key()
    body = known(gateway, key)
    outage(standin, OUTAGES[kind])
    began = time.monotonic()
    with counted(gateway, 1, outcome="stale"):
        assert_stale(ask(gateway, config(key)), body)
    assert time.monotonic() - began < 2.0, "the SDK waits for one second"
    standin.behave()
    eventually(
        lambda: ask(gateway, config(key)).one("x-gateway-config") is None, what="the vendor's own answer is given again"
    )
    assert_idle(gateway)


def test_the_answer_to_head_is_the_same_without_a_body(gateway: Gateway, standin: StandIn) -> None:
    key = new_key()
    body = known(gateway, key)
    standin.behave({"action": "reset_before_answer"})
    answer = ask(gateway, config(key, method=b"HEAD"))
    # A proxy may know what GET got or not; if it answers, then as to GET.
    assert answer.status in (200, 502)
    assert answer.status == 502 or answer.declared == len(body)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_vendor_is_passed_on_and_remembered(gateway: Gateway, standin: StandIn, status: int) -> None:
    key = new_key()
    known(gateway, key)
    outage(standin, f"status:{status}")
    assert_readable(ask(gateway, config(key)), status)
    outage(standin, "reset_before_answer")
    assert_readable(ask(gateway, config(key)), 502)


@pytest.mark.parametrize("status", [400, 404])
def test_other_answers_for_the_client_are_passed_on(gateway: Gateway, standin: StandIn, status: int) -> None:
    key = new_key()
    known(gateway, key)
    outage(standin, f"status:{status}")
    assert_readable(ask(gateway, config(key)), status)


def test_an_answer_without_an_earlier_good_one_is_readable_and_no_4xx(gateway: Gateway, standin: StandIn) -> None:
    for action, status in (("reset_before_answer", 502), ("hang", 504), ("status:503", 503)):
        outage(standin, action)
        assert_readable(ask(gateway, config(new_key())), status)


def test_nothing_but_good_answers_is_remembered(gateway: Gateway, standin: StandIn) -> None:
    for action in ("html", "status:204", "status:404", "status:503"):
        key = new_key()
        outage(standin, action)
        ask(gateway, config(key))
        outage(standin, "reset_before_answer")
        assert ask(gateway, config(key)).status == 502


def test_what_is_remembered_is_kept_apart_by_key_and_query(gateway: Gateway, standin: StandIn) -> None:
    one, other = new_key(), new_key()
    known(gateway, one)
    outage(standin, "reset_before_answer")
    assert ask(gateway, config(other)).status == 502
    assert ask(gateway, config(one, "config_group=other")).status == 502
    assert ask(gateway, config(one)).status == 200


def test_the_old_shape_is_kept_apart_by_its_key_too(gateway: Gateway, standin: StandIn) -> None:
    def old(key: str) -> bytes:
        line = f"GET /config?api_key={key}&config_keys=sessionReplay&session_id=1 HTTP/1.1"
        return head(line.encode(), HOST, ORIGIN)

    one, other = new_key(), new_key()
    assert ask(gateway, old(one)).status == 200
    outage(standin, "reset_before_answer")
    assert ask(gateway, old(other)).status == 502
    assert ask(gateway, old(one)).status == 200


def test_a_gzip_answer_is_not_given_to_one_who_can_not_read_it(gateway: Gateway, standin: StandIn) -> None:
    key = new_key()
    outage(standin, "gzip_config")
    assert ask(gateway, config(key, "config_group=browser", b"Accept-Encoding: gzip, br")).status == 200
    outage(standin, "reset_before_answer")
    answer = ask(gateway, config(key, "config_group=browser", b"Accept-Encoding: identity"))
    assert answer.status == 502 or answer.one("content-encoding") is None
    assert ask(gateway, config(key, "config_group=browser", b"Accept-Encoding: gzip, br")).status == 200


def test_ordinary_answers_are_not_to_be_kept_by_browsers(gateway: Gateway, standin: StandIn) -> None:
    """A browser that kept an answer would not ask again when the project's settings change."""
    answer = ask(gateway, config(new_key()))
    assert answer.all("cache-control") == ["no-store"]
    fields = {"Cache-Control": "max-age=60"}
    standin.behave({"match": {"method": "GET"}, "action": "status", "code": 200, "body": "{}", "headers": fields})
    assert ask(gateway, config(new_key())).all("cache-control") == ["max-age=60"]


def test_fifty_at_once_ask_the_vendor_a_few_times(gateway: Gateway, standin: StandIn) -> None:
    key = new_key()
    standin.behave({"match": {"method": "GET"}, "action": "delay", "seconds": 0.2})
    connections = [client(gateway) for _ in range(50)]
    for connection in connections:
        connection.send(config(key))
    ids = set()
    for connection in connections:
        answer = connection.read()
        assert_readable(answer, 200)
        assert json.loads(answer.body)["configs"]
        ids.add(answer.one("x-request-id"))
        connection.socket.close()
    assert len(ids) == 50
    assert len(configs(standin)) <= 3
    assert_idle(gateway)


def test_fifty_at_once_all_hear_of_the_failure(gateway: Gateway, standin: StandIn) -> None:
    key = new_key()
    standin.behave({"match": {"method": "GET"}, "action": "hang"})
    with counted(gateway, 50, outcome="failed"):
        connections = [client(gateway) for _ in range(50)]
        for connection in connections:
            connection.send(config(key))
        for connection in connections:
            assert_readable(connection.read(), 504)
            connection.socket.close()
    assert_idle(gateway)


def test_a_late_answer_still_serves_the_next_who_asks(gateway: Gateway, standin: StandIn) -> None:
    """The vendor is slower than the SDK waits: the first is told so, the answer is kept for the next."""
    key = new_key()
    standin.behave({"match": {"method": "GET"}, "action": "delay", "seconds": 0.6})
    assert_readable(ask(gateway, config(key)), 504)
    eventually(lambda: ask(gateway, config(key)).status == 200, what="the late answer is given")


def test_one_question_that_hangs_does_not_hold_up_the_next(vendor: StandIn, standin: StandIn) -> None:
    """The SDK asks up to three times within 1.5 s: the second time must not wait for the answer to the first."""
    timeouts = {"config_total": "300ms", "first_byte": "7s"}
    with Gateway({**QUIET, "breaker": {"failures": 0}, "timeouts": timeouts}, standin=vendor) as gateway:
        key = new_key()
        standin.behave({"match": {"method": "GET", "first": 1}, "action": "hang"})
        assert_readable(ask(gateway, config(key)), 504)
        assert_readable(ask(gateway, config(key)), 200)


@pytest.mark.parametrize("bounds", [{"stale_if_error": "1s"}, {"max_age": "1s"}], ids=["stale_if_error", "max_age"])
def test_it_has_an_end(vendor: StandIn, standin: StandIn, bounds: dict[str, str]) -> None:
    with Gateway({**QUIET, "breaker": {"failures": 0}, "config_cache": bounds}, standin=vendor) as gateway:
        key = new_key()
        body = known(gateway, key)
        outage(standin, "reset_before_answer")
        assert_stale(ask(gateway, config(key)), body)
        eventually(lambda: ask(gateway, config(key)).status == 502, what="the old answer is no longer given")


def test_it_can_be_switched_off(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**QUIET, "config_cache": {"stale_if_error": 0}}, standin=vendor) as gateway:
        key = new_key()
        known(gateway, key)
        outage(standin, "reset_before_answer")
        assert_readable(ask(gateway, config(key)), 502)


def flood(gateway: Gateway, key: str, count: int) -> None:
    """As many invented questions for the site's own key, from one network, as the vendor answers well."""
    with client(gateway) as connection:
        for number in range(count):
            line = f"X-Forwarded-For: 203.0.113.{number % 250}".encode()
            assert connection.ask(config(key, f"config_group=browser&x={number}", line)).status == 200


def test_invented_questions_do_not_push_out_real_ones(vendor: StandIn, standin: StandIn) -> None:
    """Anybody can ask with a site's public key and parameters of his own."""
    settings = {**SETTINGS, "client_ip": {"trusted_proxies": ["127.0.0.0/8"]}, "config_cache": {"entries": 20}}
    with Gateway(settings, standin=vendor) as gateway:
        key, bodies = new_key(), dict[str, bytes]()
        for number, query in enumerate(("config_group=browser", "config_group=mobile", "config_group=other")):
            visitor = f"X-Forwarded-For: 198.51.{number}.1".encode()
            bodies[query] = ask(gateway, config(key, query, visitor)).body
        flood(gateway, key, 100)
        outage(standin, "reset_before_answer")
        for query, body in bodies.items():
            assert_stale(ask(gateway, config(key, query)), body)
        assert ask(gateway, config(key, "config_group=browser&x=0")).status == 502


@pytest.fixture(scope="module")
def two_workers(vendor: StandIn) -> Iterator[Gateway]:
    """The kernel chooses the worker for each connection; over some dozen connections both have their turn."""
    with (
        Gateway(SETTINGS, standin=vendor, workers=2) as running,
        leaving_nothing(running),
    ):
        yield running


def test_the_other_worker_has_it_too(two_workers: Gateway, standin: StandIn) -> None:
    key = new_key()
    known(two_workers, key)
    outage(standin, "reset_before_answer")
    eventually(
        lambda: all(ask(two_workers, config(key)).status == 200 for _ in range(30)),
        what="every worker gives the answer",
    )


def test_what_one_worker_heard_refused_the_other_does_not_give(two_workers: Gateway, standin: StandIn) -> None:
    key = new_key()
    known(two_workers, key)
    outage(standin, "reset_before_answer")
    eventually(
        lambda: all(ask(two_workers, config(key)).status == 200 for _ in range(30)),
        what="every worker gives the answer",
    )
    outage(standin, "status:403")
    assert ask(two_workers, config(key)).status == 403
    outage(standin, "reset_before_answer")
    eventually(
        lambda: all(ask(two_workers, config(key)).status == 502 for _ in range(30)), what="no worker gives the answer"
    )
