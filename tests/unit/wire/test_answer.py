"""Proves what the reader makes of an answer head: what is relayed, what would act on the customer's domain and is left
out, and which heads are refused although llhttp lets them pass."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.answer import AnswerHead, AnswerReader, BadAnswer
from tests.unit.wire import heads

READER = AnswerReader(fields=20)
DROPPED: tuple[bytes, ...] = (
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
    b"Trailer",
    b"Upgrade",
)
DROPPED += (b"Connection", b"X-Request-Id", b"X-Gateway-Config", b"X-Gateway-Reason", b"Set-Cookie", b"Set-Cookie2")
DROPPED += (b"Alt-Svc", b"Strict-Transport-Security", b"Public-Key-Pins", b"Expect-CT", b"Clear-Site-Data", b"NEL")
DROPPED += (b"Report-To", b"Reporting-Endpoints", b"Service-Worker-Allowed", b"Origin-Agent-Cluster", b"Accept-CH")
DROPPED += (b"Critical-CH", b"Access-Control-Allow-Origin", b"Access-Control-Anything")


def read(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK", reader: AnswerReader = READER) -> AnswerHead:
    return reader.read(b"\r\n".join((first, *lines)))


def refused(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> None:
    with pytest.raises(BadAnswer) as bad:
        read(*lines, first=first)
    assert str(bad.value)


def test_a_vendor_answer() -> None:
    answer = AnswerReader(fields=100).read(heads.VENDOR_ANSWER)
    assert (answer.status, answer.status_line) == (200, b"HTTP/1.1 200 OK")
    assert (answer.content_length, answer.chunked, answer.bodiless) == (12, False, False)
    assert (answer.keep_alive, answer.cache_control, answer.skipped) == (True, False, 0)
    assert answer.content_type == b"application/json"
    gone = (b"Connection", b"Access-Control", b"Strict-Transport", b"HTTP/")
    assert answer.fields == [line for line in heads.VENDOR_ANSWER.split(b"\r\n") if not line.startswith(gone)]


def test_an_answer_without_fields() -> None:
    answer = read()
    assert (answer.fields, answer.content_length, answer.keep_alive) == ([], -1, True)


@pytest.mark.parametrize(
    ("line", "status", "relayed"),
    [
        (b"HTTP/1.1 200 OK", 200, b"HTTP/1.1 200 OK"),
        (b"HTTP/1.0 200 OK", 200, b"HTTP/1.1 200 OK"),
        (b"HTTP/1.1 200", 200, b"HTTP/1.1 200 "),
        (b"HTTP/1.1 200 ", 200, b"HTTP/1.1 200 "),
        (b"HTTP/1.1 503 Service\tUn\xe9", 503, b"HTTP/1.1 503 Service\tUn\xe9"),
        (b"HTTP/1.1 599 x", 599, b"HTTP/1.1 599 x"),
    ],
)
def test_a_status_line_is_relayed_as_http_1_1(line: bytes, status: int, relayed: bytes) -> None:
    for _ in range(2):  # the second time it is remembered
        answer = read(first=line)
        assert (answer.status, answer.status_line) == (status, relayed)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/2 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.1 000 x",
        b"http/1.1 200 OK",
        b"HTTP/1.1 200 a\x00",
        b"HTTP/1.1 200 a\rb",
        b"HTTP/1.1 200 a\nb",
        b"HTTP/1.1 +20 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 \xb2\xb3\xb9 OK",
    ],
)
def test_a_status_line_that_is_none_is_refused(line: bytes) -> None:
    refused(first=line)


def test_fields_are_kept_byte_for_byte_and_in_order() -> None:
    lines = (
        b"X-B:\t v  ",
        b"x-a:",
        b"X-A:  1",
        b"x-a: 2",
        b"ETag: \xff",
        b"Content-Length:  3 ",
        b"Vary: Accept-Encoding",
    )
    assert read(*lines).fields == list(lines)


@pytest.mark.parametrize("name", DROPPED)
def test_what_is_the_gateways_or_would_act_on_the_customers_domain_is_left_out(name: bytes) -> None:
    for spelt in (name, name.lower(), name.upper(), name.swapcase()):
        assert read(spelt + b": v", b"X-A: 1").fields == [b"X-A: 1"]


def test_only_the_cookies_that_may_pass_are_set() -> None:
    reader = AnswerReader(fields=20, cookies=[b"consent"])
    lines = (
        b"Set-Cookie: consent=1; Path=/",
        b"set-cookie:consent=2",
        b"Set-Cookie: id=consent=3",
        b"Set-Cookie: Consent=4",
    )
    assert read(*lines, b"Set-Cookie: consentx=5", b"Set-Cookie: x", reader=reader).fields == list(lines[:2])


def test_fields_named_in_connection_are_dropped() -> None:
    answer = read(b"X-A: 1", b"Connection: x-A , X-B", b"X-B: 2", b"X-C: 3")
    assert answer.fields == [b"X-C: 3"]
    assert answer.keep_alive


def test_what_frames_the_body_cannot_be_named_away() -> None:
    answer = read(b"Content-Length: 3", b"Content-Encoding: gzip", b"Connection: content-length, content-encoding")
    assert answer.fields == [b"Content-Length: 3", b"Content-Encoding: gzip"]
    assert read(b"Transfer-Encoding: chunked", b"Connection: transfer-encoding").chunked


@pytest.mark.parametrize(
    ("first", "lines", "expected"),
    [
        (b"HTTP/1.1 200 OK", (), True),
        (b"HTTP/1.1 200 OK", (b"Connection: close",), False),
        (b"HTTP/1.1 200 OK", (b"Connection: close", b"Connection: keep-alive"), False),
        (b"HTTP/1.1 200 OK", (b"Connection: keep-alive, Close",), False),
        (b"HTTP/1.1 200 OK", (b"Proxy-Connection: close",), False),
        (b"HTTP/1.0 200 OK", (), False),
        (b"HTTP/1.0 200 OK", (b"Connection: keep-alive",), True),
    ],
)
def test_whether_the_connection_is_kept(first: bytes, lines: tuple[bytes, ...], expected: bool) -> None:
    assert read(*lines, first=first).keep_alive is expected


@pytest.mark.parametrize("value", [b"", b"+3", b"-3", b"0x3", b"3_0", b"3,3", b"3 3", b"3.0", b"\xb2", b"9" * 19])
def test_a_length_that_is_no_number_is_refused(value: bytes) -> None:
    refused(b"Content-Length: " + value)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 3", b"Content-Length: 3"),
        (b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 0"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: gzip",),
        (b"Transfer-Encoding:",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: chun\xe2\x84\xaaed",),
    ],
)
def test_a_length_told_in_two_ways_or_in_an_unknown_one_is_refused(lines: tuple[bytes, ...]) -> None:
    refused(*lines)


def test_a_coding_before_http_1_1_is_refused() -> None:
    refused(b"Transfer-Encoding: chunked", first=b"HTTP/1.0 200 OK")
    refused(b"Connection: keep-alive", b"Transfer-Encoding: chunked", first=b"HTTP/1.0 200 OK")


def test_a_204_is_relayed_without_a_length() -> None:
    answer = read(b"X-A: 1", b"content-LENGTH: 5", b"X-B: 2", first=b"HTTP/1.1 204 No Content")
    assert (answer.fields, answer.bodiless) == ([b"X-A: 1", b"X-B: 2"], True)
    assert read(b"Content-Length: 5", first=b"HTTP/1.1 304 Not Modified").fields == [b"Content-Length: 5"]


def test_too_many_fields_are_refused() -> None:
    assert len(read(*[b"X-A: 1"] * 20).fields) == 20
    refused(*[b"X-A: 1"] * 21)


@pytest.mark.parametrize(
    ("status", "bodiless"),
    [(100, True), (103, True), (200, False), (204, True), (205, False), (304, True), (404, False)],
)
def test_which_answers_have_no_body(status: int, bodiless: bool) -> None:
    assert read(first=b"HTTP/1.1 %d x" % status).bodiless is bodiless


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"429", 429), (b" 4004\t", 4004), (b"0", 0), (b"", -1), (b"x", -1), (b"-1", -1), (b"9" * 6, -1), (b"\xb2", -1)],
)
def test_the_vendors_word_that_data_was_thrown_away(value: bytes, expected: int) -> None:
    line = b"x-session-replay-event-skipped:" + value
    answer = read(line)
    assert answer.skipped == expected
    assert answer.fields == [line]


def test_what_it_says_of_caching_and_type_is_noted() -> None:
    answer = read(b"CACHE-CONTROL: max-age=1", b"content-type:\tText/JSON ")
    assert (answer.cache_control, answer.content_type) == (True, b"Text/JSON")
    assert len(answer.fields) == 2


def test_floods_of_names_and_reasons_are_not_remembered() -> None:
    reader = AnswerReader(fields=20)
    for number in range(10_000):
        read(b"X-%d: 1" % number, b"X-%05000d: 1" % number, first=b"HTTP/1.1 200 %d" % number, reader=reader)
    assert read(b"TE: x", b"X-1: 1", reader=reader).fields == [b"X-1: 1"]
    assert len(reader._kinds) < 5000
    assert sum(map(sys.getsizeof, reader._kinds)) < 1_000_000
    assert len(reader._status_lines) <= 256


@given(st.binary(max_size=300) | heads.mutated(heads.answer_heads()) | heads.answer_heads())
@settings(max_examples=500)
def test_no_bytes_raise_anything_but_bad_answer(data: bytes) -> None:
    try:
        answer = READER.read(data)
    except BadAnswer:
        return
    assert 100 <= answer.status < 600
    kept = {line.partition(b":")[0].lower() for line in answer.fields}
    assert not kept & {name.lower() for name in DROPPED}
    assert not any(name.startswith(b"access-control-") for name in kept)
