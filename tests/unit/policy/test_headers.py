"""Proves what reaches the upstream and the client: nothing of one hop, nothing forged, everything else byte for byte,
and no line that anybody but the gateway or its operator has written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.verdict import Reason, Route
from proxy.policy.headers import ClientSide, HeaderPolicy, answer_head, sane_request_id
from proxy.policy.routing import Match
from proxy.policy.targets import Target
from proxy.settings import Settings
from proxy.settings.privacy import ADDRESS_FIELDS
from proxy.settings.upstreams import Upstream
from proxy.wire.answer import AnswerReader
from proxy.wire.request import RequestHead

TRACK = Target("us", Route.TRACK, Upstream.model_validate("https://vendor.example/sessions/v2/track"))
CONFIG = Target("us", Route.CONFIG, Upstream.model_validate("https://vendor.example:8443/config"))
REPLAY = Match(Route.TRACK, b"", b"?type=replay")
SETTINGS = {"client_ip": {"trusted_proxies": ["10.0.0.0/8"]}, "headers": {"forward_cookies": ["consent", "lang"]}}


class Side:
    """A policy, its reader, and a client at an address."""

    def __init__(self, settings: dict[str, Any] | None = None, peer: str = "192.0.2.7", *, tls: bool = True) -> None:
        self.settings = Settings.model_validate(settings or {})
        self.policy = HeaderPolicy(self.settings)
        self.reader = self.policy.reader(self.settings)
        self.client: ClientSide = self.policy.client(peer, tls)

    def read(self, *lines: bytes, first: bytes = b"POST /x HTTP/1.1", host: bytes = b"gw.example") -> RequestHead:
        head = b"\r\n".join((first, *((b"Host: " + host,) if host else ()), *lines))
        request = self.reader.read(head)
        assert isinstance(request, RequestHead), request
        return request

    def sent(self, *lines: bytes, host: bytes = b"gw.example", first: bytes = b"POST /x HTTP/1.1") -> list[bytes]:
        """The lines of the head for the upstream."""
        request = self.read(*lines, host=host, first=first)
        head = self.policy.upstream_head(request, self.client, TRACK, REPLAY).render(request.content_length, b"id-1")
        assert head.endswith(b"\r\n\r\n")
        assert head.count(b"\r\n\r\n") == 1
        return head[:-4].split(b"\r\n")

    def identity(self, *lines: bytes, match: Match | None = None, first: bytes = b"GET /x HTTP/1.1") -> bytes:
        request = self.read(*lines, first=first)
        match = match or Match(Route.CONFIG, b"/key", b"?a=b")
        return self.policy.config_identity(request, CONFIG, match) + self.policy.config_conditions(request, match)


OURS = [
    b"X-Real-IP: 192.0.2.7",
    b"X-Forwarded-For: 192.0.2.7",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: gw.example",
]


def names(lines: list[bytes]) -> list[bytes]:
    return [line.partition(b":")[0].lower() for line in lines[1:]]


def test_the_head_of_an_upload() -> None:
    lines = [b"Authorization: Bearer k", b"Content-Length: 3", b"X-a:  b ", b"Origin: https://app.example", b"X-A: c"]
    assert Side().sent(*lines) == [
        b"POST /sessions/v2/track?type=replay HTTP/1.1",
        b"Host: vendor.example",
        *lines,
        *OURS,
        b"X-Request-Id: id-1",
    ]


@pytest.mark.parametrize(
    ("target", "match", "expected"),
    [
        (TRACK, Match(Route.TRACK, b"", b""), b"POST /sessions/v2/track HTTP/1.1\r\nHost: vendor.example\r\n"),
        (TRACK, Match(Route.TRACK, b"", b"?"), b"POST /sessions/v2/track? HTTP/1.1\r\n"),
        (TRACK, Match(Route.TRACK, b"", b"?a=%2F|b&c"), b"POST /sessions/v2/track?a=%2F|b&c HTTP/1.1\r\n"),
        (
            CONFIG,
            Match(Route.CONFIG, b"/k%20ey", b"?g=b"),
            b"POST /config/k%20ey?g=b HTTP/1.1\r\nHost: vendor.example:8443\r\n",
        ),
    ],
)
def test_the_target_and_host_are_the_upstreams_and_the_rest_the_clients(
    target: Target, match: Match, expected: bytes
) -> None:
    side = Side()
    request = side.read(host=b"other.example:99")
    head = side.policy.upstream_head(request, side.client, target, match).render(-1, b"id")
    assert head.startswith(expected)
    assert head.count(b"\r\nHost:") == 1


@pytest.mark.parametrize(("suffix", "expected"), [(b"", b"POST /?a HTTP/1.1\r\n"), (b"/k", b"POST /k?a HTTP/1.1\r\n")])
def test_an_upstream_without_a_path_gets_one(suffix: bytes, expected: bytes) -> None:
    side = Side()
    target = Target("us", Route.TRACK, Upstream.model_validate("https://vendor.example"))
    match = Match(Route.TRACK, suffix, b"?a")
    head = side.policy.upstream_head(side.read(), side.client, target, match).render(-1, b"id")
    assert head.startswith(expected)


def test_a_chunked_body_is_announced_anew() -> None:
    assert Side().sent(b"transfer-encoding:  Chunked")[-2] == b"Transfer-Encoding: chunked"
    assert b"transfer-encoding" not in names(Side().sent(b"Content-Length: 3"))


FORGED = (
    b"X-Forwarded-For: 9.9.9.9",
    b"x-real-ip: 9.9.9.9",
    b"Forwarded: for=9.9.9.9",
    b"X-Forwarded-Proto: ftp",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Port: 1",
    b"X-Forwarded-Server: evil.example",
    b"X_Forwarded_For: 9.9.9.9",
    b"X-Request-Id: forged",
)


def test_what_a_client_says_about_itself_is_replaced() -> None:
    assert Side(SETTINGS).sent(*FORGED)[2:] == [*OURS, b"X-Request-Id: id-1"]


def test_what_a_trusted_proxy_says_is_believed() -> None:
    side = Side(SETTINGS, peer="10.1.2.3", tls=False)
    lines = (b"X-Forwarded-For: 9.9.9.9, 198.51.100.4", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: first.example")
    assert side.sent(*lines)[2:-1] == [
        b"X-Real-IP: 198.51.100.4",
        b"X-Forwarded-For: 198.51.100.4",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: first.example",
    ]
    assert side.policy.client_address(side.client, side.read(*lines)) == "198.51.100.4"


@pytest.mark.parametrize("proto", [b"ftp", b"HTTPS", b"https, http", b"", b"javascript"])
def test_an_odd_scheme_of_a_trusted_proxy_is_replaced(proto: bytes) -> None:
    sent = Side(SETTINGS, peer="10.1.2.3", tls=False).sent(b"X-Forwarded-Proto: " + proto)
    assert b"X-Forwarded-Proto: http" in sent
    assert names(sent).count(b"x-forwarded-proto") == 1


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ([b"site.example:8443"], b"site.example:8443"),
        ([b"forged.example, site.example"], b"site.example"),
        ([b"forged.example", b"site.example"], b"site.example"),
        ([b"site.example, "], b"gw.example"),
        ([b"site.example:1:2"], b"gw.example"),
        ([b""], b"gw.example"),
        ([], b"gw.example"),
    ],
)
def test_the_browsers_host_is_the_last_that_a_trusted_proxy_names(said: list[bytes], host: bytes) -> None:
    lines = [b"X-Forwarded-Host: " + value for value in said]
    side, stranger = Side(SETTINGS, peer="10.1.2.3"), Side(SETTINGS)
    assert side.policy.browser_host(side.client, side.read(*lines)) == host
    assert [line for line in side.sent(*lines) if b"X-Forwarded-Host" in line] == [b"X-Forwarded-Host: " + host]
    assert stranger.policy.browser_host(stranger.client, stranger.read(*lines)) == b"gw.example"


def test_a_trusted_proxy_that_says_nothing_is_the_client() -> None:
    sent = Side(SETTINGS, peer="10.1.2.3").sent()
    assert b"X-Forwarded-For: 10.1.2.3" in sent
    assert b"X-Forwarded-Host: gw.example" in sent


@pytest.mark.parametrize(("forward", "address"), [("full", b"192.0.2.7"), ("truncate", b"192.0.2.0"), ("none", None)])
def test_how_much_of_the_address_is_told(forward: str, address: bytes | None) -> None:
    sent = Side({"client_ip": {"forward": forward}}).sent()
    told = [line for line in sent if line.startswith((b"X-Real-IP", b"X-Forwarded-For"))]
    assert told == ([b"X-Real-IP: " + address, b"X-Forwarded-For: " + address] if address else [])
    assert b"X-Forwarded-Proto: https" in sent


@pytest.mark.parametrize(("forward", "passes"), [("full", True), ("truncate", False), ("none", False)])
def test_the_address_does_not_go_past_the_setting_in_a_field_of_a_cdn(forward: str, passes: bool) -> None:
    lines = [name.encode() + b": 192.0.2.7" for name in ADDRESS_FIELDS] + [b"cf-connecting-ip:192.0.2.7"]
    sent = Side({"client_ip": {"forward": forward}}).sent(*lines, b"X-A: 1")
    assert [line for line in sent if line in lines] == (lines if passes else [])
    assert b"X-A: 1" in sent


@pytest.mark.parametrize("peer", ["", "not an address", "fe80::1%eth0"])
def test_a_peer_that_is_no_plain_address_is_no_reason_to_fail(peer: str) -> None:
    sent = Side(SETTINGS, peer=peer).sent()
    assert b"None" not in b"".join(sent)
    assert b"%" not in b"".join(sent)


def test_without_a_host_nothing_is_said_of_it() -> None:
    assert b"x-forwarded-host" not in names(Side().sent(host=b"", first=b"POST /x HTTP/1.0"))


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ((b"consent=1; session=s; lang=de",), [b"Cookie: consent=1; lang=de"]),
        ((b"session=s", b"lang=de;consent=2"), [b"Cookie: lang=de; consent=2"]),
        ((b"session=s",), []),
        ((b"Consent=1; xconsent=2; consentx=3; s=consent=4",), []),
        ((b"consent",), [b"Cookie: consent"]),
        ((b";;=;",), []),
    ],
)
def test_only_the_cookies_that_may_pass_do(cookies: tuple[bytes, ...], expected: list[bytes]) -> None:
    sent = Side(SETTINGS).sent(*(b"cookie: " + cookie for cookie in cookies))
    assert [line for line in sent if line.lower().startswith(b"cookie")] == expected


def test_by_default_no_cookie_passes() -> None:
    assert b"cookie" not in names(Side().sent(b"Cookie: consent=1"))


OPTED_OUT = {"privacy": {"gpc": "strip", "page_url": "no_query"}}


def test_of_one_who_has_opted_out_neither_address_nor_cookie_is_told() -> None:
    side = Side(SETTINGS | OPTED_OUT, peer="10.1.2.3")
    lines = (b"Sec-GPC: 1", b"X-Forwarded-For: 198.51.100.4", b"Cookie: consent=1", b"X-Forwarded-Proto: https")
    assert b"Cookie: consent=1" in Side(SETTINGS, peer="10.1.2.3").sent(*lines)
    request = side.read(*lines)
    side.policy.make_private(request)
    head = side.policy.upstream_head(request, side.client, TRACK, REPLAY).render(-1, b"id-1")
    assert head.split(b"\r\n")[2:-3] == [b"Sec-GPC: 1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: gw.example"]
    assert side.policy.told_address(side.client, request) == ""
    assert side.policy.client_address(side.client, request) == "198.51.100.4"


def test_heads_that_share_their_fields_are_made_private_each_for_itself() -> None:
    side = Side({"privacy": {"referer": "origin"}})
    lines = (b"Referer: https://app.example.com/a?b", b"Accept: */*")
    first, second = (side.read(*lines, first=b"GET /config/%d HTTP/1.1" % number) for number in range(2))
    assert first.fields is second.fields
    side.policy.make_private(first)
    assert first.fields == [b"Referer: https://app.example.com/", b"Accept: */*"]
    assert second.fields == list(lines)


def test_by_default_the_fields_are_left_as_they_are() -> None:
    side = Side()
    request = side.read(b"X-Client-Url: https://app.example.com/a?b", b"Sec-GPC: 1")
    before = request.fields
    side.policy.make_private(request)
    assert request.fields is before


def test_what_the_visitor_asks_for_can_not_be_taken_away_by_naming_it() -> None:
    side = Side()
    assert side.reader.read(b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: Sec-GPC\r\nSec-GPC: 1") is Reason.BAD_REQUEST


def edits(**upstream: Any) -> dict[str, Any]:
    return {"headers": {"upstream": upstream}}


def test_what_the_operator_sets_replaces_what_the_client_sent() -> None:
    side = Side(
        edits(set={"X-Proxy-Token": "t", "authorization": "Bearer own", "Origin": "https://own.example", "Empty": ""})
    )
    lines = (b"x-proxy-TOKEN: forged", b"Authorization: Bearer k", b"Origin: https://app.example", b"X-A: 1")
    assert side.sent(*lines)[2:] == [
        b"X-A: 1",
        *OURS,
        b"X-Proxy-Token: t",
        b"authorization: Bearer own",
        b"Origin: https://own.example",
        b"Empty: ",
        b"X-Request-Id: id-1",
    ]
    request = side.read(*lines)
    assert (request.authorization, request.origin) == (b"Bearer k", b"https://app.example")


@pytest.mark.parametrize(
    "name",
    [
        b"Referer",
        b"Origin",
        b"Authorization",
        b"Accept-Encoding",
        b"If-None-Match",
        b"X-Forwarded-For",
        b"X-Real-IP",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Request-Id",
        b"Cookie",
        b"User-Agent",
    ],
)
@pytest.mark.parametrize("peer", ["192.0.2.7", "10.1.2.3"])
def test_what_the_operator_removes_never_arrives(name: bytes, peer: str) -> None:
    side = Side(SETTINGS | edits(remove=[name.decode()]), peer=peer)
    for spelt in (name, name.lower(), name.upper()):
        assert name.lower() not in names(side.sent(spelt + b": v"))


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Request-Id", "X-Forwarded-Host", "x-forwarded-proto"])
def test_what_the_operator_sets_in_place_of_the_gateways_own_is_there_once(name: str) -> None:
    sent = Side(edits(set={name: "own"})).sent(name.encode() + b": forged")
    assert [line for line in sent if line.lower().startswith(name.lower().encode())] == [name.encode() + b": own"]


def test_a_region_header_that_is_not_forwarded_still_decides() -> None:
    region = {"region": {"header": {"name": "Viewer-Country", "values": {"DE": "eu"}}}}
    side = Side(SETTINGS | region | edits(remove=["viewer-country"]), peer="10.1.2.3")
    request = side.read(b"Viewer-Country: DE")
    assert side.policy.region_value(side.client, request) == b"DE"
    assert b"viewer-country" not in names(side.sent(b"Viewer-Country: DE"))


def test_a_region_header_is_believed_of_trusted_proxies_only() -> None:
    region = {"region": {"header": {"name": "Viewer-Country", "values": {"DE": "eu"}}}}
    for peer, expected in (("10.1.2.3", b"DE"), ("192.0.2.7", None)):
        side = Side(SETTINGS | region, peer=peer)
        assert side.policy.region_value(side.client, side.read(b"Viewer-Country: DE")) == expected
    plain = Side(SETTINGS, peer="10.1.2.3")
    assert plain.policy.region_value(plain.client, plain.read(b"Viewer-Country: DE")) is None


@pytest.mark.parametrize(
    "other",
    [
        {"lines": (b"Accept-Encoding: gzip",)},
        {"lines": (b"Authorization: Bearer k",)},
        {"lines": (b"Cookie: consent=1",)},
        {"lines": (b"If-None-Match: x",)},
        {"lines": (b"Sec-GPC: 1",)},
        {"lines": (b"If-Modified-Since: x",)},
        {"match": Match(Route.CONFIG, b"/other", b"?a=b")},
        {"match": Match(Route.CONFIG, b"/key", b"?a=c")},
        {"match": Match(Route.CONFIG, b"", b"/key?a=b")},
        {"first": b"HEAD /x HTTP/1.1"},
    ],
)
def test_what_may_change_the_answer_is_part_of_the_question(other: dict[str, Any]) -> None:
    side = Side(SETTINGS)
    assert side.identity(*other.pop("lines", ()), **other) != side.identity()


@pytest.mark.parametrize(
    "line",
    [
        b"Sec-GPC: 0",
        b"Origin: o",
        b"User-Agent: u",
        b"Cookie: session=s",
        b"X-Forwarded-For: 1.2.3.4",
        b"X-Request-Id: r",
    ],
)
def test_who_asks_is_no_part_of_the_question(line: bytes) -> None:
    assert Side(SETTINGS).identity(line) == Side(SETTINGS, peer="192.0.2.8").identity()


VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=8).map(
    lambda text: text.encode("latin-1")
)
FIELDS = st.builds(
    lambda name, value: name + b": " + value,
    st.sampled_from((b"X-A", b"x-a", b"X-B", b"Referer", b"User-Agent", b"X-Client-Url", b"Cookie", b"X-Forwarded-For"))
    | st.sampled_from(
        (b"Content-Type", b"Origin", b"X-Forwarded-Host", b"X-Request-Id", b"Accept-Encoding", b"TE", b"X_A")
    ),
    VALUES,
)
GONE = {b"cookie", b"x-forwarded-for", b"x-forwarded-host", b"x-request-id", b"te", b"x_a"}


@given(
    st.lists(FIELDS, max_size=10),
    st.sampled_from(["192.0.2.7", "10.1.2.3", "2001:db8::1"]),
    st.lists(st.sampled_from((b"x-a", b"Referer"))),
)
@settings(max_examples=300)
def test_everything_else_passes_in_order_and_byte_for_byte(
    fields: list[bytes], peer: str, nominated: list[bytes]
) -> None:
    sent = Side(SETTINGS, peer=peer).sent(*fields, b"Connection: " + b",".join(nominated))
    gone = GONE | {name.lower() for name in nominated}
    kept = [line for line in fields if line.partition(b":")[0].lower() not in gone]
    assert sent[2 : 2 + len(kept)] == kept
    rest = sent[2 + len(kept) :]
    allowed = {b"x-real-ip", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"cookie"}
    assert {line.partition(b":")[0].lower() for line in rest} <= allowed
    assert len(set(names([b"", *rest]))) == len(rest)
    assert names(sent).count(b"host") == 1


@given(st.lists(st.binary(max_size=30), max_size=5), st.sampled_from(["192.0.2.7", "10.1.2.3"]))
@settings(max_examples=300)
def test_no_value_can_begin_a_line_of_its_own(values: list[bytes], peer: str) -> None:
    side = Side(SETTINGS, peer=peer)
    clean = [value.translate(None, b"\r\n\0") for value in values]  # llhttp lets none of these three pass
    carriers = (b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto", b"Cookie", b"X-A", b"If-None-Match")
    lines = [name + b": " + value for name, value in zip(carriers, clean, strict=False)]
    request = side.read(*lines)
    head = side.policy.upstream_head(request, side.client, TRACK, REPLAY).render(-1, b"id")
    assert len(head.split(b"\n")) == head.count(b"\r\n") + 1
    assert len(head.split(b"\r\n")) <= len(lines) + 9


ANSWER = AnswerReader(fields=100)


def answered(head: bytes, route: Route = Route.TRACK, *, chunked: bool = False) -> list[bytes]:
    out = answer_head(
        ANSWER.read(head), b"Vary: Origin\r\n", b"id-1", route, chunked=chunked, connection=b"Connection: close\r\n"
    )
    assert out.endswith(b"\r\n\r\n")
    assert out.count(b"\r\n\r\n") == 1
    return out[:-4].split(b"\r\n")


def test_the_head_of_an_answer() -> None:
    assert answered(
        b"HTTP/1.0 200 Fine\r\nContent-Length: 2\r\nx-a:  b\r\nAccess-Control-Allow-Origin: *\r\nX-Request-Id: theirs"
    ) == [
        b"HTTP/1.1 200 Fine",
        b"Content-Length: 2",
        b"x-a:  b",
        b"Vary: Origin",
        b"Connection: close",
        b"X-Request-Id: id-1",
    ]


def test_the_head_of_an_answer_without_fields() -> None:
    assert answered(b"HTTP/1.1 204 ") == [
        b"HTTP/1.1 204 ",
        b"Vary: Origin",
        b"Connection: close",
        b"X-Request-Id: id-1",
    ]


def test_a_body_without_a_length_is_announced_as_chunks() -> None:
    assert b"Transfer-Encoding: chunked" in answered(b"HTTP/1.1 200 OK", chunked=True)


def test_a_configuration_is_not_cached_on_the_way_unless_the_vendor_says_so() -> None:
    assert b"Cache-Control: no-store" in answered(b"HTTP/1.1 200 OK", Route.CONFIG)
    assert b"Cache-Control: no-store" not in answered(b"HTTP/1.1 200 OK", Route.TRACK)
    kept = answered(b"HTTP/1.1 200 OK\r\ncache-control: max-age=5", Route.CONFIG)
    assert [line for line in kept if line.lower().startswith(b"cache-control")] == [b"cache-control: max-age=5"]


@pytest.mark.parametrize("value", [b"a", b"0123456789abcdef-_.~+/=:@", b"x" * 128])
def test_a_sane_request_id_is_kept(value: bytes) -> None:
    assert sane_request_id(value) == value


@pytest.mark.parametrize("value", [None, b"", b"x" * 129, b"a b", b"a,b", b"a\r\nb", b"a;b", b'"', b"\xff", b"<", b"{"])
def test_an_odd_request_id_is_replaced(value: bytes | None) -> None:
    assert sane_request_id(value) is None


def test_a_session_number_is_part_of_the_question_but_not_of_what_is_kept() -> None:
    policy = HeaderPolicy(Settings())
    request = policy.reader(Settings()).read(b"GET /config HTTP/1.1\r\nHost: a")
    assert isinstance(request, RequestHead)
    first, second = (
        Match(Route.CONFIG, b"", b"?api_key=k&config_keys=sessionReplay&session_id=" + number)
        for number in (b"1", b"2")
    )
    other_key = Match(Route.CONFIG, b"", b"?api_key=other&config_keys=sessionReplay&session_id=1")
    assert policy.config_identity(request, CONFIG, first) == policy.config_identity(request, CONFIG, second)
    assert policy.config_identity(request, CONFIG, first) != policy.config_identity(request, CONFIG, other_key)
    assert policy.config_conditions(request, first) != policy.config_conditions(request, second)
