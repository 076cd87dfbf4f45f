"""Proves that the archive is told what it needs of an upload and never a secret: no API key, no credential, whatever
they are hidden in."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Route
from proxy.policy.describe import SECRET_FIELDS, Describer, fingerprint, meta, redacted
from proxy.policy.privacy import PrivacyPolicy
from proxy.policy.routing import Match
from proxy.settings import Privacy
from proxy.wire.request import RequestHead, RequestReader

KEY = b"0123456789abcdef0123456789abcdef"
HEAD = (
    b"POST /sessions/v2/track?device_id=d&session_id=1764&type=replay HTTP/1.1\r\nHost: replay.example.com\r\n"
    b"Content-Type: application/json\r\nContent-Encoding: GZIP\r\nUser-Agent: Chrom\xe9\r\n"
    b'X-Client-Url: https://app.example.com/a?b="c\r\nAuthorization: Bearer ' + KEY + b"\r\nCookie: session=secret\r\n"
    b"Accept: a\r\nAccept: b"
)


def read(head: bytes) -> RequestHead:
    request = RequestReader(target=8192, fields=100).read(head)
    assert isinstance(request, RequestHead)
    return request


def described(
    head: bytes = HEAD, fields: tuple[str, ...] = ("Content-Type",), ip: str = "full", address: str = "203.0.113.7"
) -> Any:
    request = read(head)
    path, _, query = request.target.partition(b"?")
    match = Match(Route.TRACK, b"", b"?" + query if query else b"")
    assert path == b"/sessions/v2/track"
    return json.loads(meta(b"abc-1", Describer(fields, ip).describe(request, match, address, "us")))


def test_all_that_belongs_to_an_upload_is_told() -> None:
    assert described() == {
        "id": "abc-1",
        "path": "/sessions/v2/track",
        "query": "device_id=d&session_id=1764&type=replay",
        "key": fingerprint(KEY),
        "headers": {"content-type": "application/json"},
        "encoding": "gzip",
        "ip": "203.0.113.7",
        "region": "us",
    }


def test_header_fields_pass_by_list_in_any_case_and_spelling() -> None:
    told = described(fields=("user-agent", "X-Client-URL", "ACCEPT"))
    assert told["headers"] == {
        "user-agent": "Chrom\xe9",
        "x-client-url": 'https://app.example.com/a?b="c',
        "accept": "a, b",
    }


def test_it_is_told_what_was_left_of_the_fields() -> None:
    request = read(HEAD.replace(b'a?b="c', b"a?token=secret"))
    policy = PrivacyPolicy(Privacy(page_url="no_query"))
    policy.apply(request)
    told = json.loads(
        meta(b"id", Describer(("x-client-url",), "off").describe(request, Match(Route.TRACK, b"", b""), "", "us"))
    )
    assert told["headers"] == {"x-client-url": "https://app.example.com/a"}


@pytest.mark.parametrize("name", sorted(SECRET_FIELDS))
def test_a_credential_is_never_told_whatever_the_list_says(name: bytes) -> None:
    head = HEAD.replace(b"Accept: a", name.title() + b": s3cr3t") if name != b"authorization" else HEAD
    text = json.dumps(described(head, fields=(name.decode(), "accept")))
    assert "s3cr3t" not in text
    assert KEY.decode() not in text


@pytest.mark.parametrize(
    ("ip", "address", "told"),
    [
        ("full", "203.0.113.7", "203.0.113.7"),
        ("truncate", "203.0.113.7", "203.0.113.0"),
        ("truncate", "2001:db8:1:2::3", "2001:db8:1::"),
        ("off", "203.0.113.7", None),
        ("full", "", None),
    ],
)
def test_the_clients_address_is_as_coarse_as_was_asked(ip: str, address: str, told: str | None) -> None:
    assert described(ip=ip, address=address)["ip"] == told


def test_without_a_key_there_is_no_fingerprint() -> None:
    assert described(HEAD.replace(b"Authorization: Bearer " + KEY, b"X-Other: 1"))["key"] is None


def test_a_beacons_key_is_in_its_query_and_becomes_a_fingerprint() -> None:
    query = b"?device_id=d&api_key=" + KEY + b"&type=replay"
    told = described(HEAD.replace(b"?device_id=d&session_id=1764&type=replay", query))
    assert told["query"] == f"device_id=d&api_key={fingerprint(KEY)}&type=replay"
    assert told["key"] == fingerprint(KEY)


@pytest.mark.parametrize(
    "name", [b"api_key", b"API_KEY", b"api%5Fkey", b"%61pi_key", b"apiKey", b"api-key", b"+api_key"]
)
def test_a_key_is_found_however_its_name_is_spelt(name: bytes) -> None:
    for query in (b"?" + name + b"=" + KEY, b"?a=1;" + name + b"=" + KEY, b"?a&" + name + b"=" + KEY + b"&b"):
        assert KEY not in redacted(query)
        assert fingerprint(KEY).encode() in redacted(query)


def test_an_encoded_key_has_the_same_fingerprint() -> None:
    assert redacted(b"?api_key=%41b") == redacted(b"?api_key=Ab")


@given(
    st.lists(st.sampled_from([b"a", b"=", b"&", b"?", b";", b"%", b"api", b"_key", b"api_key=K1", b"+"]), max_size=12)
)
def test_a_query_without_a_key_is_left_byte_for_byte(pieces: list[bytes]) -> None:
    query = b"?" + b"".join(pieces)
    out = redacted(query)
    if b"key" not in query:
        assert out == query[1:]
    assert not any(part.startswith(b"api_key=K1") for part in re.split(b"[&;]", out))


def test_a_fingerprint_does_not_give_the_key_away() -> None:
    assert fingerprint(KEY) != fingerprint(KEY[:-1])
    assert len(fingerprint(KEY)) == 16
