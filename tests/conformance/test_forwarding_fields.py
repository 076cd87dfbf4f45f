"""Who the client is, is what the proxy saw, not what the client said; cookies stay on the customer's site; every
request can be traced by one id."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.carried import config, plain_post
from tests.conformance.stage import Stage

CLAIMS = (
    b"X-Forwarded-For: 192.0.2.66",
    b"X-Forwarded-For: 192.0.2.67, 10.0.0.1",
    b"x-real-ip: 192.0.2.66",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Port: 31337",
    b"X-Forwarded-Server: evil.example",
    b"Forwarded: for=192.0.2.66;host=evil.example;proto=https",
    b"X_Forwarded_For: 192.0.2.66",
    b"X_Real_IP: 192.0.2.66",
)


def arrival(stage: Stage, request: bytes) -> dict[str, Any]:
    """What the upstream saw of one request that was answered 200."""
    with stage.reading(), stage.client() as client:
        stage.expect((answer := client.ask(request)).status == 200, f"status {answer.status}")
    seen = stage.after()
    stage.expect(len(seen) == 1, f"arrived {len(seen)} times")
    return seen[0] if seen else {"headers": []}


def values(record: dict[str, Any], name: str) -> list[str]:
    """Every value of a field that arrived."""
    return [value for key, value in record["headers"] if key.lower() == name]


@pytest.mark.parametrize("claims", ["none", "forged"])
def test_the_address_is_the_peers(stage: Stage, claims: str) -> None:
    record = arrival(stage, plain_post(*(CLAIMS if claims == "forged" else ())))
    told = {
        name: values(record, name) for name in ("x-forwarded-for", "x-real-ip", "x-forwarded-proto", "x-forwarded-host")
    }
    expected = {
        "x-forwarded-for": ["127.0.0.1"],
        "x-real-ip": ["127.0.0.1"],
        "x-forwarded-proto": ["http"],
        "x-forwarded-host": ["replay.example.com"],
    }
    stage.expect(told == expected, f"told {told}")
    flat = str(record["headers"])
    stage.expect("192.0.2" not in flat and "evil" not in flat and "31337" not in flat, "a claim of the client passed")


def test_claims_named_in_connection_do_not_remove_the_truth(stage: Stage) -> None:
    """Refused, or passed with what the proxy itself saw (RFC 9110, 7.6.1: a sender must not name them)."""
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(b"Connection: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto", *CLAIMS))
        stage.expect(answer.status in (200, 400), f"status {answer.status}")
    for record in stage.after():
        stage.expect(values(record, "x-forwarded-for") == ["127.0.0.1"], "X-Forwarded-For is gone or forged")
        stage.expect(values(record, "x-real-ip") == ["127.0.0.1"], "X-Real-IP is gone or forged")


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Content-Encoding", "Content-Length", "Host"])
def test_end_to_end_fields_can_not_be_stripped_by_naming_them(stage: Stage, name: str) -> None:
    """Refused or passed, but never stripped (RFC 9110, 7.6.1: a sender must not name them)."""
    lines = (
        b"Connection: " + name.encode(),
        b"Authorization: Bearer x",
        b"Content-Type: a/b",
        b"Content-Encoding: identity",
    )
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(*lines))
        stage.expect(answer.status in (200, 400), f"status {answer.status}")
    for record in stage.after():
        stage.expect(len(values(record, name.lower())) == 1, f"{name} was stripped")


def test_cookies_stay_here(stage: Stage) -> None:
    record = arrival(stage, config(config().split(b" ")[1], b"Cookie: session=secret; a=b", b"Cookie: c=d"))
    stage.expect(not values(record, "cookie"), "Cookie passed")
    stage.expect("secret" not in str(record["headers"]), "a cookie passed under another name")


def test_every_request_has_an_id_on_both_sides(stage: Stage) -> None:
    ids = set()
    for _ in range(3):
        with stage.client() as client:
            answer = client.ask(plain_post())
            ids.add(answer.one("x-request-id"))
    seen = stage.after()
    stage.expect(len(ids) == 3 and None not in ids, "ids are missing or repeated")
    stage.expect(
        {value for record in seen for value in values(record, "x-request-id")} == ids, "another id went upstream"
    )


@pytest.mark.parametrize("given", ["0af7651916cd43dd8448eb211c80319c", "a", "A-b.c_d~e+f/g=h:i@j", "x" * 128])
def test_a_clients_sane_id_is_kept(stage: Stage, given: str) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(b"X-Request-Id: " + given.encode()))
        stage.expect(answer.all("x-request-id") == [given], "another id in the answer")
    stage.expect([values(record, "x-request-id") for record in stage.after()] == [[given]], "another id upstream")


@pytest.mark.parametrize(
    "given", ["", "x" * 129, "a b", "a,b", '"a"', "a\xe9", "<script>", "a;b"], ids=lambda given: repr(given[:9])
)
def test_a_clients_odd_id_is_replaced(stage: Stage, given: str) -> None:
    ids: list[str] = []
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(b"X-Request-Id: " + given.encode("latin-1")))
        ids = answer.all("x-request-id")
        stage.expect(len(ids) == 1 and ids[0] and ids[0] != given, f"id {ids}")
    stage.expect([values(record, "x-request-id") for record in stage.after()] == [ids], "another id upstream")


def test_two_ids_are_not_both_passed(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(b"X-Request-Id: a", b"X-Request-Id: b"))
        stage.expect(len(answer.all("x-request-id")) == 1, f"id {answer.all('x-request-id')}")
    stage.expect(all(len(values(record, "x-request-id")) == 1 for record in stage.after()), "two ids upstream")
