"""Proves the control API: what it tells, which orders it takes, and that a wrong order changes nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.standin import StandIn, StandInError
from tests.unit.standin.client import Client, request, upload


def test_requests_since_and_by_site(vendor: StandIn) -> None:
    with Client(vendor) as us, Client(vendor, "eu") as eu:
        for client in (us, eu, us):
            client.ask(request())
    records = vendor.wait_for(3)
    assert [record["site"] for record in records] == ["us", "eu", "us"]
    assert vendor.requests(since=records[1]["seq"]) == records[2:]
    assert vendor.requests(site="eu") == records[1:2]
    assert vendor.requests(since=records[2]["seq"]) == []


def test_many_requests_come_whole_and_in_order(vendor: StandIn) -> None:
    number = 1203
    with Client(vendor) as client:
        for _ in range(number // 401):
            client.send(request() * 401)
            for _ in range(401):
                client.answer()
    records = vendor.wait_for(number)
    assert len(records) == number
    assert [record["seq"] for record in records] == sorted(record["seq"] for record in records)


def test_digests_are_those_of_complete_requests(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.ask(upload(b"one"))
        client.ask(upload(b"two"))
        client.send(upload(b"three")[:-1])
    vendor.wait_for(3)
    assert vendor.digests() == [hashlib.sha256(body).hexdigest() for body in (b"one", b"two")]


def test_counts(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.ask(request(fields=b"TE: trailers\r\n"))
        client.ask(request(b"/config/key?standin=status:503"))
        client.send(upload()[:-1])
    vendor.wait_for(3)
    counts = vendor.counts()["us"]
    assert counts["by_status"] == {"200": 1, "503": 1}
    assert {name: counts[name] for name in ("requests", "complete", "ended", "connections", "violations")} == {
        "requests": 3,
        "complete": 2,
        "ended": 3,
        "connections": 1,
        "violations": 1,
    }


def test_forgetting(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.ask(request())
        before = vendor.counts()["us"]["open"]
        vendor.ask("DELETE", "/requests")
        assert vendor.requests() == []
        counts = vendor.counts()["us"]
        assert (counts["requests"], counts["connections"]) == (0, 0)
        assert before >= counts["open"] >= 1


def test_rules_are_replaced_appended_and_cleared(vendor: StandIn) -> None:
    first: dict[str, Any] = {"match": {"path": "/config/a"}, "action": "status", "code": 501}
    second: dict[str, Any] = {"action": "status", "code": 502}
    vendor.behave(first)
    vendor.ask("POST", "/behaviour", second)
    assert json.loads(vendor.ask("GET", "/behaviour")) == [first, second]
    with Client(vendor) as client:
        assert [client.ask(request(target)).status for target in (b"/config/a", b"/config/b")] == [501, 502]
        vendor.behave(second)
        assert client.ask(request(b"/config/a")).status == 502
        vendor.ask("DELETE", "/behaviour")
        assert client.ask(request(b"/config/a")).status == 200


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ({"action": "hang"}, "must be a JSON array"),
        (["hang"], "a rule is an object"),
        ([{"action": "explode"}], "no action 'explode'"),
        ([{"action": "hang", "match": {"site": "mars"}}], "no site 'mars'; there are us, eu, us-tls, eu-tls"),
        ([{"action": "hang", "match": "all"}], "match must be an object"),
        ([{"action": "html"}, {"action": "raw", "preset": "x"}], "no preset 'x'"),
    ],
)
def test_a_wrong_rule_is_refused_and_the_old_ones_stay(vendor: StandIn, rules: object, complaint: str) -> None:
    vendor.behave({"action": "status", "code": 418})
    with pytest.raises(StandInError, match=complaint):
        vendor.ask("PUT", "/behaviour", rules)
    with Client(vendor) as client:
        assert client.ask(request()).status == 418


def test_a_wrong_rule_is_not_appended(vendor: StandIn) -> None:
    with pytest.raises(StandInError, match="400"):
        vendor.ask("POST", "/behaviour", {"action": "explode"})
    assert json.loads(vendor.ask("GET", "/behaviour")) == []


@pytest.mark.parametrize("options", [{"keep": 1}, {"keep_bodies": -1}, {"keep_bodies": "many"}, []])
def test_wrong_options_are_refused(vendor: StandIn, options: object) -> None:
    with pytest.raises(StandInError, match="400"):
        vendor.ask("PUT", "/options", options)


@pytest.mark.parametrize(
    ("path", "status"), [("/requests?since=x", 400), ("/bodies/x", 400), ("/bodies/1", 404), ("/nothing", 404)]
)
def test_a_wrong_question_is_refused(vendor: StandIn, path: str, status: int) -> None:
    with pytest.raises(StandInError, match=str(status)):
        vendor.ask("GET", path)


def test_waiting_for_what_never_comes_ends_with_the_numbers(vendor: StandIn) -> None:
    with pytest.raises(StandInError, match="only 0 of 1 requests"):
        vendor.wait_for(1, timeout=0.05)


def test_waiting_can_be_for_one_site(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.ask(request())
    assert len(vendor.wait_for(1, site="us")) == 1
    with pytest.raises(StandInError, match="only 0 of 1 requests"):
        vendor.wait_for(1, site="eu", timeout=0.05)
