"""Proves that llhttp is run as strict as it can be, that its judgement comes as one exception and no other, that it
counts messages whatever the cuts, and that a closed referee holds nothing in memory."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.referee import Complaint, Referee, Referees, Refused
from tests.unit.wire import heads

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"


def complaint(data: bytes, *, answers: bool = False) -> Complaint:
    referee = Referee(answers)
    with pytest.raises(Refused) as refused:
        referee.feed(data)
    assert str(refused.value)
    return refused.value.complaint


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"NOPE / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        HEAD + b"A : b\r\n\r\n",
        HEAD + b"A\r\n\r\n",
        HEAD + b": b\r\n\r\n",
        HEAD + b"A: b\r\n folded\r\n\r\n",
        HEAD + b"A: b\rc\r\n\r\n",
        HEAD + b"A: \x00\r\n\r\n",
        HEAD + b"A: \x7f\r\n\r\n",
        HEAD + b"\x80: b\r\n\r\n",
        HEAD + b"A: b\r\n\rX",
    ],
)
def test_what_is_no_strict_http_is_a_fault_of_syntax(data: bytes) -> None:
    assert complaint(data) is Complaint.SYNTAX


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"Content-Length: 1, 1\r\n\r\n",
        b"Content-Length: +1\r\n\r\n",
        b"Content-Length: 0x1\r\n\r\n",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\nx\n",
        b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1;\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1 \r\n",
    ],
)
def test_a_body_without_a_certain_length_is_a_fault_of_framing(fields: bytes) -> None:
    assert complaint(HEAD + fields) is Complaint.FRAMING


@pytest.mark.parametrize("value", [b"gzip", b"identity", b"xchunked", b"chunkedx", b"chunked;q=1"])
def test_a_last_coding_other_than_chunked_is_a_fault_of_coding(value: bytes) -> None:
    assert complaint(HEAD + b"Transfer-Encoding: " + value + b"\r\n\r\n") is Complaint.CODING


@pytest.mark.parametrize(
    "data", [b"CONNECT a:1 HTTP/1.1\r\n\r\n", HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"]
)
def test_a_tunnel_is_refused_as_an_upgrade(data: bytes) -> None:
    assert complaint(data) is Complaint.UPGRADE


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    assert complaint(data, answers=True) is Complaint.SYNTAX


def test_bytes_behind_the_last_message_are_refused() -> None:
    assert complaint(HEAD + b"Connection: close\r\n\r\nG") is Complaint.SYNTAX


def test_after_a_fault_nothing_is_accepted_any_more() -> None:
    referee = Referee()
    for data in (b"\0", heads.NEXT):
        with pytest.raises(Refused):
            referee.feed(data)
    assert referee.completed == 0


def test_it_counts_messages_as_they_begin_and_end() -> None:
    referee = Referee()
    for data, begun, completed in (
        (b"\r\n", 0, 0),
        (b"P", 1, 0),
        (b"OST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx", 1, 0),
        (b"y", 1, 1),
        (heads.NEXT + heads.NEXT + b"G", 4, 3),
    ):
        referee.feed(memoryview(data))
        assert referee.agrees(begun, completed)
    assert not referee.agrees(4, 4)
    assert not referee.agrees(3, 3)


def test_an_answer_without_a_length_never_completes() -> None:
    referee = Referee(answers=True)
    referee.feed(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)
    assert referee.agrees(1, 0)


@given(st.data(), st.lists(heads.request_heads(), min_size=1, max_size=3), heads.tails)
@settings(max_examples=300)
def test_its_judgement_does_not_depend_on_the_cuts(data: st.DataObject, several: list[bytes], tail: bytes) -> None:
    stream = b"".join(head + b"\r\n\r\n" for head in several) + tail
    judgements = []
    for pieces in ([stream], data.draw(heads.cut(stream)), [stream[at : at + 1] for at in range(len(stream))]):
        referee, fault = Referee(), None
        try:
            for piece in pieces:
                referee.feed(piece)
        except Refused as refused:
            fault = refused.complaint
        judgements.append((referee.begun, referee.completed, fault))
    assert judgements[0] == judgements[1] == judgements[2]


@given(heads.mutated(st.just(heads.SDK_UPLOAD + b"\r\n\r\n")) | st.binary(max_size=200), st.booleans())
@settings(max_examples=300)
def test_no_bytes_raise_anything_else(data: bytes, answers: bool) -> None:
    referee, complaint = Referee(answers), Complaint.SYNTAX
    try:
        referee.feed(data)
    except Refused as refused:
        complaint = refused.complaint
    assert complaint in Complaint


def test_a_closed_referee_refuses_everything() -> None:
    referee = Referee()
    referee.close()
    with pytest.raises(Refused):
        referee.feed(heads.NEXT)


def test_one_that_is_taken_has_counted_nothing_and_so_many_are_kept() -> None:
    referees = Referees()
    several = [Referee() for _ in range(300)]
    for referee in several:
        referee.feed(heads.NEXT)
        referees.give(referee)
    taken = [referees.take() for _ in range(300)]
    assert all(referee.agrees(0, 0) for referee in taken)
    assert sum(referee in several for referee in taken) == 256
    for referee in taken:
        referee.feed(heads.NEXT)
    assert all(referee.agrees(1, 1) for referee in taken)
    with pytest.raises(Refused):
        several[-1].feed(heads.NEXT)


def alive() -> int:
    return sum(isinstance(each, Referee) for each in gc.get_objects())


def test_a_closed_referee_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        before = alive()
        referee = Referee()
        referee.feed(heads.NEXT)
        assert alive() == before + 1
        referee.close()
        del referee
        assert alive() == before
    finally:
        gc.enable()
