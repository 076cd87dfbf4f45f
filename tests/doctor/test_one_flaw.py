"""Proves the doctor's judgement: a correct proxy gives no finding, and each flaw that a proxy can have gives the
finding that is meant and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy.doctor.asking import Patience
from proxy.doctor.browser import UPLOAD_HEADERS, Sdk
from proxy.doctor.outside import Outing, check_outside
from proxy.doctor.outside_findings import Outside
from proxy.model.check import Check
from tests.doctor.flawed import ORIGIN, Asked, Flaw, FlawedProxy, Reply, flawed_proxy
from tests.gateway import free_port

ALLOW = "Access-Control-Allow-"


@pytest.fixture(scope="module")
def running() -> Iterator[FlawedProxy]:
    with flawed_proxy(free_port()) as proxy:
        yield proxy


@pytest.fixture
def proxy(running: FlawedProxy) -> Iterator[FlawedProxy]:
    yield running
    running.flaw, running.expectation = None, 100


def findings(proxy: FlawedProxy, patience: Patience | None = None, **sdk: Any) -> list[Check]:
    """All but what is fine."""
    outing = Outing(Sdk(proxy.track, proxy.config, **sdk), patience or Patience())
    return [check for check in check_outside(outing) if check.state != "ok"]


def names(found: list[Check]) -> list[str]:
    return [check.name for check in found]


def at(method: str, place: str, change: Callable[[Asked, Reply], None]) -> Flaw:
    """A flaw of the answers to such requests. Methods and places with a comma between them."""

    def flaw(asked: Asked, reply: Reply) -> None:
        if asked.method in method.split(",") and asked.place in place.split(","):
            change(asked, reply)

    return flaw


def field(name: str, value: str | None) -> Callable[[Asked, Reply], None]:
    """The field with another value where there is one, or without any."""

    def change(asked: Asked, reply: Reply) -> None:
        if reply.fields.popall(name, None) and value is not None:
            reply.fields.add(name, value)

    return change


def also(name: str, value: str) -> Callable[[Asked, Reply], None]:
    """One field more."""
    return lambda asked, reply: reply.fields.add(name, value)


def answer(status: int, kind: str = "text/plain", body: bytes = b"x") -> Callable[[Asked, Reply], None]:
    """Another answer, with the same fields."""

    def change(asked: Asked, reply: Reply) -> None:
        reply.status, reply.kind, reply.body = status, kind, body

    return change


def redirected(asked: Asked, reply: Reply) -> None:
    reply.status = 301
    reply.fields["Location"] = "https://elsewhere.example/"


def echoed(asked: Asked, reply: Reply) -> None:
    reply.fields[f"{ALLOW}Origin"] = asked.fields["Origin"]


def unpacked(asked: Asked, reply: Reply) -> None:
    if "Content-Encoding" in asked.fields:
        reply.status = 400


def limited(limit: int, *, is_cut: bool = False) -> Callable[[Asked, Reply], None]:
    def change(asked: Asked, reply: Reply) -> None:
        if len(asked.body) > limit:
            reply.status, reply.is_cut = 413, is_cut

    return change


def similar(asked: Asked, reply: Reply) -> None:
    if asked.target.startswith(("/sessions/v2/trackr", "/configr")):
        reply.status, reply.kind = 401, "application/json"


def old_shape_unknown(asked: Asked, reply: Reply) -> None:
    if "config_keys" in asked.target:
        reply.status = 404


def late(asked: Asked, reply: Reply) -> None:
    if "config_group" in asked.target:
        reply.delay = 1.2


def closed(asked: Asked, reply: Reply) -> None:
    reply.fields["Connection"] = "close"


FLAWS: list[tuple[Outside, Flaw]] = [
    (Outside.REDIRECT, at("POST", "track", redirected)),
    (Outside.REDIRECT, at("GET", "config", redirected)),
    (Outside.NO_KEEP_ALIVE, closed),
    (Outside.PREFLIGHT_STATUS, at("OPTIONS", "track", answer(405))),
    (Outside.PREFLIGHT_STATUS, at("OPTIONS", "track", answer(502))),
    (Outside.CORS_MISSING, at("POST", "track", field(f"{ALLOW}Origin", None))),
    (Outside.CORS_MISSING, at("GET", "config", field(f"{ALLOW}Origin", None))),
    (Outside.CORS_MISSING, at("OPTIONS", "track", field(f"{ALLOW}Origin", None))),
    (Outside.CORS_TWICE, at("POST", "track", also(f"{ALLOW}Origin", "*"))),
    (Outside.CORS_TWICE, at("GET", "config", field(f"{ALLOW}Origin", f"{ORIGIN}, {ORIGIN}"))),
    (Outside.CORS_TWICE, at("POST", "track", also(f"{ALLOW}Credentials", "true"))),
    (Outside.CORS_OTHER_ORIGIN, at("GET", "config", field(f"{ALLOW}Origin", "https://www.example.com"))),
    (Outside.CORS_STAR, at("POST,OPTIONS", "track", field(f"{ALLOW}Origin", "*"))),
    (Outside.CORS_NO_CREDENTIALS, at("OPTIONS", "track", field(f"{ALLOW}Credentials", None))),
    (Outside.CORS_NO_CREDENTIALS, at("POST", "track", field(f"{ALLOW}Credentials", "True"))),
    (Outside.ALLOW_HEADERS, at("OPTIONS", "track", field(f"{ALLOW}Headers", "content-type, authorization"))),
    (Outside.ALLOW_HEADERS, at("OPTIONS", "track", field(f"{ALLOW}Headers", UPLOAD_HEADERS[: -len("g")]))),
    (Outside.ALLOW_HEADERS_STAR, at("OPTIONS", "track", field(f"{ALLOW}Headers", "*"))),
    (Outside.MAX_AGE, at("OPTIONS", "track", field("Access-Control-Max-Age", None))),
    (Outside.MAX_AGE, at("OPTIONS", "track", field("Access-Control-Max-Age", "60"))),
    (Outside.VARY_ORIGIN, at("GET", "config", field("Vary", "Accept-Encoding"))),
    (Outside.ANY_ORIGIN, at("OPTIONS", "track", echoed)),
    (Outside.EXPOSE_HEADERS, at("POST", "track", field("Access-Control-Expose-Headers", "Retry-After"))),
    (Outside.EXPOSE_HEADERS, at("POST", "track", field("Access-Control-Expose-Headers", None))),
    (Outside.PATH_UNKNOWN, at("POST", "track", answer(404))),
    (Outside.METHOD_REFUSED, at("POST", "track", answer(405))),
    (Outside.UPLOAD_BROKEN, at("POST", "track", answer(502))),
    (Outside.GZIP_ALTERED, at("POST", "track", unpacked)),
    (Outside.BODY_LIMIT, at("POST", "track", limited(1024 * 1024))),
    (Outside.BODY_LIMIT, at("POST", "track", limited(2 * 1024 * 1024, is_cut=True))),
    (Outside.CONFIG_LATE, at("GET", "config", late)),
    (Outside.CONFIG_BROKEN, at("GET", "config", answer(504))),
    (Outside.CONFIG_UNKNOWN, at("GET", "config", answer(404))),
    (Outside.CONFIG_NOT_JSON, at("GET", "config", answer(200, "text/html", b"<html>"))),
    (Outside.CONFIG_NOT_JSON, at("GET", "config", answer(204, body=b""))),
    (Outside.CONFIG_TYPE, at("GET", "config", answer(200, "text/plain", b"{}"))),
    (Outside.CONFIG_CODING, at("GET", "config", also("Content-Encoding", "gzip"))),
    (Outside.CONFIG_OLD_SHAPE, at("GET", "config", old_shape_unknown)),
    (Outside.CONFIG_PREFLIGHT, at("OPTIONS", "config", answer(405))),
    (Outside.CONFIG_PREFLIGHT, at("OPTIONS", "config", field(f"{ALLOW}Origin", None))),
    (Outside.REFUSAL_UNREADABLE, at("PUT", "track", field(f"{ALLOW}Origin", None))),
    (Outside.REFUSAL_UNREADABLE, at("POST,GET", "elsewhere", field(f"{ALLOW}Origin", None))),
    (Outside.PREFIX_MATCH, at("POST,GET", "elsewhere", similar)),
    (Outside.SET_COOKIE, at("POST", "track", also("Set-Cookie", "vendor=1; Path=/"))),
    (Outside.SET_COOKIE, at("GET", "config", also("Set-Cookie", "vendor=1; Path=/"))),
]


@pytest.mark.parametrize(("expected", "flaw"), FLAWS, ids=[finding.label for finding, _ in FLAWS])
def test_a_flaw_is_found_and_nothing_else(proxy: FlawedProxy, expected: Outside, flaw: Flaw) -> None:
    proxy.flaw = flaw
    found = findings(proxy)
    assert names(found) == [expected.label]
    assert found[0].state == expected.state
    assert found[0].where
    assert found[0].remedy


def test_over_a_correct_proxy_nothing_is_found_and_each_step_is_told(proxy: FlawedProxy) -> None:
    checks = list(check_outside(Outing(Sdk(proxy.track, proxy.config))))
    assert [check for check in checks if check.state != "ok"] == []
    told = [check.name for check in checks]
    assert {"way", "configuration", "preflight of an upload", "upload", "upload on leaving"} <= set(told)
    assert len(told) == len(set(told))


def test_what_the_vendor_says_of_an_invented_key_is_no_finding(proxy: FlawedProxy) -> None:
    proxy.flaw = at("POST,GET", "track,config", answer(403))
    assert findings(proxy) == []


def test_with_a_key_of_ones_own_a_refusal_is_one_and_the_key_is_not_shown(proxy: FlawedProxy) -> None:
    proxy.flaw = at("POST,GET", "track,config", answer(403))
    key = "0123456789abcdef0123456789abcdef"
    found = findings(proxy, api_key=key)
    assert names(found) == [Outside.CONFIG_REFUSED.label, Outside.UPLOAD_REFUSED.label]
    proxy.flaw = at("GET", "config", lambda asked, reply: reply.fields.add("Set-Cookie", f"{key}=1"))
    assert key not in repr(list(check_outside(Outing(Sdk(proxy.track, proxy.config, api_key=key)))))


@pytest.mark.parametrize(
    ("status", "expected", "interim"), [(417, Outside.EXPECT_REFUSED, 3.0), (0, Outside.EXPECT_IGNORED, 0.3)]
)
def test_expectations(proxy: FlawedProxy, status: int, expected: Outside, interim: float) -> None:
    proxy.expectation = status
    assert names(findings(proxy, Patience(interim=interim))) == [expected.label]


def test_a_request_without_an_answer_keeps_no_other_from_being_asked(proxy: FlawedProxy) -> None:
    def flaw(asked: Asked, reply: Reply) -> None:
        reply.delay = 3.5

    proxy.flaw = at("OPTIONS", "config", flaw)
    assert names(findings(proxy, Patience(answer=3.0))) == [Outside.NO_ANSWER.label]


def test_the_same_finding_in_several_places_is_told_once(proxy: FlawedProxy) -> None:
    proxy.flaw = at("POST,GET", "track,config", field(f"{ALLOW}Origin", None))
    (found,) = findings(proxy)
    assert found.where == "configuration, upload, upload on leaving"


def test_how_large_a_body_may_be_is_told_in_steps(proxy: FlawedProxy) -> None:
    proxy.flaw = at("POST", "track", limited(1024 * 1024))
    assert "an upload of 5 MB is answered 413, and so is one of 1.1 MB" in findings(proxy)[0].what
    proxy.flaw = at("POST", "track", limited(2 * 1024 * 1024))
    assert "an upload of 5 MB is answered 413: " in findings(proxy)[0].what


def test_what_browsers_send_is_what_arrives(proxy: FlawedProxy) -> None:
    seen: list[Asked] = []
    proxy.flaw = lambda asked, reply: seen.append(asked)
    assert findings(proxy) == []
    preflight = next(each for each in seen if each.method == "OPTIONS" and each.place == "track")
    assert preflight.fields["Access-Control-Request-Headers"] == (
        "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
        "x-client-version,x-sampling-hash-alg"
    )
    upload = next(each for each in seen if "Content-Encoding" in each.fields)
    assert upload.fields["Content-Encoding"] == "gzip"
    assert upload.fields["Authorization"] == "Bearer replay-gateway-doctor"
    leaving = next(each for each in seen if "api_key=" in each.target and each.method == "POST")
    assert leaving.fields["Cookie"] == "replay-gateway-doctor=1"
    assert "Authorization" not in leaving.fields
    assert {each.fields.get("Origin") for each in seen} == {ORIGIN, "https://replay-gateway-doctor.invalid"}
    assert any("/config/../" in each.target for each in seen)
