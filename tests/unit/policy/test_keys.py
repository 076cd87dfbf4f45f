"""Proves where an API key is found, in which order, and that the list of keys lets no other pass."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Route
from proxy.policy.keys import KeyPolicy, api_key
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
        (config(b"/k1", b"?api_key=k2"), BEARER, b"k1"),
        (config(b"", b"?api_key=k2"), BEARER, b"k2"),
        (config(), BEARER, b"from-bearer"),
        (track(b"?type=replay&api_key=k2"), BEARER, b"k2"),
        (track(b"?type=replay"), BEARER, b"from-bearer"),
        (track(), None, None),
    ],
)
def test_the_order_is_path_then_query_then_bearer(
    match: Match, authorization: bytes | None, expected: bytes | None
) -> None:
    assert api_key(match, authorization) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"?api_key=k", b"k"),
        (b"?api_key=k&a=b", b"k"),
        (b"?a=b&api_key=k&c=d", b"k"),
        (b"?api_key=first&api_key=second", b"first"),
        (b"?a=b&api_key=first&api_key=second", b"first"),
        (b"?api_key=a%2Bb+c", b"a+b c"),
        (b"?api_key=a=b", b"a=b"),
        (b"?api_key=a?b", b"a?b"),
    ],
)
def test_the_query_parameter_is_decoded_as_a_form(query: bytes, expected: bytes) -> None:
    assert api_key(track(query), None) == expected


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
    ],
)
def test_what_only_resembles_the_parameter_is_no_key(query: bytes) -> None:
    assert api_key(track(query), None) is None


def test_an_empty_parameter_does_not_hide_the_bearer() -> None:
    assert api_key(track(b"?api_key="), BEARER) == b"from-bearer"


@pytest.mark.parametrize("field", [b"Bearer k", b"bearer k", b"BEARER k", b"Bearer   k  ", b"bEaReR \tk"])
def test_the_bearer_scheme_is_case_insensitive(field: bytes) -> None:
    assert api_key(track(), field) == b"k"


@pytest.mark.parametrize(
    "field", [b"", b"Bearer", b"Bearer ", b"Basic dTpw", b"k", b"Bearerk", b" Bearer k", b"Bearer\tk"]
)
def test_another_authorization_is_no_key(field: bytes) -> None:
    assert not api_key(track(), field)


def test_a_path_segment_is_decoded() -> None:
    assert api_key(config(b"/a%20b%2Bc+d"), None) == b"a b+c+d"


@given(st.text(min_size=1))
def test_a_key_written_as_a_form_is_read_back(key: str) -> None:
    query = "?" + urlencode({"type": "replay", "api_key": key})
    assert api_key(track(query.encode()), None) == key.encode()


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1).filter(
        lambda k: k not in (".", "..")
    )
)
def test_a_key_written_as_a_segment_is_read_back(key: str) -> None:
    match = ROUTER.match(b"/config/" + quote(key, safe="").encode())
    assert isinstance(match, Match)
    assert api_key(match, None) == key.encode()


@given(st.binary(max_size=60), st.none() | st.binary(max_size=40))
def test_no_bytes_break_it(query: bytes, authorization: bytes | None) -> None:
    key = api_key(track(b"?" + query), authorization)
    assert key is None or isinstance(key, bytes)


def test_without_a_list_any_key_passes_and_none_too() -> None:
    policy = KeyPolicy(Keys.model_validate({}))
    assert not policy.active
    assert policy.allows(b"anything")
    assert policy.allows(None)


@pytest.mark.parametrize("key", [None, b"", b"other", b"KEY-1", b"key-1 ", b"key-", b"key-11"])
def test_with_a_list_an_unlisted_or_missing_key_is_refused(key: bytes | None) -> None:
    policy = KeyPolicy(Keys.model_validate({"allow": ["key-1", "key-2"]}))
    assert policy.active
    assert not policy.allows(key)
    assert policy.allows(b"key-1")
    assert policy.allows(b"key-2")
