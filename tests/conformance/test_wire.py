"""The reader that judges every proxy is itself right: it takes whole answers whole however they are cut,
never takes a cut-off answer for a whole one, and refuses what could be read in two ways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.wire import Answer, AnswerReader, BadAnswer

WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
    "no content": b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
}
MALFORMED = {
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "no status line": b"<html>\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
    "space before the colon": b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "other coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length in 204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "bad chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n",
    "chunk too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n",
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
    "switched": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "two dates": b"HTTP/1.1 200 OK\r\nDate: x\r\nDate: x\r\n\r\n",
}


def read(data: bytes, cuts: list[int], end: bool = False, method: bytes = b"GET") -> AnswerReader:
    """What becomes of `data` when it arrives cut at `cuts`."""
    reader = AnswerReader()
    reader.expect(method)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, stop in pairwise(edges):
        reader.feed(data[begin:stop])
    if end:
        reader.end()
    return reader


@given(name=st.sampled_from(sorted(WHOLE)), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_an_answer_is_read_whole_however_it_is_cut(name: str, cuts: list[int]) -> None:
    reader = read(WHOLE[name], cuts)
    (answer,) = reader.answers
    assert answer.complete
    assert answer.body == (b"" if name in ("no content", "not modified") else b"hello")
    assert answer.interim == ((100,) if name == "interim" else ())
    assert reader.surplus == b""


@given(name=st.sampled_from(["length", "chunked", "interim"]), keep=st.integers(0, 100))
def test_a_cut_off_answer_is_never_taken_for_a_whole_one(name: str, keep: int) -> None:
    data = WHOLE[name]
    reader = read(data[: min(keep, len(data) - 1)], [], end=True)
    assert not reader.answers
    assert reader.partial is None or not reader.partial.complete


@pytest.mark.parametrize("name", sorted(MALFORMED))
def test_a_malformed_answer_is_refused(name: str) -> None:
    with pytest.raises(BadAnswer):
        read(MALFORMED[name], [])


def test_an_answer_without_a_length_ends_with_the_connection_only() -> None:
    data = b"HTTP/1.0 200 OK\r\n\r\nhello"
    assert not read(data, []).answers
    (answer,) = read(data, [], end=True).answers
    assert (answer.framing, answer.body, answer.complete) == ("close", b"hello", True)


def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    (answer,) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", [], method=b"HEAD").answers
    assert (answer.declared, answer.body, answer.complete) == (5, b"", True)


def test_bytes_that_answer_nothing_stay_surplus() -> None:
    reader = read(WHOLE["length"] + WHOLE["length"], [])
    assert len(reader.answers) == 1
    assert reader.surplus == WHOLE["length"]


def test_a_repeated_field_is_not_one_field() -> None:
    answer = Answer(200, "OK", "1.1", [("A", "1"), ("a", "2, 3")])
    assert answer.listed("A") == {"1", "2", "3"}
    with pytest.raises(BadAnswer):
        answer.one("A")
