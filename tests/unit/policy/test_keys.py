"""Proves that every API key of a request is found, wherever it stands, and that the list of keys lets no other pass."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Reason, Route
from proxy.policy.keys import KeyPolicy, api_keys
from proxy.policy.routing import Match, Router
from proxy.settings.schema import Keys, Paths

ROUTER = Router(Paths.model_validate({}))
BEARER = b"Bearer from-bearer"


def track(query: bytes = b"") -> Match:
    return Match(Route.TRACK, b"", query)


def config(suffix: bytes = b"", query: bytes = b"") -> Match:
    return Match(Route.CONFIG, suffix, query)


@pytest.mark.parametrize(
    ("match", "authorization", "expected"),
    [
        (config(b"/k1"), None, [b"k1"]),
        (config(b"", b"?api_key=k2"), None, [b"k2"]),
        (track(b"?type=replay&api_key=k2"), None, [b"k2"]),
        (track(b"?type=replay"), BEARER, [b"from-bearer"]),
        (track(), None, []),
        # What no SDK sends.
        (config(b"/k1", b"?api_key=k2"), BEARER, [b"k1", b"k2", b"from-bearer"]),
        (config(b"/k1", b"?api_key=k1"), b"Bearer k1", [b"k1"]),
        (track(b"?api_key=k2"), BEARER, [b"k2", b"from-bearer"]),
        (track(b"?api_key=from-bearer"), BEARER, [b"from-bearer"]),
    ],
)
def test_every_place_is_looked_at(match: Match, authorization: bytes | None, expected: list[bytes]) -> None:
    assert api_keys(match, authorization) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"?api_key=k", [b"k"]),
        (b"?api_key=k&a=b", [b"k"]),
        (b"?a=b&api_key=k&c=d", [b"k"]),
        (b"?api_key=first&api_key=second", [b"first", b"second"]),
        (b"?a=b&api_key=first&c=d&api_key=second&api_key=first", [b"first", b"second"]),
        (b"?api_key=&api_key=second", [b"second"]),
        (b"?api_key=a%2Bb+c", [b"a+b c"]),
        (b"?api_key=a=b", [b"a=b"]),
        (b"?api_key=a?b", [b"a?b"]),
        (b"?api%5Fkey=k", [b"k"]),
        (b"?%61%70%69%5f%6b%65%79=k&device_id=%20", [b"k"]),
    ],
)
def test_the_query_parameter_is_decoded_as_a_form(query: bytes, expected: list[bytes]) -> None:
    assert api_keys(track(query), None) == expected


@pytest.mark.parametrize(
    "query",
    [
        b"?",
        b"?api_key",
        b"?api_key=",
        b"?api_key=&a=b",
        b"?xapi_key=k",
        b"?a=api_key=k",
        b"?API_KEY=k",
        b"?a?api_key=k",
        b"?a;api_key=k",
        b"?api%255Fkey=k",
        b"?api%5Fkey",
        b"?%=k&%zz=k",
    ],
)
def test_what_only_resembles_the_parameter_is_no_key(query: bytes) -> None:
    assert api_keys(track(query), None) == []


def test_an_empty_parameter_does_not_hide_the_bearer() -> None:
    assert api_keys(track(b"?api_key="), BEARER) == [b"from-bearer"]


@pytest.mark.parametrize("field", [b"Bearer k", b"bearer k", b"BEARER k", b"Bearer   k  ", b"bEaReR \tk", b"Bearer\tk"])
def test_the_bearer_scheme_is_case_insensitive(field: bytes) -> None:
    assert api_keys(track(), field) == [b"k"]


@pytest.mark.parametrize("field", [b"", b" ", b"Bearer", b"Bearer ", b"Basic dTpw", b"k", b"Bearerk", b"Bearer, k"])
def test_another_authorization_is_no_key(field: bytes) -> None:
    assert api_keys(track(), field) == []


def test_a_path_segment_is_decoded() -> None:
    assert api_keys(config(b"/a%20b%2Bc+d"), None) == [b"a b+c+d"]


@given(st.text(min_size=1))
def test_a_key_written_as_a_form_is_read_back(key: str) -> None:
    query = "?" + urlencode({"type": "replay", "api_key": key})
    assert api_keys(track(query.encode()), None) == [key.encode()]


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1).filter(
        lambda k: k not in (".", "..")
    )
)
def test_a_key_written_as_a_segment_is_read_back(key: str) -> None:
    match = ROUTER.match(b"/config/" + quote(key, safe="").encode())
    assert isinstance(match, Match)
    assert api_keys(match, None) == [key.encode()]


@given(st.binary(max_size=60), st.none() | st.binary(max_size=40))
def test_no_bytes_break_it(query: bytes, authorization: bytes | None) -> None:
    keys = api_keys(track(b"?" + query), authorization)
    assert all(keys)
    assert len(set(keys)) == len(keys)


pairs = st.tuples(st.sampled_from(["api_key", "type", "device_id", "apikey"]), st.text(max_size=4))


@given(st.lists(pairs, max_size=6))
def test_as_many_keys_are_found_as_a_form_reader_finds(pairs: list[tuple[str, str]]) -> None:
    query = urlencode(pairs)
    expected = dict.fromkeys(parse_qs(query, errors="strict").get("api_key", []))
    assert [key.decode() for key in api_keys(track(b"?" + query.encode()), None)] == list(expected)


def policy(**keys: object) -> KeyPolicy:
    return KeyPolicy(Keys.model_validate(keys))


def test_without_a_list_any_key_passes_and_none_too() -> None:
    assert not policy().active
    assert policy().judge([b"anything", b"else"], None) is None
    assert policy().judge([], b"https://app.example.com") is None


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [b""],
        [b"other"],
        [b"KEY-1"],
        [b"key-1 "],
        [b"key-"],
        [b"key-11"],
        [b"key-1", b"other"],
        [b"other", b"key-2"],
    ],
)
def test_with_a_list_every_key_must_be_on_it_and_one_there_must_be(keys: list[bytes]) -> None:
    listed = policy(allow=["key-1", "key-2"])
    assert listed.active
    assert listed.judge(keys, None) is Reason.UNKNOWN_KEY
    for known in ([b"key-1"], [b"key-2"], [b"key-2", b"key-1"]):
        assert listed.judge(known, b"https://anywhere.example") is None


SHOP = "https://shop.example.com"
BLOG = "https://*.blog.example"


@pytest.mark.parametrize(
    ("keys", "origin", "expected"),
    [
        ([b"shop"], b"https://shop.example.com", None),
        ([b"blog"], b"https://a.blog.example", None),
        ([b"free"], b"https://anywhere.example", None),
        ([b"shop"], None, None),
        ([b"shop"], b"https://a.blog.example", Reason.KEY_ORIGIN),
        ([b"blog"], b"https://shop.example.com", Reason.KEY_ORIGIN),
        ([b"blog"], b"https://blog.example", Reason.KEY_ORIGIN),
        ([b"shop"], b"https://shop.example.com.evil.example", Reason.KEY_ORIGIN),
        ([b"shop"], b"http://shop.example.com", Reason.KEY_ORIGIN),
        ([b"shop"], b"null", Reason.KEY_ORIGIN),
        ([b"shop"], b"", Reason.KEY_ORIGIN),
        ([b"shop", b"blog"], b"https://shop.example.com", Reason.KEY_ORIGIN),
        ([b"other"], b"https://shop.example.com", Reason.UNKNOWN_KEY),
    ],
)
def test_a_key_may_be_for_some_pages_only(keys: list[bytes], origin: bytes | None, expected: Reason | None) -> None:
    bound = policy(allow=["shop", "blog", "free"], origins={"shop": [SHOP], "blog": [BLOG]})
    assert bound.judge(keys, origin) is expected


def test_pages_can_be_named_for_a_key_without_a_list_of_keys() -> None:
    bound = policy(origins={"shop": [SHOP]})
    assert bound.active
    assert bound.judge([b"shop"], b"https://evil.example") is Reason.KEY_ORIGIN
    assert bound.judge([b"any"], b"https://evil.example") is None
    assert bound.judge([], b"https://evil.example") is None
