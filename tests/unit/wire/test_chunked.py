"""Proves that the chunked coding is taken off as llhttp takes it off, to the same byte, however the bytes are cut, and
that what is put on anew is what any reader understands."""

from __future__ import annotations

import re

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from proxy.wire.chunked import LAST_CHUNK, SIZE_LINE_LIMIT, TRAILERS_LIMIT, BadChunk, ChunkedDecoder, encode
from tests.unit.wire import heads
from tests.unit.wire.witness import Witness

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG_SIZE = re.compile(rb"[0-9A-Fa-f]{13,}")

sizes = st.sampled_from((b"0", b"3", b"03", b"0003", b"A", b"a", b"10", b"F", b"000000000003"))
odd_sizes = st.sampled_from(
    (b"", b"+3", b"-3", b"0x3", b" 3", b"3 ", b"g", b"3_0", b"0000000000003", b"f" * 12, b"f" * 16)
)
extensions = heads.one_in(
    6, st.sampled_from((b";", b"; a", b" ;a", b";a=\xff", b";a\rb")), st.sampled_from((b"", b"", b";a", b';a="b c"'))
)
line_ends = heads.one_in(40, st.sampled_from((b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b"\r\n ")), st.just(b"\r\n"))
trailers = st.sampled_from((b"", b"", b"", b"T: v\r\n", b"T: v\r\nU:\r\n"))
odd_trailers = st.sampled_from(
    (
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: x\r\n",
        b"Connection: close\r\n",
        b"T : v\r\n",
        b"no colon\r\n",
        b" fold\r\n",
        b"T: \x00\r\n",
        b"T: v\n",
    )
)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """One chunk, nearly always as long as it says."""
    size = draw(heads.one_in(12, odd_sizes, sizes))
    try:
        length = min(abs(int(size, 16)), 20)
    except ValueError:
        length = 3
    data = draw(heads.one_in(12, st.binary(max_size=20), st.binary(min_size=length, max_size=length)))
    return size + draw(extensions) + draw(line_ends) + data + draw(line_ends)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A chunked body, valid or nearly so, and what follows it."""
    last = b"0" + draw(extensions) + draw(line_ends) + draw(heads.one_in(6, odd_trailers, trailers)) + draw(line_ends)
    return (
        b"".join(draw(st.lists(chunks(), max_size=3))) + last + draw(st.sampled_from((b"", b"", heads.NEXT, b"0\r\n")))
    )


def decode(pieces: list[bytes]) -> tuple[bytes, int, bool] | None:
    """The payload, the offset behind the message and whether it is complete; None when it is refused."""
    decoder, payload, end = ChunkedDecoder(), b"", 0
    for piece in pieces:
        try:
            found, used = decoder.feed(piece)
        except BadChunk:
            return None
        assert used == len(piece) or decoder.done
        payload += b"".join(found)
        end += used
        if decoder.done:
            break
    return payload, end, decoder.done


def compare(body: bytes) -> None:
    witness = Witness.of(HEAD + body)
    read = decode([body])
    if read is None:
        event("refused here")
        # Stricter than llhttp, and on purpose: sizes of more digits than can be meant.
        assert witness.end is None or LONG_SIZE.search(body)
    elif witness.refused_at is not None:
        event("refused by llhttp")
    else:
        event("read by both" if read[2] else "unfinished for both")
        assert read[2] == (witness.end is not None)
        assert read[0] == witness.body
        assert read[1] == (witness.end - len(HEAD) if witness.end else len(body))


@given(bodies())
@settings(max_examples=600)
@example(b"00000000000000003\r\nabc\r\n0\r\n\r\n")
def test_llhttp_finds_the_same_payload_and_the_same_end(body: bytes) -> None:
    compare(body)


@given(heads.mutated(bodies()))
@settings(max_examples=600)
def test_a_damaged_body_is_refused_by_one_of_both_or_read_alike(body: bytes) -> None:
    compare(body)


@given(st.data(), bodies() | heads.mutated(bodies()))
@settings(max_examples=400)
def test_it_does_not_matter_how_the_bytes_are_cut(data: st.DataObject, body: bytes) -> None:
    assert decode(data.draw(heads.cut(body))) == decode([body])
    assert decode([body[at : at + 1] for at in range(len(body))]) == decode([body])


@given(st.data(), st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.binary(max_size=20))
def test_what_is_encoded_is_decoded_again(data: st.DataObject, pieces: list[bytes], rest: bytes) -> None:
    body = b"".join(map(encode, pieces)) + LAST_CHUNK
    cut = data.draw(heads.cut(body + rest))
    assert decode(cut) == (b"".join(pieces), len(body), True)
    witness = Witness.of(HEAD + body)
    assert (witness.body, witness.end) == (b"".join(pieces), len(HEAD + body))


def test_nothing_behind_the_end_is_consumed() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(LAST_CHUNK + b"GET /") == ([], len(LAST_CHUNK))
    assert decoder.done
    assert decoder.feed(b"GET /") == ([], 0)


def test_the_pieces_of_large_chunks_are_not_joined() -> None:
    decoder = ChunkedDecoder()
    assert decoder.feed(b"6\r\nabc") == ([b"abc"], 6)
    assert decoder.feed(b"def\r\n2\r\nxy\r\n") == ([b"def", b"xy"], 12)
    assert not decoder.done


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n",
        b"3\n",
        b"3 \r\n",
        b" 3\r\n",
        b"+3\r\n",
        b"0x3\r\n",
        b"3_0\r\n",
        b"\xb2\r\n",
        b"g\r\n",
        b"3;a\x00\r\n",
        b"3;a\rb\r\n",
        b"fffffffffffff\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n",
        b"3\r\nabcX\r\n",
        b"3\r\nabc\r\r\n",
        b"0\r\nno colon\r\n",
        b"0\r\n: no name\r\n",
        b"0\r\nname : v\r\n",
        b"0\r\n folded\r\n",
        b"0\r\nname: \x00\r\n",
        b"0\r\n\n",
    ],
)
def test_what_is_no_chunk_is_refused(body: bytes) -> None:
    assert decode([body]) is None
    assert decode([body[at : at + 1] for at in range(len(body))]) is None


@pytest.mark.parametrize(
    "line", [b"3;" + b"x" * SIZE_LINE_LIMIT, b"0\r\nT:" + b"x" * SIZE_LINE_LIMIT, b"1\r\na" + b"x" * 2000]
)
def test_an_endless_line_is_refused_before_it_ends(line: bytes) -> None:
    assert decode([line]) is None
    assert decode([line[:500], line[500:1000], line[1000:]]) is None


def test_a_line_may_be_as_long_as_the_limit() -> None:
    line = b"1;" + b"x" * (SIZE_LINE_LIMIT - 4) + b"\r\n"
    assert decode([line + b"a\r\n" + LAST_CHUNK]) == (b"a", len(line) + 8, True)
    assert decode([b"0" + line]) is None


def test_endless_trailers_are_refused() -> None:
    field = b"T: " + b"x" * 93 + b"\r\n"
    fits = TRAILERS_LIMIT // len(field)
    assert decode([b"0\r\n" + field * fits + b"\r\n"]) == (b"", 5 + len(field) * fits, True)
    assert decode([b"0\r\n" + field * (fits + 1)]) is None


def test_trailers_are_dropped() -> None:
    assert decode([b"1\r\na\r\n0\r\nX-Secret: v\r\n\r\n"]) == (b"a", 24, True)
