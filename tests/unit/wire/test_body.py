"""Proves that a body ends where its head said it would, whichever of the three ways that was, and however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.body import BodyReader
from proxy.wire.chunked import BadChunk, encode
from tests.unit.wire import heads


def read(body: BodyReader, pieces: list[bytes]) -> tuple[bytes, int]:
    """The payload, and how many bytes belonged to the message."""
    payload, end = b"", 0
    for piece in pieces:
        if body.complete:
            break
        found, used = body.feed(piece)
        payload, end = payload + found, end + used
    return payload, end


def test_no_body_is_complete_before_it_begins() -> None:
    body = BodyReader()
    assert body.complete
    body.begin(0)
    assert (body.complete, body.counted, body.left) == (True, True, 0)
    assert body.feed(b"GET /") == (b"", 0)


def test_a_counted_body_leaves_the_next_message_alone() -> None:
    body = BodyReader()
    body.begin(5)
    assert (body.complete, body.counted, body.left) == (False, True, 5)
    assert body.feed(b"abc") == (b"abc", 3)
    assert (body.complete, body.left) == (False, 2)
    assert body.feed(b"deGET /") == (b"de", 2)
    assert (body.complete, body.left) == (True, 0)


def test_a_body_that_is_passed_whole_is_not_copied() -> None:
    body, data = BodyReader(), bytes(1000)
    body.begin(2000)
    assert body.feed(data)[0] is data
    body.begin(0, until_close=True)
    assert body.feed(data)[0] is data


def test_a_chunked_body_ends_with_its_last_chunk() -> None:
    body = BodyReader()
    body.begin(0, chunked=True)
    assert (body.complete, body.counted) == (False, False)
    assert body.feed(b"3\r\nabc\r\n2\r\nde\r\n0\r\n") == (b"abcde", 18)
    assert not body.complete
    assert body.feed(b"\r\nGET /") == (b"", 2)
    assert body.complete


def test_a_chunked_body_that_is_broken_is_no_body() -> None:
    body = BodyReader()
    body.begin(0, chunked=True)
    with pytest.raises(BadChunk):
        body.feed(b"zz\r\n")
    assert not body.complete


def test_a_body_until_the_close_never_ends_by_itself() -> None:
    body = BodyReader()
    body.begin(0, until_close=True)
    assert (body.complete, body.counted) == (False, False)
    assert body.feed(b"0\r\n\r\n") == (b"0\r\n\r\n", 5)
    assert not body.complete


def test_one_body_leaves_nothing_behind_for_the_next() -> None:
    body = BodyReader()
    for _ in range(2):
        body.begin(9)
        body.feed(b"abc")
        body.begin(0, chunked=True)
        assert read(body, [b"1\r\nx\r\n", b"0\r\n\r\n", b"rest"]) == (b"x", 11)
        body.begin(0, until_close=True)
        body.feed(b"abc")
        body.begin(2)
        assert read(body, [b"abc"]) == (b"ab", 2)


@given(st.data(), st.binary(max_size=200), st.binary(max_size=20), st.booleans())
def test_cuts_do_not_matter(data: st.DataObject, payload: bytes, rest: bytes, chunked: bool) -> None:
    message = (encode(payload) if payload else b"") + b"0\r\n\r\n" if chunked else payload
    body = BodyReader()
    body.begin(0 if chunked else len(payload), chunked=chunked)
    assert read(body, data.draw(heads.cut(message + rest))) == (payload, len(message))
    assert body.complete
