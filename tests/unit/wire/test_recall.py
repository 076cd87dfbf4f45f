"""Proves that a head recalled is the head that reading it anew would give, whatever came before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Reason
from proxy.wire.recall import BLOCKS, LONGEST
from proxy.wire.request import RequestHead, RequestReader
from tests.unit.wire import heads

SLOTS = RequestHead.__slots__
LINES = (
    b"Content-Length: 5",
    b"Content-Length: 12",
    b"Content-Length:  7",
    b"Content-Length: 7 ",
    b"Content-Length: x",
    b"Content-Length: ",
    b"Content-Length: 1234567890123456789",
    b"content-length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: X-A",
    b"Host: a",
    b"Host: b",
    b"X-A: 1",
    b"X-B: Content-Length: 5",
    b"Expect: 100-continue",
    b"Origin: https://app.example.com",
    b"Authorization: Bearer k",
    b"Cookie: a=b",
)
FIRST = (b"POST /x HTTP/1.1", b"POST /y HTTP/1.1", b"GET /x HTTP/1.0", b"CONNECT /x HTTP/1.1", b"TRACE /x HTTP/1.1")
HEADS = st.builds(
    lambda first, lines: b"\r\n".join((first, *lines)),
    st.sampled_from(FIRST),
    st.lists(st.sampled_from(LINES), max_size=6),
)


def reader() -> RequestReader:
    return RequestReader(target=100, fields=5, note=(b"x-a",))


def told(head: RequestHead | Reason) -> object:
    return head if isinstance(head, Reason) else {slot: getattr(head, slot) for slot in SLOTS}


@given(st.lists(HEADS, max_size=12))
def test_what_was_read_before_changes_nothing(sequence: list[bytes]) -> None:
    experienced = reader()
    for head in (*sequence, *sequence):
        assert told(experienced.read(head)) == told(reader().read(head))


def test_an_upload_of_another_length_is_recalled() -> None:
    experienced = RequestReader(target=8192, fields=100)
    first = experienced.read(heads.SDK_UPLOAD)
    second = experienced.read(heads.SDK_UPLOAD.replace(b"Content-Length: 1978", b"Content-Length: 20"))
    assert isinstance(first, RequestHead)
    assert isinstance(second, RequestHead)
    assert second.notes is first.notes  # recalled, not read
    assert (first.content_length, second.content_length) == (1978, 20)
    assert b"Content-Length: 20" in second.fields
    assert b"Content-Length: 1978" in first.fields


def test_a_second_length_is_refused_although_the_rest_is_known() -> None:
    experienced = reader()
    known = b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-length: 5"
    assert isinstance(experienced.read(known), RequestHead)
    assert experienced.read(known.replace(b"Host: a", b"Host: a\r\nContent-Length: 6")) is Reason.BAD_FRAMING


def test_a_full_table_forgets_and_goes_on() -> None:
    experienced = reader()
    for number in range(BLOCKS + 10):
        assert isinstance(experienced.read(b"POST /x HTTP/1.1\r\nHost: a\r\nX-C: %d" % number), RequestHead)
    assert isinstance(experienced.read(b"POST /x HTTP/1.1\r\nHost: a\r\nX-C: 1"), RequestHead)


def test_a_long_block_is_not_remembered() -> None:
    experienced = reader()
    long = b"POST /x HTTP/1.1\r\nHost: a\r\nX-C: " + b"v" * LONGEST
    first, second = experienced.read(long), experienced.read(long)
    assert isinstance(first, RequestHead)
    assert isinstance(second, RequestHead)
    assert second.notes is not first.notes
