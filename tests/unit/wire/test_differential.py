"""Proves that a head has one meaning: what llhttp and the gateway's own readers both accept, both understand in the
same way, and they find the end of the message at the same byte. Whatever else could be smuggled between them is refused
by one of the two, and the gateway passes only what both accept."""

from __future__ import annotations

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from tests.unit.wire import heads
from tests.unit.wire.alike import compare_answers, compare_requests


@given(heads.request_heads(), heads.tails)
@settings(max_examples=500)
@example(heads.SDK_UPLOAD, b"x" * 1978)
@example(b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive", b"")
@example(b"POST /x HTTP/1.0\r\nConnection: keep-alive", b"")
@example(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", b"0\r\n\r\n")
def test_requests_are_read_alike(head: bytes, tail: bytes) -> None:
    event(compare_requests(head + b"\r\n\r\n" + tail))


@given(heads.mutated(heads.request_heads() | st.just(heads.SDK_UPLOAD)), heads.tails)
@settings(max_examples=500)
def test_damaged_requests_are_read_alike_or_refused(head: bytes, tail: bytes) -> None:
    event(compare_requests(head + b"\r\n\r\n" + tail))


@given(heads.mutated(st.builds(lambda h, t: h + b"\r\n\r\n" + t, heads.request_heads(), heads.tails)))
@settings(max_examples=300)
def test_damage_at_the_end_of_a_head_moves_it_for_both_or_is_refused(data: bytes) -> None:
    event(compare_requests(data))


@given(heads.answer_heads(), heads.tails)
@settings(max_examples=500)
@example(heads.VENDOR_ANSWER, b'{"code":200}')
@example(b"HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 0", b"")
@example(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked", b"0\r\n\r\n")
@example(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", b"0\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t", b"0\r\n\r\n")
def test_answers_are_read_alike(head: bytes, tail: bytes) -> None:
    event(compare_answers(head + b"\r\n\r\n" + tail))


@given(heads.mutated(heads.answer_heads() | st.just(heads.VENDOR_ANSWER)), heads.tails)
@settings(max_examples=500)
def test_damaged_answers_are_read_alike_or_refused(head: bytes, tail: bytes) -> None:
    event(compare_answers(head + b"\r\n\r\n" + tail))
