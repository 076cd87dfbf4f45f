"""Proves that a gzip is decoded as gunzip does it, within its limit, and that nothing half decoded passes for whole."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive import coding
from proxy.archive.coding import MEMBERS_MAX, decoded

MOST = 1024 * 1024
RANDOM = random.Random(1).randbytes(300_000)


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_what_is_not_coded_is_returned_itself(encoding: str) -> None:
    body = b"body"
    assert decoded(body, encoding, 1) is body


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "GZIP", "unknown"])
def test_other_codings_are_not_decoded(encoding: str) -> None:
    assert decoded(gzip.compress(b"body"), encoding, MOST) is None


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.sampled_from(["gzip", "x-gzip"]))
def test_members_are_decoded_in_a_row(bodies: list[bytes], encoding: str) -> None:
    assert decoded(b"".join(map(gzip.compress, bodies)), encoding, MOST) == b"".join(bodies)


@pytest.mark.parametrize("length", [0, 1, coding._OUT - 1, coding._OUT, coding._OUT + 1, 2 * coding._OUT])
def test_lengths_around_what_is_taken_at_once(length: int) -> None:
    body = bytes(length)
    assert decoded(gzip.compress(body), "gzip", MOST) == body


@pytest.mark.parametrize("length", range(coding._IN - 25, coding._IN + 2))
def test_a_member_that_begins_where_a_piece_of_input_ends(length: int) -> None:
    first = gzip.compress(RANDOM[: length - 23], compresslevel=0)
    assert decoded(first + gzip.compress(b"more", mtime=0), "gzip", MOST) == RANDOM[: length - 23] + b"more"


def test_a_body_larger_than_what_is_given_at_once() -> None:
    assert decoded(gzip.compress(RANDOM), "gzip", MOST) == RANDOM


@pytest.mark.parametrize("behind", [b"\0", b"junk", b"\0" * 512, gzip.compress(b"more", mtime=0)[:-1], b"\x1f"])
def test_with_something_behind_it_it_is_no_gzip(behind: bytes) -> None:
    assert decoded(gzip.compress(b"body") + behind, "gzip", MOST) is None


def test_a_part_of_a_gzip_is_none() -> None:
    whole = gzip.compress(RANDOM[:2000])
    assert [decoded(whole[:cut], "gzip", MOST) for cut in range(len(whole))] == [None] * len(whole)


def test_a_flipped_bit_is_noticed() -> None:
    whole = gzip.compress(b"a body of some length, " * 20, mtime=0)
    for at in range(10, len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 4
        assert decoded(bytes(broken), "gzip", MOST) is None


def test_zlib_and_raw_deflate_are_no_gzip() -> None:
    assert decoded(zlib.compress(b"body"), "gzip", MOST) is None
    assert decoded(zlib.compress(b"body", wbits=-15), "gzip", MOST) is None


def test_the_limit_is_the_largest_size() -> None:
    packed = gzip.compress(bytes(1000))
    assert decoded(packed, "gzip", 1000) == bytes(1000)
    assert decoded(packed, "gzip", 999) is None
    assert decoded(gzip.compress(b""), "gzip", 0) == b""


def test_the_limit_is_for_all_members_together() -> None:
    assert decoded(gzip.compress(bytes(600)) * 2, "gzip", 1000) is None


def test_a_body_of_too_many_members_is_not_decoded() -> None:
    member = gzip.compress(b"1")
    assert decoded(member * MEMBERS_MAX, "gzip", MOST) == b"1" * MEMBERS_MAX
    assert decoded(member * (MEMBERS_MAX + 1), "gzip", MOST) is None
