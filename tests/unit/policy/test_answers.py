"""Proves that every answer of the gateway's own is complete HTTP, can be read by the browser, says why, and says to the
SDK what makes it do the right thing."""

from __future__ import annotations

import json
import re

import pytest

from proxy.model.failure import FAILURES, FailureKind
from proxy.model.verdict import REJECTIONS, Reason, Route
from proxy.policy.answers import ALLOWED_METHODS, CLOSE, CONTINUE, KEEP_ALIVE, Answers, OwnAnswer, preflight_answer
from proxy.settings import Settings
from tests.unit.wire.witness import Witness

DATE = b"Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
CORS = b"Access-Control-Allow-Origin: https://app.example.com\r\nVary: Origin\r\n"
ANSWERS = Answers(Settings.model_validate({"limits": {"body": "1KiB", "target": "512B", "head": "2KiB", "fields": 33}}))
ROUTES = (None, *Route)
# What the SDK repeats once; it drops what has any other status below 500.
REPEATED = {408, 429, 499}


def own(reason: Reason, route: Route | None = None) -> OwnAnswer:
    return ANSWERS.rejection(reason, route)


def every_answer() -> list[OwnAnswer]:
    return [own(reason, route) for reason in Reason for route in ROUTES] + [
        ANSWERS.failure(kind) for kind in FailureKind
    ]


@pytest.mark.parametrize("answer", every_answer())
@pytest.mark.parametrize("head_only", [False, True])
def test_an_own_answer_is_complete_and_can_be_traced(answer: OwnAnswer, head_only: bool) -> None:
    rendered = answer.render(DATE, CORS, b"id-1", CLOSE, head_only=head_only)
    head, _, body = rendered.partition(b"\r\n\r\n")
    assert body == (b"" if head_only else answer.body)
    witness = Witness.of(head + b"\r\n\r\n" + answer.body, answers=True)
    assert witness.end == len(head) + 4 + len(answer.body)
    assert (witness.status, witness.body, witness.keep_alive) == (answer.status, answer.body, False)
    names = [name.lower() for name, _ in witness.fields]
    assert len(set(names)) == len(names)
    for name, value in (
        (b"x-request-id", b"id-1"),
        (b"access-control-allow-origin", b"https://app.example.com"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-type", b"application/json" if answer.status == 200 else b"text/plain; charset=utf-8"),
    ):
        assert witness.values(name) == [value]
    assert witness.values(b"x-gateway-reason")


@pytest.mark.parametrize("connection", [b"", CLOSE, KEEP_ALIVE])
def test_whether_the_connection_stays_is_said(connection: bytes) -> None:
    rendered = own(Reason.UNKNOWN_PATH).render(DATE, CORS, b"id", connection, head_only=False)
    assert Witness.of(rendered, answers=True).keep_alive is (connection != CLOSE)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("route", ROUTES)
def test_a_rejection_says_its_reason_and_means_what_the_table_says(reason: Reason, route: Route | None) -> None:
    answer, meaning = own(reason, route), REJECTIONS[reason]
    expected = meaning.config_status if route is Route.CONFIG and meaning.config_status else meaning.status
    assert (answer.status, answer.close) == (expected, meaning.close)
    assert b"\r\nX-Gateway-Reason: " + reason.value.encode() + b"\r\n" in answer.head
    assert (b"\r\nRetry-After: " in answer.head) is bool(meaning.retry_after)
    assert b"{" not in answer.body or answer.status == 200


def test_one_who_has_opted_out_gets_a_configuration_that_says_not_to_record() -> None:
    told = json.loads(own(Reason.GPC, Route.CONFIG).body)
    assert told == {"configs": {"sessionReplay": {"sr_sampling_config": {"capture_enabled": False, "sample_rate": 0}}}}


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_says_its_kind_and_means_what_the_table_says(kind: FailureKind) -> None:
    answer = ANSWERS.failure(kind)
    assert (answer.status, answer.close) == (FAILURES[kind].status, False)
    assert b"\r\nX-Gateway-Reason: " + kind.value.encode() + b"\r\n" in answer.head
    assert answer.body == FAILURES[kind].message.encode() + b"\n"


@pytest.mark.parametrize("answer", every_answer())
def test_overload_and_outage_say_when_to_come_back(answer: OwnAnswer) -> None:
    assert (b"\r\nRetry-After: 1\r\n" in answer.head) is (answer.status in (429, 502, 503, 504))


@pytest.mark.parametrize("reason", Reason)
def test_on_the_config_route_nothing_makes_the_sdk_stop_asking(reason: Reason) -> None:
    assert own(reason, Route.CONFIG).status not in (401, 403) or reason is Reason.UNKNOWN_PATH
    assert own(reason, Route.CONFIG).status != 404 or reason is Reason.UNKNOWN_PATH  # no route, so no config request


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.CLIENT_STALLED])
def test_what_the_client_is_not_to_blame_for_is_repeated_by_the_sdk(kind: FailureKind) -> None:
    status = ANSWERS.failure(kind).status
    assert status >= 500 or status in REPEATED


def test_too_large_makes_the_sdk_split_the_batch() -> None:
    for route in ROUTES:
        answer = own(Reason.BODY_TOO_LARGE, route)
        assert answer.status == 413
        assert re.search(rb"payload.*exceed", answer.body, re.IGNORECASE)
        assert b"1024 bytes" in answer.body


def test_the_limits_that_were_broken_are_named() -> None:
    assert b"512 bytes" in own(Reason.TARGET_TOO_LONG).body
    assert b"2048 bytes or 33 fields" in own(Reason.HEAD_TOO_LARGE).body


def test_the_paths_that_are_served_are_named() -> None:
    settings = Settings.model_validate({"paths": {"track": ["/a", "/b"], "config": ["/c"]}})
    assert b"POST /a, POST /b, GET /c/<api key>" in Answers(settings).rejection(Reason.UNKNOWN_PATH, None).body


@pytest.mark.parametrize("route", Route)
def test_a_method_that_is_not_allowed_is_told_which_are(route: Route) -> None:
    answer = own(Reason.METHOD, route)
    allowed = b", ".join(ALLOWED_METHODS[route])
    assert b"\r\nAllow: " + allowed + b"\r\n" in answer.head + b"\r\n"
    assert allowed in answer.body


@pytest.mark.parametrize("reason", Reason)
def test_allow_stands_in_every_405_and_nowhere_else(reason: Reason) -> None:
    for route in ROUTES:
        answer = own(reason, route)
        assert (b"\r\nAllow: " in answer.head) is (answer.status == 405)


def test_a_preflight_has_no_body_and_no_length() -> None:
    rendered = preflight_answer(DATE, CORS, b"id-1", b"")
    witness = Witness.of(rendered, answers=True)
    assert (witness.status, witness.end, witness.keep_alive) == (204, len(rendered), True)
    assert witness.values(b"content-length") == witness.values(b"transfer-encoding") == []
    assert witness.values(b"x-request-id") == [b"id-1"]


def test_an_interim_answer_is_one() -> None:
    assert Witness.of(CONTINUE, answers=True).status == 100
    assert Witness.of(CONTINUE, answers=True).end == len(CONTINUE)
