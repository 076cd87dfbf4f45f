"""Proves that blocks are found and read in pieces of any size, and that half a block is not taken for a whole one."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive import blocks
from proxy.archive.blocks import BadBlock, decompressed, extents, lines, pieces_of
from proxy.archive.codec import skippable_head
from proxy.archive.naming import Codec
from tests.unit.archive.test_codec import CONTENTS, TEXT, written

PACKED = [Codec.ZSTD, Codec.GZIP]


def chopped(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_block_comes_in_pieces_of_any_size(kind: Codec, size: int) -> None:
    data, _ = written([[TEXT] * 20], kind)
    assert b"".join(decompressed(chopped(data, size), kind)) == TEXT * 20


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("length", [blocks._OUT - 1, blocks._OUT, blocks._OUT + 1, 3 * blocks._OUT])
def test_much_from_little_is_given_out_in_pieces(kind: Codec, length: int) -> None:
    data, _ = written([[bytes(length)]], kind)
    pieces = list(decompressed([data], kind))
    assert b"".join(pieces) == bytes(length)
    assert max(map(len, pieces)) <= blocks._OUT


@pytest.mark.parametrize("kind", PACKED)
def test_a_part_of_a_block_is_told(kind: Codec) -> None:
    data, _ = written([[TEXT]], kind)
    for cut in range(len(data)):
        with pytest.raises(BadBlock, match="ends too early"):
            list(decompressed([data[:cut]], kind))


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_what_is_behind_a_block_is_told(kind: Codec, size: int) -> None:
    data, _ = written([[TEXT], [TEXT]], kind)
    with pytest.raises(BadBlock, match="goes on behind its end"):
        list(decompressed(chopped(data, size), kind))


@pytest.mark.parametrize("kind", PACKED)
def test_a_flipped_bit_is_told(kind: Codec) -> None:
    data, _ = written([[TEXT]], kind)
    # The bytes 3 to 9 of gzip say of which time and system it is; they mean nothing.
    for at in [each for each in range(len(data)) if kind is Codec.ZSTD or not 3 <= each < 10]:
        broken = bytearray(data)
        broken[at] ^= 0x20
        try:
            found = b"".join(decompressed([bytes(broken)], kind))
        except BadBlock:
            continue
        assert found == TEXT


@pytest.mark.parametrize("kind", PACKED)
def test_where_blocks_begin_and_end_is_found_by_reading(kind: Codec) -> None:
    data, lengths = written(CONTENTS, kind)
    found = list(extents(io.BytesIO(data), kind))
    assert [length for _, length in found] == lengths
    assert [at for at, _ in found] == [sum(lengths[:number]) for number in range(len(lengths))]


def test_uncompressed_all_counts_as_one_block() -> None:
    assert list(extents(io.BytesIO(b"one\ntwo\n"), Codec.NONE)) == [(0, 8)]
    assert list(extents(io.BytesIO(b""), Codec.NONE)) == []


def test_frames_to_be_skipped_are_blocks_of_nothing() -> None:
    data, (length,) = written([[b"one"]], Codec.ZSTD)
    skipped = skippable_head(2_000_000) + bytes(2_000_000)
    found = list(extents(io.BytesIO(data + skipped + data), Codec.ZSTD))
    assert found == [(0, length), (length, len(skipped)), (length + len(skipped), length)]
    assert b"".join(decompressed([skipped], Codec.ZSTD)) == b""


@pytest.mark.parametrize("kind", PACKED)
def test_blocks_before_damage_are_found(kind: Codec) -> None:
    data, lengths = written([[TEXT], [TEXT]], kind)
    for broken in (data[:-1], data[: lengths[0]] + b"rubbish"):
        found = extents(io.BytesIO(broken), kind)
        assert next(found) == (0, lengths[0])
        with pytest.raises(BadBlock):
            next(found)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_lines_are_put_together_from_pieces(given_lines: list[bytes], size: int) -> None:
    texts = [each.replace(b"\n", b"") for each in given_lines]
    assert list(lines(chopped(b"".join(text + b"\n" for text in texts), size))) == texts


def test_only_line_feeds_end_lines() -> None:
    text = "one\r\x0b\x0c\x1c\x85\u2028two".encode()
    assert list(lines([text + b"\n"])) == [text]


def test_a_line_without_an_end_is_told() -> None:
    found = lines([b"one\ntw", b"o"])
    assert next(found) == b"one"
    with pytest.raises(BadBlock, match="ends within a line"):
        next(found)


def test_pieces_of_a_file_are_read_wherever_it_was_moved() -> None:
    file = io.BytesIO(bytes(range(100)) * 30_000)
    found = []
    for piece in pieces_of(file, 10, 2_500_000):
        found.append(piece)
        file.seek(0)
    assert b"".join(found) == file.getvalue()[10:2_500_010]


def test_a_file_that_ends_within_a_block_is_told() -> None:
    with pytest.raises(BadBlock, match="3 bytes of it are missing"):
        list(pieces_of(io.BytesIO(b"1234567"), 5, 5))
