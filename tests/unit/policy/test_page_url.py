"""Proves what is left of a page's address in each mode, that nothing of a secret is, wherever it stands and however the
address was cut off, and that what is kept is kept byte for byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.page_url import PageUrl

NO_QUERY, ORIGIN, NONE, FULL = PageUrl("no_query"), PageUrl("origin"), PageUrl("none"), PageUrl("full")
SECRET = b"s3cr3t"


@pytest.mark.parametrize(
    ("value", "no_query", "origin"),
    [
        (b"https://app.example.com/orders/17?tab=items", b"https://app.example.com/orders/17", None),
        (b"https://app.example.com/a#top", b"https://app.example.com/a", None),
        (b"https://app.example.com/#/reset?token=x", b"https://app.example.com/", None),
        (b"https://app.example.com?x", b"https://app.example.com/", None),
        (b"https://app.example.com#x", b"https://app.example.com/", None),
        (b"https://app.example.com/", b"https://app.example.com/", None),
        (b"https://app.example.com/a?", b"https://app.example.com/a", None),
        (b"https://app.example.com/a??b?c", b"https://app.example.com/a", None),
        (b"https://app.example.com//a//b/./..", b"https://app.example.com//a//b/./..", None),
        (b"https://app.example.com/%41%2f%E4/|^[]", b"https://app.example.com/%41%2f%E4/|^[]", None),
        # User information, also where there is more than one @ in it.
        (b"https://me:s3cr3t@app.example.com/a", b"https://app.example.com/a", None),
        (b"https://me@s3cr3t@app.example.com/a", b"https://app.example.com/a", None),
        (b"https://:@app.example.com/a", b"https://app.example.com/a", None),
        (b"https://app.example.com/a@b", b"https://app.example.com/a@b", None),
        (b"https://app.example.com/a?b@c", b"https://app.example.com/a", None),
        # Parameters of a segment, and what only some server takes for a query.
        (b"https://app.example.com/a;jsessionid=s3cr3t", b"https://app.example.com/a", None),
        (b"https://app.example.com/a;v=1/b;w/c", b"https://app.example.com/a/b/c", None),
        (b"https://app.example.com/;s3cr3t", b"https://app.example.com/", None),
        (b"https://app.example.com/a%3bjsessionid=s3cr3t/b", b"https://app.example.com/a/b", None),
        (b"https://app.example.com/a%253Bs3cr3t", b"https://app.example.com/a", None),
        (b"https://app.example.com/a%3Ftoken=s3cr3t/b", b"https://app.example.com/a", None),
        (b"https://app.example.com/a%3ftoken=s3cr3t", b"https://app.example.com/a", None),
        (b"https://app.example.com/a%25253Fs3cr3t", b"https://app.example.com/a", None),
        (b"https://app.example.com/a%23s3cr3t", b"https://app.example.com/a", None),
        (b"https://app.example.com/a%2523s3cr3t?x#y", b"https://app.example.com/a", None),
    ],
)
def test_an_address_of_the_usual_kind(value: bytes, no_query: bytes, origin: None) -> None:
    assert NO_QUERY.shown(value) == no_query
    assert ORIGIN.shown(value) == b"https://app.example.com/"
    assert NONE.shown(value) == b""
    assert FULL.shown(value) == value


@pytest.mark.parametrize(
    "origin",
    [
        b"http://localhost:8080",
        b"HTTPS://App.Example.COM",
        b"https://[2001:db8::1]:8443",
        b"https://192.0.2.7",
        b"https://xn--bcher-kva.example.",
        b"capacitor://localhost",
        b"chrome-extension://abcdefghijklmnop",
        b"moz-extension+x.y://id_1~2",
    ],
)
def test_scheme_host_and_port_are_left_as_they_are(origin: bytes) -> None:
    assert ORIGIN.shown(b"" + origin + b"/a/b?c#d") == origin + b"/"
    assert NO_QUERY.shown(b"" + origin + b"/a/b?c#d") == origin + b"/a/b"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"s3cr3t",
        b"/a/b?s3cr3t",
        b"//app.example.com/s3cr3t",
        b"app.example.com/s3cr3t",
        b"about:blank",
        b"about:srcdoc#s3cr3t",
        b"data:text/html,s3cr3t",
        b"javascript://%0as3cr3t()",
        b"blob:https://app.example.com/s3cr3t",
        b"file:///home/s3cr3t/page.html",
        b"https:///s3cr3t",
        b"https://?s3cr3t",
        b"https://:443/s3cr3t",
        b"https://s3cr3t@/x",
        b"https://s3cr3t",
        b"https://me:12345",
        b"https://s3cr3t@app.example.com",
        b"https://app.example.com:s3cr3t/",
        b"https://app.example.com:123456/s3cr3t",
        b"https://app.exam%70le.com/s3cr3t",
        b"https://app.example.com;s3cr3t/",
        b"https://app example.com/s3cr3t",
        b"https:\\\\app.example.com\\s3cr3t",
        b"https://me\\:s3cr3t@app.example.com/a",
        b"https://s3cr3t\\@app.example.com/a",
        b"https://[::1/s3cr3t",
        b"https://" + b"a" * 254 + b"/s3cr3t",
        b"1https://app.example.com/s3cr3t",
        b"ht tps://app.example.com/s3cr3t",
        b"view-source:https://app.example.com/s3cr3t",
        b"null",
        b"https",
        b"://",
        b"@://@",
    ],
)
def test_what_is_no_address_with_a_host_is_left_out(value: bytes) -> None:
    assert NO_QUERY.shown(value) == b""
    assert ORIGIN.shown(value) == b""
    assert PageUrl("no_query", ["a", "s*"]).shown(value) == b""


@pytest.mark.parametrize(
    "value", [b"https://app.example.com/a b", b"https://app.example.com/\xc3\xa9s", b"https://a/\x7f"]
)
def test_a_path_that_no_browser_writes_is_left_out_but_not_its_origin(value: bytes) -> None:
    assert NO_QUERY.shown(value) == b""
    assert ORIGIN.shown(value) == value[: value.index(b"/", 8) + 1]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"?page=2&token=s3cr3t", b"?page=2"),
        (b"?token=s3cr3t&page=2&utm_source=a%26b&utm_=c", b"?page=2&utm_source=a%26b&utm_=c"),
        (b"?page&page=&page==3", b"?page&page=&page==3"),
        (b"?page=2;token=s3cr3t", b"?page=2"),
        (b"?page=2#token=s3cr3t&page=3", b"?page=2"),
        (b"?Page=2&p%61ge=3&page%3D4&xpage=5&pages=6&xutm_a=7", b""),
        (b"?utm=1&UTM_a=2", b""),
        (b"?", b""),
        (b"#page=2", b""),
        (b"%3Fpage=2", b""),
        (b"%3Ftoken=s3cr3t?page=2", b""),
    ],
)
def test_parameters_that_are_listed_pass(value: bytes, kept: bytes) -> None:
    listed = PageUrl("no_query", ["page", "utm_*"])
    assert listed.shown(b"https://app.example.com/a" + value) == b"https://app.example.com/a" + kept
    assert PageUrl("origin", ["page"]).shown(b"https://app.example.com/a" + value) == b"https://app.example.com/"


SPOTS = (
    b"https://me:%b@app.example.com/a/b",
    b"https://%b@app.example.com/a/b",
    b"https://app.example.com/a/b?token=%b",
    b"https://app.example.com/a/b?x;token=%b",
    b"https://app.example.com/a/b#token=%b",
    b"https://app.example.com/a;token=%b",
    b"https://app.example.com/a%%3ftoken=%b",
)


@pytest.mark.parametrize("spot", SPOTS)
def test_wherever_the_sdk_cuts_it_off_nothing_of_a_secret_is_left(spot: bytes) -> None:
    """Also if it were cut elsewhere than at 1000 characters, as other SDKs may."""
    whole = spot % (SECRET * 200)
    for end in range(len(whole) + 1):
        for rule in (NO_QUERY, ORIGIN):
            assert b"s3" not in rule.shown(whole[:end]), end


PIECES = (
    *(b"https://", b"@", b":", b"/", b"//", b"?", b"#", b";", b"%3F", b"%", b"3f", b"\\", b"a"),
    *(b"[", b"]"),
    b"\xff",
)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_what_is_shown_is_a_prefix_without_what_was_to_go(value: bytes) -> None:
    shown, origin = NO_QUERY.shown(value), ORIGIN.shown(value)
    for each in (shown, origin):
        assert not re.search(rb"[@?#;\\\s\x7f-\xff]|%3[fFbB]|%23", each.partition(b"://")[2].partition(b"/")[0])
    assert not re.search(rb"[?#;\\\s\x7f-\xff]|%3[fFbB]|%23", shown)
    if shown:
        assert shown.startswith(origin)
        rest = iter(value + b"/")  # every byte of it is one of the address, in its order
        assert all(octet in rest for octet in shown)
