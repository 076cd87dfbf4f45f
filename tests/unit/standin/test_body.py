"""Proves that bodies are read to their exact end however they are cut, that broken chunked coding is
refused, and that a digest needs no more memory than a window."""

from __future__ import annotations

import gzip
import hashlib
import tracemalloc

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.standin.body import LINE_LIMIT, BodyError, ChunkedReader, Digest
from proxy.standin.head import judged

HELLO = gzip.compress(b"hello", mtime=0)  # no time: test names are made of these bytes
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def reader() -> tuple[ChunkedReader, list[str]]:
    judge, fault = judged(HEAD)
    assert fault == ""
    noted: list[str] = []
    return ChunkedReader(judge, noted.append), noted


def feed(data: bytes, size: int = 1 << 20) -> tuple[bytes | None, Digest, list[str]]:
    """Feeds in pieces of `size`; what came after the body includes the pieces never fed."""
    chunked, noted = reader()
    digest = Digest(gzip=False, keep=True)
    for start in range(0, len(data), size):
        rest = chunked.feed(data[start : start + size], digest)
        if rest is not None:
            return rest + data[start + size :], digest, noted
    return None, digest, noted


def body(digest: Digest) -> bytes:
    return b"".join(digest.kept or [])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_are_decoded_however_they_are_cut(size: int) -> None:
    rest, digest, noted = feed(b"5\r\nhello\r\nA\r\n, the rest\r\n0\r\n\r\nGET ", size)
    assert (rest, body(digest), noted) == (b"GET ", b"hello, the rest", [])


def test_a_body_without_its_last_chunk_is_not_over() -> None:
    assert feed(b"5\r\nhello\r\n")[0] is None
    assert feed(b"5\r\nhello\r\n0\r\n")[0] is None


def test_an_empty_chunked_body() -> None:
    rest, digest, _ = feed(b"0\r\n\r\n")
    assert (rest, digest.length) == (b"", 0)


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n0\r\n",
        b"5\r\nhello\r0\r\n",
        b"1000000000000000\r\n",
        b"5;" + b"a" * LINE_LIMIT,
        b"0\r\nX: a\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_broken_chunks_are_refused(data: bytes, size: int) -> None:
    with pytest.raises(BodyError):
        feed(data, size)


def test_what_only_llhttp_objects_to_is_refused() -> None:
    with pytest.raises(BodyError, match="llhttp"):
        feed(b"0\r\nX Y: a\r\n\r\n")


def test_without_a_judge_the_own_reading_still_holds() -> None:
    noted: list[str] = []
    chunked = ChunkedReader(None, noted.append)
    assert chunked.feed(b"1\r\na\r\n0\r\n\r\n", Digest(False, False)) == b""
    with pytest.raises(BodyError):
        ChunkedReader(None, noted.append).feed(b"x\r\n", Digest(False, False))


def test_extensions_and_trailers_are_violations() -> None:
    rest, digest, noted = feed(b"2;name=value\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert (rest, body(digest)) == (b"", b"ab")
    assert noted == ["chunk_extension: b'2;name=value'", "trailer: b'X-Sum: 1'"]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 40), st.binary(max_size=5))
def test_any_chunks_give_the_same_body_and_the_same_end(parts: list[bytes], size: int, after: bytes) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    rest, digest, noted = feed(data + after, size)
    assert (rest, body(digest), noted) == (after, b"".join(parts), [])


@given(st.binary(max_size=60), st.integers(1, 10))
def test_own_reading_never_accepts_what_llhttp_refuses(data: bytes, size: int) -> None:
    try:
        rest = feed(data, size)[0]
    except BodyError:
        return
    judge, _ = judged(HEAD)
    assert judge is not None
    judge.feed_data(data[: len(data) - len(rest or b"")])


def test_a_digest_is_that_of_the_whole_body() -> None:
    digest = Digest(gzip=False, keep=False)
    for part in (b"a" * 1000, b"", b"b"):
        digest.feed(part)
    assert digest.sha256() == hashlib.sha256(b"a" * 1000 + b"b").digest()
    assert (digest.length, digest.decoded_ok(), digest.kept) == (1001, None, None)


@pytest.mark.parametrize("size", [1, 10, 1 << 20])
@pytest.mark.parametrize("data", [b"", b"hello" * 1000])
def test_good_gzip_is_good_however_it_is_cut(data: bytes, size: int) -> None:
    assert check(gzip.compress(data), size)
    assert check(gzip.compress(data) + gzip.compress(b"another member"), size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        HELLO[:-1],
        HELLO[:10],
        HELLO + b"surplus",
        gzip.compress(b"hello" * 1000, mtime=0).replace(b"\x1f\x8b", b"\x1f\x8c"),
        bytes(byte ^ (index == 15) for index, byte in enumerate(gzip.compress(b"hello world, hello", mtime=0))),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_broken_gzip_is_broken(data: bytes, size: int) -> None:
    assert not check(data, size)


def check(data: bytes, size: int) -> bool:
    digest = Digest(gzip=True, keep=False)
    for start in range(0, len(data), size):
        digest.feed(data[start : start + size])
    return digest.decoded_ok() is True


def test_a_gzip_bomb_is_checked_in_a_small_window() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    tracemalloc.start()
    try:
        assert check(bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_tiny_chunks_do_not_take_quadratic_time() -> None:
    chunked, _ = reader()
    digest = Digest(gzip=False, keep=False)
    assert chunked.feed(b"1\r\na\r\n" * 200_000 + b"0\r\n\r\n", digest) == b""
    assert digest.length == 200_000


def test_llhttp_is_the_strict_one() -> None:
    parser = httptools.HttpRequestParser(object())
    with pytest.raises(httptools.HttpParserError):
        parser.feed_data(b"GET / HTTP/1.1\nHost: a\n\n")
