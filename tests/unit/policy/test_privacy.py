"""Proves which lines of a request pass under each setting: addresses of pages cut down, those of one who has opted out
without what tells who it is, and all others byte for byte."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from proxy.policy.privacy import PLAIN_AGENT, PrivacyPolicy, has_opted_out
from proxy.settings import Privacy
from proxy.wire.request import RequestHead

PAGE = b"X-Client-Url:  https://me:pw@app.example.com/a?b#c "
REFERER = b"referer: https://app.example.com/a?b"
OTHERS = [b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)", b"Content-Type:application/json", b"X-A:  1 "]


def request(*lines: bytes, gpc: bytes | None = None) -> RequestHead:
    head = RequestHead(b"POST", b"/t", 1)
    head.fields = list(lines)
    if gpc is not None:
        head.notes[b"sec-gpc"] = gpc
    return head


def passed(*lines: bytes, gpc: bytes | None = None, **settings: Any) -> list[bytes]:
    return applied(PrivacyPolicy(Privacy(**settings)), request(*lines, gpc=gpc))


def applied(policy: PrivacyPolicy, head: RequestHead) -> list[bytes]:
    policy.apply(head)
    return head.fields


def test_by_default_nothing_is_to_be_done() -> None:
    assert not PrivacyPolicy(Privacy()).active
    assert passed(PAGE, REFERER, *OTHERS) == [PAGE, REFERER, *OTHERS]


@pytest.mark.parametrize(
    "settings", [{"page_url": "origin"}, {"referer": "none"}, {"gpc": "strip"}, {"page_url": "no_query"}]
)
def test_each_setting_is_a_reason_to_look(settings: dict[str, Any]) -> None:
    assert PrivacyPolicy(Privacy(**settings)).active


@pytest.mark.parametrize(
    ("settings", "page", "referer"),
    [
        ({"page_url": "no_query"}, [b"X-Client-Url: https://app.example.com/a"], [REFERER]),
        ({"page_url": "origin"}, [b"X-Client-Url: https://app.example.com/"], [REFERER]),
        ({"page_url": "none"}, [], [REFERER]),
        ({"referer": "no_query"}, [PAGE], [b"referer: https://app.example.com/a"]),
        ({"referer": "origin"}, [PAGE], [b"referer: https://app.example.com/"]),
        ({"referer": "none"}, [PAGE], []),
        ({"page_url": "none", "referer": "none"}, [], []),
        ({"referer": "no_query", "keep_query": ["b"]}, [PAGE], [REFERER]),
    ],
)
def test_addresses_are_cut_down_and_nothing_else_is_touched(
    settings: dict[str, Any], page: list[bytes], referer: list[bytes]
) -> None:
    assert passed(PAGE, *OTHERS, REFERER, **settings) == [*page, *OTHERS, *referer]


def test_an_address_with_nothing_to_take_away_keeps_its_line() -> None:
    line = b"x-client-URL:https://app.example.com/a\t"
    assert passed(line, page_url="no_query") == [line]


def test_each_of_several_lines_is_cut_down() -> None:
    lines = [b"X-Client-Url: https://a.example/x?1", b"X-CLIENT-URL: nonsense", b"X-Client-Url: https://b.example/?2"]
    assert passed(*lines, page_url="no_query") == [
        b"X-Client-Url: https://a.example/x",
        b"X-Client-Url: https://b.example/",
    ]


def test_the_lines_that_may_be_shared_are_left_alone() -> None:
    head = request(PAGE, gpc=b"1")
    before = head.fields
    notes = head.notes
    PrivacyPolicy(Privacy(page_url="none", gpc="strip")).apply(head)
    assert head.fields == []
    assert before == [PAGE]
    assert notes == {b"sec-gpc": b"1"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"1", True),
        (b"1, 1", True),
        (b"1,\t1", True),
        (None, False),
        *((each, False) for each in (b"", b"0", b"true", b"?1", b"01", b"1.0", b"11", b"0, 1", b"1,", b'"1"', b"1;a")),
    ],
)
def test_only_a_1_says_that_the_visitor_objects(value: bytes | None, says: bool) -> None:
    assert has_opted_out(request(gpc=value)) is says


@pytest.mark.parametrize("gpc", ["forward", "drop"])
def test_unless_it_is_to_be_stripped_one_who_has_opted_out_is_like_others(gpc: Literal["forward", "drop"]) -> None:
    policy = PrivacyPolicy(Privacy(gpc=gpc))
    assert not policy.active
    assert not policy.is_anonymous(request(gpc=b"1"))
    assert policy.drops is (gpc == "drop")


def test_of_one_who_has_opted_out_only_what_is_listed_passes() -> None:
    kept = [
        b"Accept: */*",
        b"accept-encoding: gzip",
        b"Authorization: Bearer k",
        b"Content-Encoding: gzip",
        b"Content-Length:  3",
        b"Content-Type: application/json",
        b"Origin: https://app.example.com",
        b"SEC-GPC: 1",
        b"DNT: 1",
        b"X-Client-Version: 1.50.2",
        b"X-Client-Library: standalone/1.50.2",
        b"X-Client-Sample-Rate: 1",
        b"X-Sampling-Hash-Alg: xxhash32",
    ]
    gone = [
        b"Accept-Language: nb-NO",
        b"Sec-CH-UA: x",
        b"Sec-CH-UA-Platform-Version: x",
        b"Sec-Fetch-Site: cross-site",
        b"DPR: 2",
        b"If-None-Match: mine",
        b"X-User-Email: me@example.com",
        REFERER,
    ]
    mixed = [line for pair in zip(kept, [*gone, *gone], strict=False) for line in pair]
    policy = PrivacyPolicy(Privacy(gpc="strip"))
    of_one_who_objects = request(*mixed, PAGE, *OTHERS[:1] * 2, gpc=b"1")
    expected = [*kept, b"X-Client-Url: https://app.example.com/", PLAIN_AGENT]
    assert policy.is_anonymous(of_one_who_objects)
    assert applied(policy, of_one_who_objects) == expected
    assert applied(policy, request(*mixed, PAGE, gpc=b"0")) == [*mixed, PAGE]


def test_of_one_who_has_opted_out_nothing_set_aside_is_remembered_that_names_them() -> None:
    policy = PrivacyPolicy(Privacy(gpc="strip"))
    for gpc, left in ((b"1", {b"sec-gpc", b"x-forwarded-for", b"accept-encoding"}), (b"0", None)):
        head = request(gpc=gpc)
        named = {b"x-request-id", b"cookie", b"if-none-match", b"x-forwarded-for", b"accept-encoding"}
        head.notes |= dict.fromkeys(named, b"v")
        policy.apply(head)
        assert set(head.notes) == (left or named | {b"sec-gpc"})


def test_stripping_never_shows_more_than_the_other_settings_do() -> None:
    policy = PrivacyPolicy(Privacy(gpc="strip", page_url="none"))
    assert applied(policy, request(PAGE, REFERER, gpc=b"1")) == []
    assert applied(policy, request(PAGE, REFERER)) == [REFERER]
