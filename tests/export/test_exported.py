"""An exported nginx, Caddy and HAProxy carries what the SDK sends, and answers so that the SDK can read it."""

from __future__ import annotations

import gzip
import hashlib
import ssl
from typing import Any

import pytest

from tests.conformance.carried import beacon, config, events, upload
from tests.conformance.cases import CONFIG, HOST, KEY, ORIGIN_VALUE, TRACK, TRACK_PATH, head
from tests.conformance.wire import Answer, Client
from tests.export.conftest import BODY_LIMIT, UNTRUSTED
from tests.export.server import Exported
from tests.standin import StandIn

SDK_NAMES = {
    "authorization",
    "content-encoding",
    "content-type",
    "x-client-library",
    "x-client-sample-rate",
    "x-client-url",
    "x-client-version",
    "x-sampling-hash-alg",
}
EXPOSED = {"x-session-replay-event-skipped", "retry-after", "x-request-id"}
DOWN = b"Host: replay-down.example.com"
VENDORS = {
    ("us", "track"): "api-sr.amplitude.com",
    ("us", "config"): "sr-client-cfg.amplitude.com",
    ("eu", "track"): "api-sr.eu.amplitude.com",
    ("eu", "config"): "sr-client-cfg.eu.amplitude.com",
}


def ask(server: Exported, request: bytes) -> Answer:
    """The answer to one request on a connection of its own; fails when it is no well-formed answer."""
    with server.client() as client:
        answer = client.ask(request)
    assert answer.complete
    return answer


def readable(answer: Answer, origin: str = ORIGIN_VALUE) -> Answer:
    """The answer, which a page of `origin` can read, credentials or not, and which is the vendor's no more."""
    assert answer.all("access-control-allow-origin") == [origin]
    assert answer.all("access-control-allow-credentials") == ["true"]
    assert answer.listed("access-control-expose-headers") >= EXPOSED
    assert "origin" in answer.listed("vary")
    assert answer.all("set-cookie") == []
    assert len(answer.all("x-request-id")) == 1
    return answer


def unreadable(answer: Answer) -> Answer:
    """The answer, which says nothing about CORS."""
    assert [name for name, _ in answer.fields if name.lower().startswith("access-control-allow-")] == []
    assert "origin" in answer.listed("vary")
    return answer


def from_origin(request: bytes, origin: str) -> bytes:
    """The request as another page sends it."""
    return request.replace(f"Origin: {ORIGIN_VALUE}".encode(), f"Origin: {origin}".encode(), 1)


def values(record: dict[str, Any], name: str) -> list[str]:
    """The values of a field that arrived at the vendor."""
    return [value for key, value in record["headers"] if key.lower() == name.lower()]


def preflight(target: bytes, method: bytes, origin: str = ORIGIN_VALUE) -> bytes:
    """What a browser asks before an upload with the SDK's header names."""
    names = ",".join(sorted(SDK_NAMES)).encode()
    lines = (b"Access-Control-Request-Method: " + method, b"Access-Control-Request-Headers: " + names)
    return head(b"OPTIONS " + target + b" HTTP/1.1", HOST, *lines, b"Origin: " + origin.encode())


@pytest.mark.parametrize(
    ("target", "method", "methods"),
    [(TRACK, b"POST", {"post", "options"}), (CONFIG, b"GET", {"get", "head", "options"})],
)
def test_a_preflight_is_granted(
    exported: Exported, standin: StandIn, target: bytes, method: bytes, methods: set[str]
) -> None:
    answer = ask(exported, preflight(target, method))
    assert answer.status == 204
    assert answer.all("access-control-allow-origin") == [ORIGIN_VALUE]
    assert answer.all("access-control-allow-credentials") == ["true"]
    assert answer.listed("access-control-allow-headers") == SDK_NAMES
    assert answer.listed("access-control-allow-methods") == methods
    assert answer.all("access-control-max-age") == ["7200"]
    assert "origin" in answer.listed("vary")
    assert standin.requests() == []


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://app-example.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "HTTPS://APP.EXAMPLE.COM",
        "https://example.org",
        "https://evil.example#.example.org",
        "null",
    ],
)
def test_a_foreign_page_is_granted_nothing(exported: Exported, standin: StandIn, origin: str) -> None:
    assert unreadable(ask(exported, preflight(TRACK, b"POST", origin))).status == 204
    assert unreadable(ask(exported, from_origin(config(), origin))).status == 200


@pytest.mark.parametrize("origin", ["https://a.example.org", "https://a.b.example.org", "http://[::1]:3000"])
def test_every_allowed_page_is_named(exported: Exported, standin: StandIn, origin: str) -> None:
    assert ask(exported, preflight(TRACK, b"POST", origin)).all("access-control-allow-origin") == [origin]
    assert readable(ask(exported, from_origin(config(), origin)), origin).status == 200


def test_an_app_without_an_origin_is_served(exported: Exported, standin: StandIn) -> None:
    request = config().replace(f"Origin: {ORIGIN_VALUE}\r\n".encode(), b"")
    assert unreadable(ask(exported, request)).status == 200


@pytest.mark.parametrize("path", [TRACK_PATH, b"/r/t"])
def test_an_upload_arrives_byte_for_byte(exported: Exported, standin: StandIn, path: bytes) -> None:
    body = gzip.compress(events(3000), mtime=0)
    target = TRACK.replace(TRACK_PATH, path)
    answer = readable(ask(exported, upload(body, target=target, extra=(b"Cookie: login=secret",))))
    assert (answer.status, answer.body) == (200, b'{"code":200}')
    [record] = standin.wait_for(1)
    assert record["site"] == "us-tls"
    assert record["target"] == TRACK.decode()
    assert record["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert values(record, "content-encoding") == ["gzip"]
    assert values(record, "content-length") == [str(len(body))]
    assert values(record, "authorization") == ["Bearer " + KEY.decode()]
    assert values(record, "host") == [record["tls_sni"]] == ["api-sr.amplitude.com"]
    assert values(record, "cookie") == []
    assert values(record, "x-forwarded-for") == ["127.0.0.1"]
    assert record["violations"] == []


@pytest.mark.parametrize("content_type", [b"text/plain;charset=UTF-8", b"application/json"])
def test_what_a_page_sends_when_it_is_left_arrives(exported: Exported, standin: StandIn, content_type: bytes) -> None:
    body = events(50, version=2)
    assert readable(ask(exported, beacon(body, content_type))).status == 200
    [record] = standin.wait_for(1)
    assert record["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert values(record, "content-type") == [content_type.decode()]
    assert "api_key=" + KEY.decode() in record["target"]
    assert values(record, "cookie") == []


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        (CONFIG, CONFIG),
        (b"/r/c/" + KEY + b"?config_group=browser", CONFIG),
        (b"/config//" + KEY + b"?config_group=browser", CONFIG),
        (b"/config?api_key=k&config_keys=sessionReplay", b"/config?api_key=k&config_keys=sessionReplay"),
        (b"/config/?api_key=k&a=%2F%20b", b"/config?api_key=k&a=%2F%20b"),
        (b"/config/a.b_c~d-e?x=a/b", b"/config/a.b_c~d-e?x=a/b"),
    ],
)
def test_a_configuration_is_asked_for_as_the_gateway_does(
    exported: Exported, standin: StandIn, asked: bytes, seen: bytes
) -> None:
    answer = readable(ask(exported, config(asked)))
    assert answer.status == 200
    assert b'"sessionReplay"' in answer.body
    assert answer.all("cache-control") == ["no-store"]
    [record] = standin.wait_for(1)
    assert record["target"] == seen.decode()
    assert values(record, "host") == ["sr-client-cfg.amplitude.com"]


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/sessions/v2/trackANYTHING",
        b"/sessions/v2/track/more",
        b"/sessions/v2",
        b"/prefix/sessions/v2/track",
        b"/configANYTHING",
        b"/config/key/more",
        b"/config/a%2Fb",
        b"/r/tt",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_no_other_path_is_forwarded(exported: Exported, standin: StandIn, target: bytes, method: bytes) -> None:
    request = head(
        method + b" " + target + b" HTTP/1.1", HOST, f"Origin: {ORIGIN_VALUE}".encode(), b"Content-Length: 0"
    )
    assert readable(ask(exported, request)).status == 404
    assert standin.requests() == []


@pytest.mark.parametrize(
    ("method", "target"), [(b"PUT", TRACK), (b"GET", TRACK), (b"POST", CONFIG), (b"DELETE", CONFIG)]
)
def test_no_other_method_is_forwarded(exported: Exported, standin: StandIn, method: bytes, target: bytes) -> None:
    request = head(
        method + b" " + target + b" HTTP/1.1", HOST, f"Origin: {ORIGIN_VALUE}".encode(), b"Content-Length: 0"
    )
    answer = readable(ask(exported, request))
    assert answer.status == 405
    assert answer.listed("allow") == ({"post", "options"} if target == TRACK else {"get", "head", "options"})
    assert standin.requests() == []


def test_a_body_that_is_too_large_is_refused_in_the_words_that_split_it(exported: Exported, standin: StandIn) -> None:
    answer = readable(ask(exported, upload(bytes(BODY_LIMIT + 1), coding=b"")))
    assert answer.status == 413
    assert f"Payload exceeds the maximum allowed size of {BODY_LIMIT} bytes".encode() in answer.body
    assert readable(ask(exported, upload(bytes(BODY_LIMIT), coding=b""))).status == 200


@pytest.mark.parametrize("request_bytes", [upload(b"{}", coding=b""), config()], ids=["track", "config"])
def test_a_vendor_that_is_down_is_told_readably(exported: Exported, standin: StandIn, request_bytes: bytes) -> None:
    assert readable(ask(exported, request_bytes.replace(HOST, DOWN))).status in {502, 503, 504}


@pytest.mark.parametrize("action", ["close_before_answer", "hang"])
@pytest.mark.parametrize("route", ["track", "config"])
def test_a_vendor_that_fails_is_told_readably(exported: Exported, standin: StandIn, action: str, route: str) -> None:
    query = b"?standin=" + action.encode()
    request = upload(b"{}", coding=b"", target=TRACK_PATH + query) if route == "track" else config(b"/config/k" + query)
    assert readable(ask(exported, request)).status in {502, 503, 504}


@pytest.mark.parametrize("status", [400, 403, 413, 429, 500, 503])
def test_the_vendors_own_errors_pass_and_can_be_read(exported: Exported, standin: StandIn, status: int) -> None:
    target = TRACK_PATH + b"?standin=status:%d" % status
    assert readable(ask(exported, upload(b"{}", coding=b"", target=target))).status == status


def test_the_vendors_stop_sign_passes(exported: Exported, standin: StandIn) -> None:
    answer = readable(ask(exported, upload(b"{}", coding=b"", target=TRACK_PATH + b"?standin=skipped:4004")))
    assert answer.all("x-session-replay-event-skipped") == ["4004"]


@pytest.mark.parametrize("region", ["us", "eu"])
def test_the_host_decides_the_region(exported: Exported, standin: StandIn, region: str) -> None:
    host = b"Host: REPLAY-EU.example.com:8443" if region == "eu" else HOST
    for route, request in (("track", upload(b"{}", coding=b"")), ("config", config())):
        standin.clear()
        assert ask(exported, request.replace(HOST, host)).status == 200
        [record] = standin.wait_for(1)
        assert record["site"] == f"{region}-tls"
        assert values(record, "host") == [VENDORS[region, route]]


def test_connections_to_the_vendor_are_used_again(exported: Exported, standin: StandIn) -> None:
    for _ in range(20):
        assert ask(exported, upload(b"{}", coding=b"")).status == 200
    # One, unless the server keeps connections apart by thread.
    assert len({record["connection"] for record in standin.wait_for(20)}) <= 4


@pytest.mark.parametrize("host", UNTRUSTED)
def test_nothing_is_told_to_somebody_who_is_not_the_vendor(exported: Exported, standin: StandIn, host: str) -> None:
    for request in (upload(b"secret", coding=b""), config()):
        answer = readable(ask(exported, request.replace(HOST, f"Host: {host}".encode())))
        assert answer.status in {502, 503}
    assert standin.requests() == []


def test_tls_is_ended(exported: Exported, vendor: StandIn) -> None:
    context = ssl.create_default_context(cafile=str(vendor.ca_file))
    context.set_alpn_protocols(["http/1.1"])
    with Client(("127.0.0.1", exported.tls_port), context) as client:
        assert readable(client.ask(config())).status == 200


@pytest.mark.parametrize(("sent", "kept"), [("a-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False)])
def test_a_request_has_one_id_on_both_sides(exported: Exported, standin: StandIn, sent: str, kept: bool) -> None:
    answer = readable(ask(exported, config(CONFIG, f"X-Request-Id: {sent}".encode())))
    [record] = standin.wait_for(1)
    assert values(record, "x-request-id") == answer.all("x-request-id")
    assert (answer.all("x-request-id") == [sent]) == kept


def test_a_made_up_address_is_not_passed_on(exported: Exported, standin: StandIn) -> None:
    ask(exported, config(CONFIG, b"X-Forwarded-For: 9.9.9.9", b"X-Real-IP: 9.9.9.9", b"Forwarded: for=9.9.9.9"))
    [record] = standin.wait_for(1)
    assert "9.9.9.9" not in str(record["headers"])
