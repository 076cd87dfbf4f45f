"""Proves what the reader makes of a request head: which fields it keeps, which it acts on, and which heads it refuses
although llhttp lets them pass. That both read alike is proved in `test_differential`."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.verdict import REJECTIONS, Reason
from proxy.wire.request import RequestHead, RequestReader
from tests.unit.wire import heads

READER = RequestReader(target=100, fields=20)
HOP_BY_HOP: tuple[bytes, ...] = (
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authenticate",
    b"Proxy-Authorization",
    b"TE",
)
HOP_BY_HOP += (b"Trailer", b"Transfer-Encoding", b"HTTP2-Settings")
OURS: tuple[bytes, ...] = (
    b"Forwarded",
    b"X-Real-IP",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Host",
    b"X-Forwarded-Port",
)
OURS += (b"X-Forwarded-Server", b"X-Request-Id", b"Cookie", b"Host", b"Expect")


def head(*lines: bytes, first: bytes = b"POST /x HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join((first, host, *lines))


def read(*lines: bytes, first: bytes = b"POST /x HTTP/1.1", reader: RequestReader = READER) -> RequestHead:
    request = reader.read(head(*lines, first=first))
    assert isinstance(request, RequestHead), request
    return request


def refusal(*lines: bytes, first: bytes = b"POST /x HTTP/1.1", reader: RequestReader = READER) -> Reason:
    reason = reader.read(head(*lines, first=first))
    assert isinstance(reason, Reason)
    return reason


def test_what_the_browser_sdk_sends() -> None:
    request = RequestReader(target=8192, fields=100).read(heads.SDK_UPLOAD)
    assert isinstance(request, RequestHead)
    assert (request.method, request.minor) == (b"POST", 1)
    assert request.target == b"/sessions/v2/track?device_id=device-1&session_id=1795239913738&type=replay"
    assert request.host == b"replay.example.com"
    assert request.origin == b"https://app.example.com"
    assert request.authorization == b"Bearer 0123456789abcdef0123456789abcdef"
    assert (request.content_length, request.chunked, request.has_body) == (1978, False, True)
    assert (request.keep_alive, request.expects_continue) == (True, False)
    sent = heads.SDK_UPLOAD.split(b"\r\n")[1:]
    assert request.fields == [line for line in sent if not line.startswith((b"Host:", b"Connection:"))]


def test_a_head_without_fields() -> None:
    request = READER.read(b"POST /x HTTP/1.0")
    assert isinstance(request, RequestHead)
    assert (request.fields, request.host, request.has_body, request.keep_alive) == ([], b"", False, False)


def test_end_to_end_fields_are_kept_byte_for_byte_and_in_order() -> None:
    lines = (b"X-B:\t v  ", b"x-a:", b"X-A:  1", b"x-a: 2", b"X-Client-Url: /\xc3\xa9\xff", b"Content-Length:  3 ")
    assert read(*lines).fields == list(lines)


@pytest.mark.parametrize("name", HOP_BY_HOP + OURS)
def test_what_belongs_to_one_hop_or_to_the_gateway_is_not_kept(name: bytes) -> None:
    values = {b"Transfer-Encoding": b"chunked", b"Expect": b"100-continue", b"Host": b"a"}
    for spelt in (name, name.lower(), name.upper()):
        host = b"" if name == b"Host" else b"Host: a\r\n"
        request = READER.read(b"POST /x HTTP/1.1\r\n" + host + spelt + b": " + values.get(name, b"v") + b"\r\nX-A: 1")
        assert isinstance(request, RequestHead)
        assert request.fields == [b"X-A: 1"]


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"X-Real_IP", b"Content_Length", b"_", b"Authorization_"])
def test_names_with_underscores_are_dropped(name: bytes) -> None:
    assert read(name + b": 1").fields == []


def test_fields_named_in_connection_are_dropped() -> None:
    request = read(
        b"X-A: 1", b"Connection: x-A , X-B,close", b"X-B: 2", b"x-b: 3", b"X-C: 4", b"X-Request-Id: r", b"Cookie: c=d"
    )
    assert request.fields == [b"X-C: 4"]
    assert not request.keep_alive
    assert request.notes == {b"x-request-id": b"r", b"cookie": b"c=d"}
    assert read(b"Connection: cookie, x-request-id", b"Cookie: c=d", b"X-Request-Id: r").notes == {}


@pytest.mark.parametrize(
    "name", [b"Host", b"content-length", b"Content-Type", b"content-encoding", b"Authorization", b"origin"]
)
@pytest.mark.parametrize("value", [b"%b", b"close, %b", b"x, %b,", b"%b, keep-alive"])
def test_end_to_end_fields_cannot_be_named_in_connection(name: bytes, value: bytes) -> None:
    assert refusal(b"Connection: " + value % name) is Reason.BAD_REQUEST
    assert refusal(b"Connection: x", b"Connection: " + value % name.upper()) is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"CloudFront-Viewer-Country"]
)
def test_what_a_trusted_proxy_says_cannot_be_taken_away_by_naming_it_in_connection(name: bytes) -> None:
    reader = RequestReader(target=100, fields=20, note=[b"cloudfront-viewer-country"])
    assert refusal(name + b": DE", b"Connection: " + name, reader=reader) is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("first", "lines", "expected"),
    [
        (b"POST /x HTTP/1.1", (), True),
        (b"POST /x HTTP/1.1", (b"Connection: close",), False),
        (b"POST /x HTTP/1.1", (b"Connection: Close",), False),
        (b"POST /x HTTP/1.1", (b"Connection: keep-alive, close",), False),
        (b"POST /x HTTP/1.1", (b"Connection: close", b"Connection: keep-alive"), False),
        (b"POST /x HTTP/1.1", (b"Connection: keep-alive", b"Connection: close"), False),
        (b"POST /x HTTP/1.1", (b"Proxy-Connection: close",), False),
        (b"POST /x HTTP/1.1", (b"Connection: closed",), True),
        (b"POST /x HTTP/1.0", (), False),
        (b"POST /x HTTP/1.0", (b"Connection: Keep-Alive",), True),
        (b"POST /x HTTP/1.0", (b"Connection: keep-alive",), True),
        (b"POST /x HTTP/1.0", (b"Connection: keep-alive, close",), False),
    ],
)
def test_whether_the_connection_is_kept(first: bytes, lines: tuple[bytes, ...], expected: bool) -> None:
    assert read(*lines, first=first).keep_alive is expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"POST",
        b"POST /x",
        b"POST  /x HTTP/1.1",
        b"POST /x  HTTP/1.1",
        b"POST /x HTTP/1.1 ",
        b" POST /x HTTP/1.1",
        b"M-SEARCH /x HTTP/1.1",
        b"\nPOST /x HTTP/1.1",
        b"\rPOST /x HTTP/1.1",
        b"POST\t/x\tHTTP/1.1",
        b"POST /x http/1.1",
        b"POST /x HTTP/1.10",
        b"POST /x HTTP/1.2",
        b"POST /x HTTP/0.9",
        b"POST /x RTSP/1.0",
        b"POST /x HTTP/1",
    ],
)
def test_a_request_line_that_is_none_is_refused(line: bytes) -> None:
    assert refusal(first=line) is Reason.BAD_REQUEST


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/2", b"HTTP/3.0", b"HTTP/9.9"])
def test_later_versions_are_named_as_what_they_are(version: bytes) -> None:
    assert refusal(first=b"POST /x " + version) is Reason.BAD_VERSION


@pytest.mark.parametrize("target", [b"/\x7f", b"/\xff", b"/\x00", b"/\r", b"/\x1f", b""])
def test_a_target_with_other_than_visible_ascii_is_refused(target: bytes) -> None:
    assert refusal(first=b"POST " + target + b" HTTP/1.1") is Reason.BAD_TARGET


def test_a_target_may_be_as_long_as_the_limit() -> None:
    assert read(first=b"POST /" + b"x" * 99 + b" HTTP/1.1").target == b"/" + b"x" * 99
    assert refusal(first=b"POST /" + b"x" * 100 + b" HTTP/1.1") is Reason.TARGET_TOO_LONG


def test_there_may_be_as_many_fields_as_the_limit() -> None:
    assert len(read(*[b"X-A: 1"] * 19).fields) == 19
    assert refusal(*[b"X-A: 1"] * 20) is Reason.HEAD_TOO_LARGE


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_tunnels_and_mirrors_are_refused(method: bytes) -> None:
    assert refusal(first=method + b" /x HTTP/1.1") is Reason.TUNNEL


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"+3",
        b"-3",
        b"0x3",
        b"3_0",
        b"3,3",
        b"3, 3",
        b"3 3",
        b"3.0",
        b"\xb2",
        b"\xd9\xa3",
        b"9" * 19,
        b"3;q",
        b"three",
    ],
)
def test_a_length_that_is_no_number_is_refused(value: bytes) -> None:
    assert refusal(b"Content-Length: " + value) is Reason.BAD_FRAMING


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 3", b"Content-Length: 3"),
        (b"Content-Length: 0", b"content-length: 0"),
        (b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 0"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    ],
)
def test_two_ways_to_tell_the_length_are_refused(lines: tuple[bytes, bytes]) -> None:
    assert refusal(*lines) is Reason.BAD_FRAMING


@pytest.mark.parametrize(
    "value",
    [
        b"gzip, chunked",
        b"chunked, gzip",
        b"chunked, chunked",
        b"gzip",
        b"identity",
        b"",
        b"chunked;a=b",
        b"chunked,",
        b"xchunked",
        b'"chunked"',
        b"chun\xe2\x84\xaaed",
        b"CHUN\xe2\x84\xaaED",
    ],
)
def test_a_coding_other_than_chunked_is_refused(value: bytes) -> None:
    assert refusal(b"Transfer-Encoding: " + value) is Reason.UNKNOWN_CODING


def test_chunked_in_any_spelling() -> None:
    for value in (b"chunked", b"Chunked", b" CHUNKED\t"):
        request = read(b"Transfer-Encoding:" + value)
        assert (request.chunked, request.content_length, request.has_body) == (True, -1, True)


def test_chunked_before_http_1_1_is_refused() -> None:
    assert refusal(b"Transfer-Encoding: chunked", first=b"POST /x HTTP/1.0") is Reason.BAD_FRAMING


def test_a_length_of_nothing_is_no_body() -> None:
    assert not read(b"Content-Length: 0").has_body
    assert read(b"Content-Length: 000000000000000017").content_length == 17


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a/b", b"a,b", b"u@a", b"a:", b"a:123456", b"a:b", b"[::1", b"[a]x", b"a\xff", b"a?b", b"*"]
)
def test_a_host_that_is_none_is_refused(value: bytes) -> None:
    assert READER.read(b"POST /x HTTP/1.1\r\nHost: " + value) is Reason.BAD_HOST


@pytest.mark.parametrize(
    "value", [b"a", b"A.example:80", b"127.0.0.1:8080", b"[::1]:443", b"[::ffff:1.2.3.4]", b"a_b", b"x" * 253]
)
def test_a_host_is_a_name_or_an_address_and_a_port(value: bytes) -> None:
    for _ in range(2):  # the second time it is remembered
        request = READER.read(b"POST /x HTTP/1.1\r\nHost: " + value + b" ")
        assert isinstance(request, RequestHead)
        assert request.host == value


def test_no_host_and_two_hosts_are_refused() -> None:
    assert READER.read(b"POST /x HTTP/1.1") is Reason.BAD_HOST
    assert refusal(b"Host: a") is Reason.BAD_HOST
    assert refusal(b"host: b") is Reason.BAD_HOST


@pytest.mark.parametrize("line", [b"Upgrade: h2c", b"upgrade: websocket", b"Upgrade:"])
def test_an_upgrade_is_refused(line: bytes) -> None:
    assert refusal(line) is Reason.UPGRADE


@pytest.mark.parametrize("value", [b"", b"100-continue, x", b"200-ok", b"100-continue;a"])
def test_an_expectation_that_is_not_understood_is_refused(value: bytes) -> None:
    assert refusal(b"Expect: " + value) is Reason.EXPECTATION


def test_an_expectation_is_understood_once_and_only_of_http_1_1() -> None:
    assert read(b"Expect: 100-Continue").expects_continue
    assert not read(b"Expect: 100-continue", first=b"POST /x HTTP/1.0").expects_continue
    assert refusal(b"Expect: 100-continue", b"Expect: 100-continue") is Reason.EXPECTATION


def test_of_several_origins_none_is_believed() -> None:
    assert read(b"Origin: https://a").origin == b"https://a"
    assert read().origin is None
    for several in (
        (b"Origin: https://a", b"Origin: https://a"),
        (b"Origin: https://a", b"origin: https://b", b"Origin: https://c"),
    ):
        request = read(*several)
        assert request.origin == b""
        assert request.fields == list(several)


def test_two_keys_are_refused() -> None:
    assert refusal(b"Authorization: Bearer a", b"authorization: Bearer b") is Reason.BAD_REQUEST
    assert refusal(b"Authorization:", b"Authorization: Bearer b") is Reason.BAD_REQUEST


def test_repeated_fields_are_noted_together() -> None:
    request = read(b"X-Forwarded-For: 1", b"x-forwarded-for:2 ", b"Cookie: a=b", b"Cookie: c=d")
    assert request.notes == {b"x-forwarded-for": b"1, 2", b"cookie": b"a=b; c=d"}


def test_what_is_to_be_noted_is_noted_and_kept() -> None:
    reader = RequestReader(target=100, fields=20, note=[b"if-none-match"])
    request = read(b"If-None-Match: x", reader=reader)
    assert request.notes == {b"if-none-match": b"x"}
    assert request.fields == [b"If-None-Match: x"]


@pytest.mark.parametrize("name", [b"referer", b"origin", b"authorization", b"content-type"])
def test_what_is_to_be_dropped_is_dropped_whatever_it_means_here(name: bytes) -> None:
    reader = RequestReader(target=100, fields=20, drop=[name])
    request = read(name.title() + b": v", b"X-A: 1", reader=reader)
    assert request.fields == [b"X-A: 1"]
    assert (request.origin or request.authorization or b"v") == b"v"


def test_a_dropped_field_can_still_be_noted() -> None:
    reader = RequestReader(
        target=100, fields=20, drop=[b"viewer-country"], note=[b"viewer-country", b"x-forwarded-port"]
    )
    request = read(b"Viewer-Country: DE", b"X-Forwarded-Port: 443", reader=reader)
    assert request.notes == {b"viewer-country": b"DE", b"x-forwarded-port": b"443"}
    assert request.fields == []


def test_dropping_cannot_hide_what_frames_the_message() -> None:
    names = [b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"]
    reader = RequestReader(target=100, fields=20, drop=names)
    request = read(b"Content-Length: 3", b"Connection: close", reader=reader)
    assert (request.host, request.content_length, request.keep_alive) == (b"a", 3, False)
    assert refusal(b"Upgrade: h2c", reader=reader) is Reason.UPGRADE


def test_a_flood_of_invented_names_is_forgotten_again() -> None:
    reader = RequestReader(target=100, fields=20, drop=[b"referer"])
    for number in range(10_000):
        read(b"X-%d: 1" % number, reader=reader)
    assert read(b"Referer: r", b"rEFERER: r", b"X-1: 1", b"TE: x", reader=reader).fields == [b"X-1: 1"]
    assert len(reader._kinds) < 5000


def test_a_flood_of_long_names_is_not_remembered_at_all() -> None:
    reader = RequestReader(target=100, fields=20)
    read(reader=reader)
    before = len(reader._kinds)
    for number in range(100):
        read(b"X-%030000d: 1" % number, reader=reader)
    assert sum(map(sys.getsizeof, reader._kinds)) < 100_000
    assert len(reader._kinds) == before


def test_a_flood_of_hosts_is_not_remembered() -> None:
    reader = RequestReader(target=100, fields=20)
    for number in range(3000):
        assert isinstance(reader.read(b"POST /x HTTP/1.1\r\nHost: h%d" % number), RequestHead)
    assert len(reader._hosts) <= 1024


@given(st.binary(max_size=300) | heads.mutated(heads.request_heads()) | heads.request_heads())
@settings(max_examples=500)
def test_no_bytes_raise(data: bytes) -> None:
    request = READER.read(data)
    assert isinstance(request, RequestHead) or request in REJECTIONS


@given(st.lists(heads.request_heads(), max_size=6), st.sampled_from((b"GET", b"OPTIONS", b"HEAD", b"POST")))
@settings(max_examples=300)
def test_what_was_read_before_changes_nothing_whatever_became_of_it(sequence: list[bytes], method: bytes) -> None:
    experienced = RequestReader(target=100, fields=20)
    for head in sequence:
        data = method + b" " + head.partition(b" ")[2]
        for _ in range(2):
            ours, fresh = experienced.read(data), RequestReader(target=100, fields=20).read(data)
            if not isinstance(ours, RequestHead) or not isinstance(fresh, RequestHead):
                assert ours is fresh
                continue
            assert heads.told(ours) == heads.told(fresh)
            ours.fields = []  # as a plan does


def test_a_flood_of_invented_heads_is_forgotten_again() -> None:
    reader = RequestReader(target=100, fields=20)
    for number in range(10_000):
        head = b"OPTIONS /x HTTP/1.1\r\nHost: a\r\nX-A: %d" % number
        assert isinstance(reader.read(head), RequestHead)
        assert isinstance(reader.read(head + b"x" * 3000), RequestHead)
    assert len(reader._blocks) <= 512
    assert len(reader._lines) <= 1024
    assert sum(map(len, reader._blocks)) < 1 << 20


@given(heads.request_heads(), heads.request_heads())
@settings(max_examples=300)
def test_one_head_does_not_change_how_the_next_is_read(one: bytes, other: bytes) -> None:
    reader = RequestReader(target=100, fields=20)
    reader.read(one)
    ours, fresh = reader.read(other), READER.read(other)
    if isinstance(ours, RequestHead) and isinstance(fresh, RequestHead):
        assert heads.told(ours) == heads.told(fresh)
    else:
        assert ours is fresh


@given(heads.request_heads())
@settings(max_examples=500)
def test_nothing_of_one_hop_and_nothing_nominated_is_ever_kept(data: bytes) -> None:
    request = READER.read(data)
    if not isinstance(request, RequestHead):
        return
    kept = {line.partition(b":")[0].lower() for line in request.fields}
    assert not kept & {name.lower() for name in HOP_BY_HOP + OURS}
    for line in data.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"connection":
            assert not kept & {option.strip(b" \t").lower() for option in value.split(b",")} - {b""}
