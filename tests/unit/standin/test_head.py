"""Proves that the reader of heads finds framing and identity, and that nothing a correct proxy would
never send goes by unnoticed: refused when the message's end is uncertain, else noted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.standin.head import HEAD_LIMIT, SHOWN_BYTES, Head, host_name, read_head, shown, unfinished_fault

GOOD = b"Host: a.example\r\n"


def read(fields: bytes, start: bytes = b"POST /x HTTP/1.1", sni: str | None = None, tls: bool = False) -> Head:
    return read_head(start + b"\r\n" + fields + b"\r\n", sni, tls)[0]


def codes(head: Head) -> list[str]:
    return [violation.partition(":")[0] for violation in head.violations]


def test_a_good_head_has_no_violation() -> None:
    head = read(
        GOOD + b"Content-Length: 3\r\nCookie: a=b\r\nX-Client-Url: https://a/\xe4\r\nConnection: keep-alive\r\n"
    )
    assert (head.violations, head.refusal, head.framing, head.length, head.close) == (
        [],
        "",
        "content-length",
        3,
        False,
    )


def test_the_start_line_is_split_without_touching_it() -> None:
    head = read(GOOD, b"GET /config/a%2Fb?x=%7E HTTP/1.1")
    assert (head.method, head.target, head.version) == (b"GET", b"/config/a%2Fb?x=%7E", b"HTTP/1.1")


def test_fields_keep_case_order_and_repetition() -> None:
    head = read(b"host:a\r\nX-B: 1 \r\nx-a:\t\xe4\r\nX-B: \r\n")
    assert head.fields() == [("host", "a"), ("X-B", "1"), ("x-a", "ä"), ("X-B", "")]


@pytest.mark.parametrize(
    ("fields", "framing"),
    [(b"", "none"), (b"Content-Length: 0\r\n", "content-length"), (b"Transfer-Encoding: chunked\r\n", "chunked")],
)
def test_framing(fields: bytes, framing: str) -> None:
    assert read(GOOD + fields).framing == framing


def test_gzip_is_noticed() -> None:
    assert read(GOOD + b"Content-Encoding: GZIP\r\n").gzip
    assert not read(GOOD + b"Content-Encoding: br\r\n").gzip


def test_http_1_0_ends_the_connection_unless_it_asks_otherwise() -> None:
    assert read(GOOD, b"GET / HTTP/1.0").close
    assert not read(GOOD + b"Connection: keep-alive\r\n", b"GET / HTTP/1.0").close
    assert read(GOOD + b"Connection: close\r\n").close


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nContent-Length: 1\r\n",
        b"Content-Length: 1, 1\r\n",
        b"Content-Length: +1\r\n",
        b"Content-Length: 0x1\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 9999999999999999999\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: Chunked\r\n",
        b"Content-Length : 1\r\n",
        b"X-A: a\r\n folded\r\n",
        b"X-A: a\x00b\r\n",
        b"X-A: a\rb\r\n",
        b"X A: a\r\n",
        b": a\r\n",
        b"no colon\r\n",
    ],
)
def test_uncertain_framing_is_refused(fields: bytes) -> None:
    head = read(GOOD + fields)
    assert head.refusal
    assert head.refusal in head.violations


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/2.0",
        b"GET / HTTP/1.10",
        b"GET /a b HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"\r\nGET / HTTP/1.1",
        b"g\xe9t / HTTP/1.1",
    ],
)
def test_a_broken_start_line_is_refused(start: bytes) -> None:
    assert read(GOOD, start).refusal


def test_chunked_in_http_1_0_is_refused() -> None:
    assert "framing" in codes(read(GOOD + b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"))


@pytest.mark.parametrize(
    "field",
    [
        b"Connection: x-secret",
        b"Connection: keep-alive, te",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic eA==",
        b"TE: trailers",
        b"Trailer: X-Sum",
        b"Upgrade: websocket",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Expect: 100-continue",
        b"expect: something-else",
    ],
)
def test_a_field_that_a_proxy_must_consume_is_a_violation_but_no_refusal(field: bytes) -> None:
    head = read(GOOD + field + b"\r\n")
    assert codes(head) == ["hop_by_hop"]
    assert not head.refusal
    assert field.split(b": ")[1].decode() in head.violations[0]


def test_an_upgrade_with_its_connection_field_is_a_violation_and_no_crash() -> None:
    assert codes(read(GOOD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n")) == ["hop_by_hop", "hop_by_hop"]


@pytest.mark.parametrize("fields", [b"", b"Host: a\r\nHost: a\r\n", b"Host: \r\n"])
def test_not_exactly_one_host_is_a_violation(fields: bytes) -> None:
    assert "host" in codes(read(fields))


def test_a_target_in_absolute_form_is_a_violation() -> None:
    assert codes(read(GOOD, b"GET http://a.example/x HTTP/1.1")) == ["target"]


@pytest.mark.parametrize(
    ("host", "sni"),
    [(b"a.example", "a.example"), (b"A.Example:443", "a.example"), (b"127.0.0.1:9", None), (b"[::1]:9", None)],
)
def test_a_host_that_fits_the_handshake(host: bytes, sni: str | None) -> None:
    assert read(b"Host: " + host + b"\r\n", sni=sni, tls=True).violations == []


@pytest.mark.parametrize(
    ("host", "sni"), [(b"a.example", "b.example"), (b"a.example", None), (b"127.0.0.1", "a.example")]
)
def test_a_host_that_differs_from_the_handshake_is_a_violation(host: bytes, sni: str | None) -> None:
    assert codes(read(b"Host: " + host + b"\r\n", sni=sni, tls=True)) == ["host"]


def test_without_tls_any_host_will_do() -> None:
    assert read(b"Host: whatever\r\n").violations == []


def test_a_host_name_has_no_port_and_no_brackets() -> None:
    assert [host_name(host) for host in (b"a:1", b"A", b"[::1]:80", b"a:")] == ["a", "a", "::1", "a"]


def test_a_bare_line_feed_is_a_fault_before_the_head_is_whole() -> None:
    assert unfinished_fault(b"GET / HTTP/1.1\nHost: a\n\n").startswith("llhttp: bare LF")
    assert unfinished_fault(b"GET / HTTP/1.1\r\nHost: a\r") == ""


def test_an_endless_head_is_a_fault() -> None:
    assert unfinished_fault(b"a" * HEAD_LIMIT) == ""
    assert unfinished_fault(b"a" * (HEAD_LIMIT + 1)).startswith("head: longer")


def test_the_bytes_of_a_violation_are_shown_but_bounded() -> None:
    assert shown(b"a\r\x00") == r"b'a\r\x00'"
    assert len(shown(b"a" * 100_000)) == SHOWN_BYTES + 3


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    head, _ = read_head(data + b"\r\n\r\n", None, False)
    assert head.violations == [] or all(": " in violation for violation in head.violations)
    head.fields()


@given(
    st.lists(
        st.tuples(st.from_regex(r"X-[A-Za-z0-9]{1,8}", fullmatch=True), st.from_regex(r"[!-~]{0,20}", fullmatch=True)),
        max_size=20,
    )
)
def test_whatever_fields_are_sent_are_told_unchanged(pairs: list[tuple[str, str]]) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in pairs).encode()
    head = read(GOOD + fields)
    assert head.fields() == [("Host", "a.example"), *pairs]
    assert head.violations == []
