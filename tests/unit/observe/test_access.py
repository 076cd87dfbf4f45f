"""Proves what an access line holds, which requests count as gone wrong, and that nothing private gets into one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from proxy.model.failure import FailureKind
from proxy.model.record import Outcome, Record
from proxy.model.verdict import Reason
from proxy.observe.access import is_error, json_line, text_line
from tests.unit.observe.records import record, records

NOW = "2023-11-14T22:13:20.250Z"


def test_every_field_of_a_delivered_upload() -> None:
    assert json.loads(json_line(record(retried=True), NOW)) == {
        "time": NOW,
        "level": "info",
        "event": "request",
        "request_id": "63a3deb1659100000001",
        "method": "POST",
        "route": "track",
        "region": "us",
        "outcome": "delivered",
        "reason": None,
        "failure": None,
        "status": 200,
        "upstream_status": 200,
        "milliseconds": 123.0,
        "upstream_milliseconds": 100.0,
        "received": 2000,
        "sent": 12,
        "retried": True,
    }


def test_a_request_that_no_upstream_saw_has_no_upstream_time() -> None:
    line = json.loads(json_line(record(route=None, upstream_began=0.0, upstream_status=0), NOW))
    assert line["route"] is None
    assert line["upstream_milliseconds"] is None


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"outcome": Outcome.FAILED, "failure": FailureKind.TLS, "status": 502}, "error"),
        ({"outcome": Outcome.FAILED, "failure": FailureKind.UPSTREAM_TIMEOUT, "status": 504}, "warning"),
        ({"outcome": Outcome.CLIENT_GONE, "failure": FailureKind.CLIENT_GONE, "status": 0}, "info"),
        ({"outcome": Outcome.REJECTED, "reason": Reason.MEMORY, "status": 503}, "warning"),
        ({"outcome": Outcome.REJECTED, "reason": Reason.METHOD, "status": 405}, "info"),
        ({}, "info"),
    ],
)
def test_the_level_follows_the_failure_table(fields: dict[str, object], level: str) -> None:
    assert json.loads(json_line(record(**fields), NOW))["level"] == level


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.FAILED, 502),
        (Outcome.FAILED, 200),  # broken after the head was out
        (Outcome.CLIENT_GONE, 0),
        (Outcome.REJECTED, 503),
        (Outcome.REJECTED, 408),
        (Outcome.REJECTED, 413),
        (Outcome.REJECTED, 429),
    ],
)
def test_what_went_wrong_is_an_error(outcome: Outcome, status: int) -> None:
    assert is_error(record(outcome=outcome, status=status))


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.DELIVERED, 200),
        (Outcome.SKIPPED, 200),
        (Outcome.REFUSED, 503),  # the upstream's own answer, relayed as it was
        (Outcome.STALE, 200),
        (Outcome.PREFLIGHT, 204),
        (Outcome.REJECTED, 404),
        (Outcome.REJECTED, 400),
    ],
)
def test_what_went_as_it_should_is_none(outcome: Outcome, status: int) -> None:
    assert not is_error(record(outcome=outcome, status=status))


@given(records())
def test_any_record_gives_one_json_line_and_one_text_line(finished: Record) -> None:
    line = json_line(finished, NOW)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line)["event"] == "request"
    text = text_line(finished, NOW)
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")


def test_a_text_line_names_the_cause() -> None:
    line = text_line(record(outcome=Outcome.FAILED, failure=FailureKind.TLS, status=502), NOW)
    assert line == b"22:13:20 error   POST track 502 failed tls 123.0 ms in 2000 out 12 63a3deb1659100000001\n"


def test_an_odd_method_or_id_can_neither_break_nor_forge_a_line() -> None:
    odd = record(method=b'P"\n{\x1b\xff', request_id=b"\r\nfake \xe9")
    assert json.loads(json_line(odd, NOW))["method"] == 'P"\n{\x1b\xff'
    assert json_line(odd, NOW).count(b"\n") == 1
    text = text_line(odd, NOW)
    assert text.count(b"\n") == 1
    assert b"\x1b" not in text


def test_a_record_has_no_room_for_targets_headers_or_keys() -> None:
    """The line is made of the record alone: should it ever hold more, this list must be thought over."""
    assert set(Record.__slots__) == {
        *("began", "ended", "upstream_began", "request_id", "method", "route", "region"),
        *("outcome", "reason", "failure", "status", "upstream_status", "skipped_code"),
        *("received_bytes", "sent_bytes", "retried", "reused"),
    }
