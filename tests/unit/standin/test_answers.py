"""Proves that every answer carries what the real vendor sends of its own, once, and is framed as its
status and method want."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.standin.answers import (
    VENDOR_FIELDS,
    Answer,
    Defaults,
    chunk,
    field_pairs,
    head_bytes,
    is_config,
    length_field,
    pieces,
    reason_phrase,
    whole,
)

DATE = "Thu, 01 Jan 1970 00:00:00 GMT"
US = Defaults("us-tls", "us")


def test_a_whole_answer_byte_by_byte() -> None:
    assert whole(Answer(200, b'{"code":200}'), DATE, b"POST", False) == (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: standin\r\n"
        b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: false\r\n"
        b"Set-Cookie: vendor=1; Path=/\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
        b'{"code":200}'
    )


@pytest.mark.parametrize("answer", [US.track, US.config, US.not_found, US.bad_gzip, US.refused, US.preflight])
def test_every_answer_carries_the_vendors_fields_once(answer: Answer) -> None:
    data = whole(answer, DATE, b"GET", False)
    for name, value in VENDOR_FIELDS:
        assert data.count(f"\r\n{name}: {value}\r\n".encode()) == 1


def test_a_given_field_replaces_the_vendors() -> None:
    data = whole(Answer(200, b"x", fields=(("server", "other"), ("content-type", "text/plain"))), DATE, b"GET", False)
    assert data.lower().count(b"server:") == 1
    assert data.lower().count(b"content-type:") == 1


def test_head_has_the_length_but_no_body() -> None:
    data = whole(Answer(200, b"body"), DATE, b"HEAD", False)
    assert data.endswith(b"Content-Length: 4\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_bodiless_status_has_neither_body_nor_length(status: int) -> None:
    data = whole(Answer(status), DATE, b"GET", False)
    assert b"Content-Length" not in data
    assert data.endswith(b"\r\n\r\n")


def test_the_end_of_the_connection_is_announced() -> None:
    assert b"\r\nConnection: close\r\n" in head_bytes(Answer(200), DATE, length_field(0), True)
    assert b"Connection" not in head_bytes(Answer(200), DATE, length_field(0), False)


def test_an_unknown_status_has_a_phrase_all_the_same() -> None:
    assert (reason_phrase(503), reason_phrase(799)) == ("Service Unavailable", "Unknown")


def test_the_config_names_region_and_site() -> None:
    body = json.loads(US.config.body)
    assert (body["region"], body["site"]) == ("us", "us-tls")
    assert body["configs"]["sessionReplay"]["sr_sampling_config"] == {"capture_enabled": True, "sample_rate": 1}


@pytest.mark.parametrize(
    ("method", "target", "answer"),
    [
        (b"POST", b"/sessions/v2/track", US.track),
        (b"POST", b"/any/prefix/sessions/v2/track?device_id=1", US.track),
        (b"GET", b"/config/key?config_group=browser", US.config),
        (b"GET", b"/config//key", US.config),
        (b"HEAD", b"/config/key", US.config),
        (b"GET", b"/config?api_key=key", US.config),
        (b"OPTIONS", b"/sessions/v2/track", US.preflight),
        (b"GET", b"/config", US.not_found),
        (b"GET", b"/configX/key", US.not_found),
        (b"GET", b"/sessions/v2/track", US.not_found),
        (b"POST", b"/sessions/v2/trackX", US.not_found),
        (b"POST", b"/x?a=/sessions/v2/track", US.not_found),
        (b"POST", b"/config/key", US.not_found),
    ],
)
def test_the_default_answer(method: bytes, target: bytes, answer: Answer) -> None:
    assert US.choose(method, target, None) is answer


def test_a_broken_gzip_upload_is_answered_400() -> None:
    assert US.choose(b"POST", b"/sessions/v2/track", False).status == 400
    assert US.choose(b"POST", b"/sessions/v2/track", True) is US.track


def test_remembered_bytes_are_the_same_as_fresh_ones_and_follow_the_date() -> None:
    defaults = Defaults("us", "us")
    for date in (DATE, "Thu, 01 Jan 1970 00:00:01 GMT"):
        for method in (b"GET", b"HEAD"):
            for close in (False, True):
                for _ in range(2):
                    expected = whole(defaults.config, date, method, close)
                    assert defaults.bytes_of(defaults.config, date, method, close) == expected


def test_repeated_fields_are_given_as_a_list() -> None:
    assert field_pairs({"A": ["1", 2], "B": 3}) == (("A", "1"), ("A", "2"), ("B", "3"))


def test_config_needs_a_key() -> None:
    assert not is_config(b"/config?x=1")


def test_a_chunk() -> None:
    assert (chunk(b"hello world"), chunk(b"")) == (b"b\r\nhello world\r\n", b"0\r\n\r\n")


@given(st.binary(max_size=50), st.integers(1, 60))
def test_pieces_are_never_empty_and_give_the_body(body: bytes, count: int) -> None:
    parts = pieces(body, count)
    assert len(parts) == count
    assert all(parts)
    assert b"".join(parts).rstrip(b" ") == body.rstrip(b" ")
