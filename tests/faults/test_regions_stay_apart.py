"""What belongs to one region never reaches another, least of all when its own upstream is down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.cases import HOST, head
from tests.faults.traffic import QUIET, ask, assert_readable, leaving_nothing
from tests.gateway import Gateway, free_port
from tests.standin import StandIn

EU_KEY = "eu0123456789abcdef0123456789abcd"
US_KEY = "us0123456789abcdef0123456789abcd"
HEADER = b"CloudFront-Viewer-Country"
REGION: dict[str, Any] = {
    "hosts": {"replay-eu.example.com": "eu"},
    "api_keys": {EU_KEY: "eu", US_KEY: "us"},
    "header": {"name": HEADER.decode(), "values": {"DE": "eu", "FR": "eu", "US": "us"}},
}
ORIGIN = b"Origin: https://app.example.com"
EU_HOST = b"Host: replay-eu.example.com"


def track(*lines: bytes, query: str = "type=replay", host: bytes = HOST) -> bytes:
    """An upload."""
    return (
        head(f"POST /sessions/v2/track?{query} HTTP/1.1".encode(), host, ORIGIN, *lines, b"Content-Length: 2") + b"{}"
    )


def fetch(target: str, *lines: bytes, host: bytes = HOST) -> bytes:
    """A config request."""
    return head(f"GET {target} HTTP/1.1".encode(), host, ORIGIN, *lines)


BY_HOST = {
    "host": track(host=EU_HOST),
    "host-with-port": track(host=EU_HOST + b":8443"),
    "host-upper-case": track(host=EU_HOST.upper().replace(b"HOST", b"Host")),
    "host-for-config": fetch(f"/config/{US_KEY}", host=EU_HOST),
}
REWRITTEN = b"Host: gateway.internal"
BY_FORWARDED_HOST = {
    "forwarded-host": track(b"X-Forwarded-Host: replay-eu.example.com", host=REWRITTEN),
    "forwarded-host-with-port": track(b"X-Forwarded-Host: Replay-EU.example.com:8443", host=REWRITTEN),
    "forwarded-host-last": track(b"X-Forwarded-Host: evil.example, replay-eu.example.com", host=REWRITTEN),
    "forwarded-host-for-config": fetch(f"/config/{US_KEY}", b"X-Forwarded-Host: replay-eu.example.com", host=REWRITTEN),
}
BY_KEY = {
    "bearer": track(b"Authorization: Bearer " + EU_KEY.encode()),
    "beacon-query": track(query=f"type=replay&api_key={EU_KEY}"),
    "config-path": fetch(f"/config/{EU_KEY}?config_group=browser"),
    "config-query": fetch(f"/config?api_key={EU_KEY}&config_keys=sessionReplay"),
}
BY_HEADER = {"header": track(HEADER + b": DE"), "header-for-config": fetch("/config/other", HEADER + b": FR")}
DEFAULT = {
    "upload": track(),
    "config": fetch(f"/config/{US_KEY}"),
    "other-host": track(host=b"Host: replay-eu.example.com.evil.example"),
    "other-key": track(b"Authorization: Bearer " + EU_KEY[:-1].encode()),
    "key-elsewhere": track(query=f"type=replay&device_id={EU_KEY}"),
    "forwarded-host-not-last": track(b"X-Forwarded-Host: replay-eu.example.com, replay.example.com"),
    "forwarded-host-malformed": track(b"X-Forwarded-Host: replay-eu.example.com:443:443"),
}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """Region rules of every kind; the tests' own address is a trusted proxy."""
    settings = {**QUIET, "region": REGION, "client_ip": {"trusted_proxies": ["127.0.0.0/8"]}}
    with Gateway(settings, standin=vendor) as running, leaving_nothing(running):
        yield running


RULED = {**BY_HOST, **BY_FORWARDED_HOST, **BY_KEY, **BY_HEADER}


@pytest.mark.parametrize("name", RULED)
def test_a_rule_leads_to_its_region(gateway: Gateway, standin: StandIn, name: str) -> None:
    assert_readable(ask(gateway, RULED[name]), 200)
    (record,) = standin.requests()
    assert record["site"] == "eu-tls"
    assert record["tls_sni"] in ("api-sr.eu.amplitude.com", "sr-client-cfg.eu.amplitude.com")


@pytest.mark.parametrize("name", DEFAULT)
def test_what_no_rule_names_goes_to_the_default(gateway: Gateway, standin: StandIn, name: str) -> None:
    assert_readable(ask(gateway, DEFAULT[name]), 200)
    assert [record["site"] for record in standin.requests()] == ["us-tls"]


def test_the_host_comes_before_the_key_and_the_key_before_the_header(gateway: Gateway, standin: StandIn) -> None:
    us = b"Authorization: Bearer " + US_KEY.encode()
    assert ask(gateway, track(us, HEADER + b": DE", host=EU_HOST)).status == 200
    assert ask(gateway, track(us, HEADER + b": DE")).status == 200
    assert [record["site"] for record in standin.requests()] == ["eu-tls", "us-tls"]


def test_one_who_is_no_trusted_proxy_is_not_believed(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**QUIET, "region": REGION}, standin=vendor) as gateway:
        for request in (*BY_HEADER.values(), *BY_FORWARDED_HOST.values()):
            assert ask(gateway, request).status == 200
    assert {record["site"] for record in standin.requests()} == {"us-tls"}


@pytest.mark.parametrize("action", ["reset_on_accept", "close_before_answer", "hang", "garbage", "status"])
@pytest.mark.parametrize("name", ["host", "forwarded-host", "bearer", "beacon-query", "config-path", "header"])
def test_a_region_that_fails_is_not_replaced(
    vendor: StandIn, standin: StandIn, name: str, action: str, brief: Gateway
) -> None:
    standin.behave({"match": {"site": "eu-tls"}, "action": action})
    request = RULED[name]
    for _ in range(3):
        answer = ask(brief, request)
        assert_readable(answer, answer.status)
        assert answer.status in (502, 503, 504)
    assert standin.counts()["us-tls"]["requests"] == 0


@pytest.fixture(scope="module")
def brief(vendor: StandIn) -> Iterator[Gateway]:
    """The same with little patience, and nothing left of good days: no answer, no connection."""
    settings = {
        **QUIET,
        "region": REGION,
        "client_ip": {"trusted_proxies": ["127.0.0.0/8"]},
        "breaker": {"failures": 2, "open": "200ms"},
        "timeouts": {"first_byte": "100ms", "config_total": "100ms"},
        "config_cache": {"stale_if_error": 0},
        "limits": {"upstream_idle": 0},
    }
    with Gateway(settings, standin=vendor) as running, leaving_nothing(running):
        yield running


def test_a_region_that_is_down_is_not_replaced(vendor: StandIn, standin: StandIn) -> None:
    down = f"http://127.0.0.1:{free_port()}"
    eu = {"track": f"{down}/sessions/v2/track", "config": f"{down}/config"}
    with Gateway(
        {**QUIET, "region": REGION, "upstreams": {"eu": eu}, "breaker": {"failures": 0}}, standin=vendor
    ) as gateway:
        for request in (*BY_HOST.values(), *BY_KEY.values()):
            assert_readable(ask(gateway, request), 502)
        assert_readable(ask(gateway, track()), 200)
    assert [record["target"] for record in standin.requests()] == ["/sessions/v2/track?type=replay"]


def test_the_last_good_config_of_one_region_is_not_given_for_another(
    vendor: StandIn, standin: StandIn, gateway: Gateway
) -> None:
    key = "shared-between-regions"
    assert ask(gateway, fetch(f"/config/{key}", host=EU_HOST)).status == 200
    standin.behave({"action": "reset_before_answer"})
    assert_readable(ask(gateway, fetch(f"/config/{key}")), 502)
    stale = ask(gateway, fetch(f"/config/{key}", host=EU_HOST))
    assert_readable(stale, 200)
    assert b'"region":"eu"' in stale.body.replace(b" ", b"")


CONTRADICTORY = {
    "bearer-and-query": track(b"Authorization: Bearer " + US_KEY.encode(), query=f"type=replay&api_key={EU_KEY}"),
    "query-and-bearer": track(b"Authorization: Bearer " + EU_KEY.encode(), query=f"type=replay&api_key={US_KEY}"),
    "two-in-the-query": track(query=f"api_key={US_KEY}&api_key={EU_KEY}"),
    "hidden-in-the-query": track(b"Authorization: Bearer " + US_KEY.encode(), query=f"api%5Fkey={EU_KEY}"),
    "path-and-query": fetch(f"/config/{US_KEY}?api_key={EU_KEY}"),
    "path-and-bearer": fetch(f"/config/{EU_KEY}", b"Authorization: Bearer " + US_KEY.encode()),
    "one-without-a-rule": fetch(f"/config/{EU_KEY}?api_key=other"),
}


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_a_request_with_keys_of_two_regions_goes_to_neither(gateway: Gateway, standin: StandIn, name: str) -> None:
    assert_readable(ask(gateway, CONTRADICTORY[name]), 421)
    assert not standin.requests()


def test_strict_rules_refuse_what_none_of_them_names(vendor: StandIn, standin: StandIn) -> None:
    with Gateway({**QUIET, "region": {**REGION, "strict": True}}, standin=vendor) as gateway:
        for request in (track(), fetch("/config/unknown-key"), DEFAULT["other-key"]):
            assert_readable(ask(gateway, request), 421)
        assert not standin.requests()
        assert_readable(ask(gateway, BY_KEY["bearer"]), 200)
        assert_readable(ask(gateway, DEFAULT["config"]), 200)
    assert [record["site"] for record in standin.requests()] == ["eu-tls", "us-tls"]
