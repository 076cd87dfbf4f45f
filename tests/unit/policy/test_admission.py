"""Proves the order of blame: which reason is given when several would fit, that each policy is asked with the values it
needs, and that no request is sent to a target of another region or route."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Reason, Route
from proxy.policy.admission import Admission, Admit, allowed_methods
from proxy.policy.headers import HeaderPolicy
from proxy.policy.origins import CorsPolicy
from proxy.settings import Settings
from proxy.wire.request import RequestHead

UPLOAD = b"POST /sessions/v2/track?type=replay HTTP/1.1"
ASK = b"GET /config/key-1?config_group=browser HTTP/1.1"
APP = b"Origin: https://app.example.com"
EVIL = b"Origin: https://evil.example"
KEY = b"Authorization: Bearer key-1"


class Gate:
    """An admission under some settings, and a client in front of it."""

    def __init__(self, peer: str = "192.0.2.7", **settings: Any) -> None:
        read = Settings.model_validate(settings)
        headers = HeaderPolicy(read)
        self.admission = Admission(read, headers, CorsPolicy(read.cors))
        self._reader = headers.reader(read)
        self._client = headers.client(peer, False)

    def judge(self, first: bytes, *lines: bytes, now: float = 0.0) -> Admit | Reason:
        request = self._reader.read(b"\r\n".join((first, b"Host: gw.example", *lines)))
        assert isinstance(request, RequestHead), request
        match = self.admission.match(request)
        return match if isinstance(match, Reason) else self.admission.judge(request, match, self._client, now)

    def target(self, first: bytes, *lines: bytes) -> tuple[str, Route]:
        verdict = self.judge(first, *lines)
        assert isinstance(verdict, Admit), verdict
        return verdict.target.region, verdict.target.route


def test_uploads_and_questions_pass_to_their_own_targets() -> None:
    gate = Gate()
    assert gate.target(UPLOAD) == ("us", Route.TRACK)
    assert gate.target(ASK) == ("us", Route.CONFIG)
    assert gate.target(b"HEAD /config HTTP/1.1") == ("us", Route.CONFIG)


def test_what_is_passed_on_of_the_target_is_the_clients_own() -> None:
    verdict = Gate().judge(b"GET /config/a%20b?x=%2F HTTP/1.1")
    assert isinstance(verdict, Admit)
    assert (verdict.match.suffix, verdict.match.query) == (b"/a%20b", b"?x=%2F")


@pytest.mark.parametrize(
    "target", [b"/", b"/sessions", b"/sessions/v2/trackx", b"/configx", b"/config/a/b", b"/sessions/v2/track/"]
)
def test_no_other_path_is_served(target: bytes) -> None:
    assert Gate().judge(b"POST " + target + b" HTTP/1.1") is Reason.UNKNOWN_PATH


@pytest.mark.parametrize(
    "target", [b"http://vendor.example/config", b"*", b"/config/..", b"/config/%2e%2e", b"/config/a%2Fb", b"/a#b"]
)
def test_a_target_that_is_no_plain_path_is_refused(target: bytes) -> None:
    assert Gate().judge(b"GET " + target + b" HTTP/1.1") is Reason.BAD_TARGET


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"post"])
def test_an_upload_is_a_post(method: bytes) -> None:
    assert Gate().judge(method + b" /sessions/v2/track HTTP/1.1") is Reason.METHOD


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE"])
def test_a_question_is_a_get(method: bytes) -> None:
    assert Gate().judge(method + b" /config/key-1 HTTP/1.1") is Reason.METHOD


def test_what_is_allowed_is_said_as_it_is_decided() -> None:
    assert allowed_methods(Route.TRACK) == b"POST, OPTIONS"
    assert allowed_methods(Route.CONFIG) == b"GET, HEAD, OPTIONS"


def test_foreign_origins_are_served_unless_they_are_to_be_refused() -> None:
    cors = {"allow_origins": ["https://app.example.com"]}
    assert Gate(cors=cors).target(UPLOAD, EVIL) == ("us", Route.TRACK)
    strict = Gate(cors=cors | {"foreign_origin": "refuse"})
    assert strict.judge(UPLOAD, EVIL) is Reason.FOREIGN_ORIGIN
    assert strict.judge(UPLOAD, b"Origin: null") is Reason.FOREIGN_ORIGIN
    assert strict.judge(UPLOAD, APP, APP) is Reason.FOREIGN_ORIGIN
    assert strict.target(UPLOAD, APP) == ("us", Route.TRACK)
    assert strict.target(UPLOAD) == ("us", Route.TRACK)  # native apps send none


def test_a_key_that_is_for_other_pages_is_refused_on_both_routes() -> None:
    gate = Gate(keys={"origins": {"key-1": ["https://app.example.com"]}})
    for first, line in ((UPLOAD, KEY), (ASK, b"Accept: */*"), (b"GET /config?api_key=key-1 HTTP/1.1", b"Accept: */*")):
        assert isinstance(gate.judge(first, line, APP), Admit)
        assert isinstance(gate.judge(first, line), Admit)
        assert gate.judge(first, line, EVIL) is Reason.KEY_ORIGIN
        assert gate.judge(first, line, b"Origin: null") is Reason.KEY_ORIGIN


def test_of_a_foreign_origin_that_is_served_it_is_told() -> None:
    listed = {"allow_origins": ["https://app.example.com"]}
    gate = Gate(cors=listed)
    for line, expected in ((APP, False), (EVIL, True), (b"Origin: null", True), (b"Accept: */*", False)):
        verdict = gate.judge(UPLOAD, line)
        assert isinstance(verdict, Admit)
        assert verdict.is_foreign is expected
    open_to_all = Gate().judge(UPLOAD, EVIL)
    assert isinstance(open_to_all, Admit)
    assert not open_to_all.is_foreign
    assert Gate(cors={**listed, "foreign_origin": "refuse"}).judge(UPLOAD, EVIL) is Reason.FOREIGN_ORIGIN


GPC = b"Sec-GPC: 1"


@pytest.mark.parametrize("first", [UPLOAD, ASK])
def test_who_has_opted_out_is_dropped_only_where_that_is_set(first: bytes) -> None:
    for gpc in ("forward", "strip"):
        assert isinstance(Gate(privacy={"gpc": gpc}).judge(first, GPC), Admit)
    gate = Gate(privacy={"gpc": "drop"})
    assert gate.judge(first, GPC) is Reason.GPC
    assert isinstance(gate.judge(first, b"Sec-GPC: 0"), Admit)
    assert isinstance(gate.judge(first), Admit)


def test_who_has_opted_out_is_told_so_before_key_region_and_size_but_after_path_origin_and_rate() -> None:
    gate = Gate(
        privacy={"gpc": "drop"},
        keys={"allow": ["key-1"]},
        region={"strict": True},
        limits={"body": 1, "per_ip": {"rate": 1, "burst": 1}},
        cors={"allow_origins": ["https://app.example.com"], "foreign_origin": "refuse"},
    )
    assert gate.judge(UPLOAD, GPC, b"Content-Length: 9") is Reason.GPC
    assert gate.judge(UPLOAD, GPC) is Reason.RATE_PER_IP
    assert gate.judge(UPLOAD, GPC, EVIL) is Reason.FOREIGN_ORIGIN
    assert gate.judge(UPLOAD.replace(b"POST", b"GET"), GPC) is Reason.METHOD


def test_a_key_that_is_not_listed_is_refused_on_both_routes() -> None:
    gate = Gate(keys={"allow": ["key-1"]})
    assert gate.target(UPLOAD, KEY) == ("us", Route.TRACK)
    assert gate.target(ASK) == ("us", Route.CONFIG)
    for first in (UPLOAD, b"GET /config/key-2 HTTP/1.1", b"GET /config?api_key=key-2 HTTP/1.1"):
        assert gate.judge(first) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (b"POST /sessions/v2/track?api_key=key-1 HTTP/1.1", b"Authorization: Bearer foreign"),
        (b"POST /sessions/v2/track?api_key=foreign HTTP/1.1", KEY),
        (b"POST /sessions/v2/track?api%5Fkey=foreign HTTP/1.1", KEY),
        (b"POST /sessions/v2/track?api_key=key-1&api_key=foreign HTTP/1.1", KEY),
        (b"GET /config/key-1?api_key=foreign HTTP/1.1", KEY),
        (b"GET /config/key-1 HTTP/1.1", b"Authorization: Bearer foreign"),
    ],
)
def test_a_listed_key_does_not_hide_another(first: bytes, line: bytes) -> None:
    assert Gate(keys={"allow": ["key-1", "key-2"]}).judge(first, line) is Reason.UNKNOWN_KEY
    assert isinstance(Gate(keys={"allow": ["key-1", "foreign"]}).judge(first, line), Admit)
    assert isinstance(Gate().judge(first, line), Admit)


def test_a_key_that_names_another_region_does_not_lead_there() -> None:
    gate = Gate(region=REGION)
    assert gate.judge(b"POST /sessions/v2/track?api_key=key-eu HTTP/1.1", KEY) is Reason.NO_REGION
    assert gate.judge(b"GET /config/key-1?api_key=key-eu HTTP/1.1") is Reason.NO_REGION
    assert gate.target(b"GET /config/key-eu?api_key=key-eu HTTP/1.1") == ("eu", Route.CONFIG)


def test_every_key_that_a_request_names_pays_for_it() -> None:
    gate = Gate(limits={"per_key": {"rate": 1, "burst": 2}})
    for number in range(2):
        assert isinstance(gate.judge(b"POST /sessions/v2/track?api_key=%d HTTP/1.1" % number, KEY), Admit)
    assert gate.judge(b"POST /sessions/v2/track?api_key=3 HTTP/1.1", KEY) is Reason.RATE_PER_KEY
    assert gate.judge(UPLOAD, KEY) is Reason.RATE_PER_KEY


def test_an_address_that_asks_too_often_has_to_wait() -> None:
    gate = Gate(limits={"per_ip": {"rate": 1, "burst": 2}})
    verdicts = [gate.judge(UPLOAD, now=1.0) for _ in range(3)]
    assert [isinstance(verdict, Admit) for verdict in verdicts] == [True, True, False]
    assert verdicts[2] is Reason.RATE_PER_IP
    assert isinstance(gate.judge(UPLOAD, now=2.0), Admit)


def test_behind_a_trusted_proxy_every_client_has_a_rate_of_its_own() -> None:
    gate = Gate("10.1.2.3", client_ip={"trusted_proxies": ["10.0.0.0/8"]}, limits={"per_ip": {"rate": 1, "burst": 1}})
    first, second = b"X-Forwarded-For: 9.9.9.9, 198.51.100.1", b"X-Forwarded-For: 9.9.9.9, 198.51.100.2"
    assert isinstance(gate.judge(UPLOAD, first), Admit)
    assert gate.judge(UPLOAD, first) is Reason.RATE_PER_IP
    assert isinstance(gate.judge(UPLOAD, second), Admit)


def test_a_client_cannot_give_itself_another_address() -> None:
    gate = Gate(limits={"per_ip": {"rate": 1, "burst": 1}})
    assert isinstance(gate.judge(UPLOAD, b"X-Forwarded-For: 9.9.9.1"), Admit)
    assert gate.judge(UPLOAD, b"X-Forwarded-For: 9.9.9.2") is Reason.RATE_PER_IP


def test_a_key_that_is_used_too_often_has_to_wait_wherever_it_stands() -> None:
    gate = Gate(limits={"per_key": {"rate": 1, "burst": 2}})
    assert isinstance(gate.judge(UPLOAD, KEY), Admit)
    assert isinstance(gate.judge(b"POST /sessions/v2/track?api_key=key-1 HTTP/1.1"), Admit)
    assert gate.judge(ASK) is Reason.RATE_PER_KEY
    assert isinstance(gate.judge(UPLOAD, b"Authorization: Bearer key-2"), Admit)
    assert all(isinstance(gate.judge(UPLOAD), Admit) for _ in range(5))  # no key, no limit of a key


REGION = {
    "hosts": {"eu.gw.example": "eu"},
    "api_keys": {"key-eu": "eu"},
    "header": {"name": "Country", "values": {"DE": "eu"}},
}


@pytest.mark.parametrize("first", [UPLOAD, ASK])
def test_the_region_rules_are_asked_with_what_they_need(first: bytes) -> None:
    route = Route.TRACK if first is UPLOAD else Route.CONFIG
    gate = Gate("10.1.2.3", region=REGION, client_ip={"trusted_proxies": ["10.0.0.0/8"]})
    assert gate.target(first) == ("us", route)
    assert gate.target(first, b"Country: DE") == ("eu", route)
    assert Gate(region=REGION).target(first, b"Country: DE") == ("us", route)
    assert gate.target(UPLOAD, b"Authorization: Bearer key-eu") == ("eu", Route.TRACK)
    assert gate.target(b"GET /config/key-eu HTTP/1.1") == ("eu", Route.CONFIG)


def test_a_host_that_a_trusted_proxy_rewrote_leads_to_the_browsers_region() -> None:
    proxy = {"client_ip": {"trusted_proxies": ["10.0.0.0/8"]}}
    for said, region in ((b"eu.gw.example", "eu"), (b"x.example, EU.gw.example:8443", "eu"), (b"gw.example", "us")):
        line = b"X-Forwarded-Host: " + said
        assert Gate("10.1.2.3", region=REGION, **proxy).target(UPLOAD, line) == (region, Route.TRACK)
        assert Gate("192.0.2.7", region=REGION, **proxy).target(UPLOAD, line) == ("us", Route.TRACK)


def test_without_a_matching_rule_a_strict_gateway_refuses() -> None:
    gate = Gate(region={"api_keys": {"key-eu": "eu"}, "strict": True})
    assert gate.judge(UPLOAD, KEY) is Reason.NO_REGION
    assert gate.target(UPLOAD, b"Authorization: Bearer key-eu") == ("eu", Route.TRACK)


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes() -> None:
    gate = Gate(limits={"body": "1KiB"})
    assert isinstance(gate.judge(UPLOAD, b"Content-Length: 1024"), Admit)
    assert gate.judge(UPLOAD, b"Content-Length: 1025") is Reason.BODY_TOO_LARGE
    assert isinstance(gate.judge(UPLOAD, b"Transfer-Encoding: chunked"), Admit)


BLAME: list[tuple[Reason, bytes, bytes]] = [
    # What makes a request guilty of one thing, in the order in which guilt is looked for.
    (Reason.METHOD, b"PUT", b""),
    (Reason.FOREIGN_ORIGIN, b"", EVIL),
    (Reason.RATE_PER_IP, b"", b""),
    (Reason.UNKNOWN_KEY, b"", b"Authorization: Bearer key-9"),
    (Reason.NO_REGION, b"", KEY),
    (Reason.BODY_TOO_LARGE, b"", b"Content-Length: 2000"),
]


@pytest.mark.parametrize("number", range(len(BLAME)))
def test_of_several_reasons_the_first_in_the_order_of_blame_is_given(number: int) -> None:
    guilty = BLAME[number:]
    asked_before = any(reason is Reason.RATE_PER_IP for reason, _, _ in guilty)
    strict = any(reason is Reason.NO_REGION for reason, _, _ in guilty)
    gate = Gate(
        cors={"allow_origins": ["https://app.example.com"], "foreign_origin": "refuse"},
        limits={"per_ip": {"rate": 0.001, "burst": 1}, "body": "1KiB"},
        keys={"allow": ["key-1"]},
        region={"strict": strict},
    )
    if asked_before:
        gate.judge(UPLOAD)
    first = (guilty[0][1] or b"POST") + UPLOAD[4:]
    lines = {line.partition(b":")[0]: line for _, _, line in reversed(guilty) if line}  # of two keys, the guilty one
    lines.setdefault(b"Authorization", KEY)
    assert gate.judge(first, *lines.values()) is guilty[0][0]


def test_every_region_has_a_target_for_each_route() -> None:
    other = {"track": "https://a.example/t", "config": "https://a.example/c"}
    targets = Gate(upstreams={"lab": other}).admission.targets
    assert {(target.region, target.route) for target in targets} == {
        (region, route) for region in ("us", "eu", "lab") for route in Route
    }


@given(
    st.sampled_from([UPLOAD, ASK, b"OPTIONS /config HTTP/1.1", b"PUT /x HTTP/1.1"]),
    st.lists(st.sampled_from([APP, EVIL, KEY]), max_size=3, unique=True),
)
def test_a_verdict_is_a_target_of_the_requests_own_route_or_a_reason(first: bytes, lines: list[bytes]) -> None:
    verdict = Gate(region=REGION).judge(first, *lines)
    if isinstance(verdict, Admit):
        assert verdict.target.route is verdict.match.route
    else:
        assert verdict in Reason
