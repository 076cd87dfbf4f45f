"""The settings that change what the servers do: header edits, cookies, visitors' addresses, strict regions, CORS."""

from __future__ import annotations

import pytest

from tests.conformance.carried import config, upload
from tests.conformance.cases import HOST, ORIGIN_VALUE
from tests.export.server import Exported
from tests.export.test_exported import ask, from_origin, preflight, readable, unreadable, values
from tests.standin import StandIn

CONFIG = b"/cfg/key?config_group=browser"


def test_every_page_is_named_and_never_by_a_star(edited: Exported, standin: StandIn) -> None:
    for origin in (ORIGIN_VALUE, "http://localhost:3000", "http://[::1]:3000", "capacitor://localhost"):
        answer = readable(ask(edited, from_origin(config(CONFIG), origin)), origin)
        assert "x-trace-id" in answer.listed("access-control-expose-headers")


def test_a_page_that_is_not_allowed_is_refused(edited: Exported, standin: StandIn) -> None:
    uploads = upload(b"{}", coding=b"", target=b"/in?a=b")
    assert unreadable(ask(edited, from_origin(config(CONFIG), "null"))).status == 400
    assert unreadable(ask(edited, from_origin(uploads, "https://a b"))).status == 403
    assert standin.requests() == []
    assert ask(edited, uploads.replace(f"Origin: {ORIGIN_VALUE}\r\n".encode(), b"")).status == 200


def test_a_preflight_grants_what_was_added(edited: Exported, standin: StandIn) -> None:
    answer = ask(edited, preflight(b"/in?type=replay", b"POST"))
    assert "x-session-token" in answer.listed("access-control-allow-headers")
    assert answer.all("access-control-max-age") == ["600"]


def test_header_edits_are_made(edited: Exported, standin: StandIn) -> None:
    gone = (
        b"Referer: https://x.example/a?b",
        b"X-Client-Url: https://x.example/a?b",
        b"X-Gone: 1",
        b"CF-Connecting-IP: 192.0.2.7",
    )
    assert ask(edited, upload(b"{}", coding=b"", target=b"/in?a=b", extra=gone)).status == 200
    [record] = standin.wait_for(1)
    assert record["target"] == "/sessions/v2/track?a=b"
    assert values(record, "x-proxy-token") == ["a 'b' \"c\" %d #e; f"]
    assert values(record, "x-request-id") == ["mine"]
    assert [name for name in ("referer", "x-client-url", "x-gone", "cf-connecting-ip") if values(record, name)] == []


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (b"login=secret; consent=yes; theme-2=dark", ["consent=yes; theme-2=dark"]),
        (b"theme-2=dark; xconsent=no", ["theme-2=dark"]),
        (b"login=secret", []),
    ],
)
def test_listed_cookies_pass_and_no_others(edited: Exported, standin: StandIn, sent: bytes, passed: list[str]) -> None:
    assert ask(edited, config(CONFIG, b"Cookie: " + sent)).status == 200
    [record] = standin.wait_for(1)
    assert values(record, "cookie") == passed


@pytest.mark.parametrize(
    ("chain", "told"),
    [
        (b"198.51.100.7", "198.51.100.0"),
        (b"9.9.9.9, 198.51.100.7", "198.51.100.0"),
        (b"2001:db8:1234:5678::9", "2001:db8:1234::"),
        (b"2001:db8::9", "2001:db8::"),
    ],
)
def test_a_trusted_proxy_is_believed_and_the_address_cut(
    edited: Exported, standin: StandIn, chain: bytes, told: str
) -> None:
    assert ask(edited, config(CONFIG, b"X-Forwarded-For: " + chain, b"X-Forwarded-Proto: https")).status == 200
    [record] = standin.wait_for(1)
    assert values(record, "x-forwarded-for") == [told]
    assert values(record, "x-real-ip") == [told]
    assert values(record, "x-forwarded-proto") == ["https"]


def test_a_host_that_no_rule_names_is_refused(edited: Exported, standin: StandIn) -> None:
    for request in (config(CONFIG), upload(b"{}", coding=b"", target=b"/in?a=b")):
        assert readable(ask(edited, request.replace(HOST, b"Host: other.example.com"))).status == 421
    assert standin.requests() == []
