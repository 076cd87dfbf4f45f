"""Proves that blocks are written the same each time, are read by themselves and in a row, and can be told apart."""

from __future__ import annotations

import gzip
import io
import random
import struct
import sys

import pytest

from proxy.archive import codec
from proxy.archive.blocks import decompressed
from proxy.archive.codec import SKIPPABLE_HEAD, BlockWriter, skippable_head, skippable_length
from proxy.archive.naming import Codec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHANCE = random.Random(1)
TEXT = b'{"some":"text","that":"can be compressed"}\n' * 50
CONTENTS = [
    [b"one"],
    [TEXT, b"tail"],
    [],
    [b"x" * (codec._HELD_MAX - 1), b"y", b"z"],
    [TEXT] * 500,
    [CHANCE.randbytes(3 * codec._FED + 5), b"tail"],
]
LEVELS = [(Codec.ZSTD, 3), (Codec.ZSTD, 1), (Codec.ZSTD, 7), (Codec.ZSTD, -5), (Codec.GZIP, 6), (Codec.NONE, 3)]


def written(contents: list[list[bytes]], kind: Codec, level: int = 3) -> tuple[bytes, list[int]]:
    """The bytes of blocks, and the length of each."""
    file = io.BytesIO()
    writer = BlockWriter(file, kind, level)
    lengths = []
    for pieces in contents:
        for piece in pieces:
            writer.write(piece)
        lengths.append(writer.end())
    return file.getvalue(), lengths


@pytest.mark.parametrize(("kind", "level"), LEVELS)
def test_each_block_is_read_by_itself(kind: Codec, level: int) -> None:
    data, lengths = written(CONTENTS, kind, level)
    assert sum(lengths) == len(data)
    at = 0
    for pieces, length in zip(CONTENTS, lengths, strict=True):
        assert b"".join(decompressed([data[at : at + length]], kind)) == b"".join(pieces)
        at += length


@pytest.mark.parametrize(("kind", "level"), LEVELS)
def test_the_same_is_written_each_time(kind: Codec, level: int) -> None:
    assert written(CONTENTS, kind, level) == written(CONTENTS, kind, level)


def test_blocks_in_a_row_are_one_file_of_their_format() -> None:
    whole = b"".join(map(b"".join, CONTENTS))
    assert zstd.decompress(written(CONTENTS, Codec.ZSTD)[0]) == whole
    assert gzip.decompress(written(CONTENTS, Codec.GZIP)[0]) == whole
    assert written(CONTENTS, Codec.NONE)[0] == whole


def test_a_short_block_of_zstd_says_how_long_its_content_is() -> None:
    data, _ = written([[b"one", b"two"]], Codec.ZSTD)
    assert zstd.get_frame_info(data).decompressed_size == 6


@pytest.mark.parametrize("content", [[b"short"], [TEXT] * 500])
def test_a_block_of_zstd_has_a_checksum(content: list[bytes]) -> None:
    data, _ = written([content], Codec.ZSTD)
    broken = bytearray(data)
    broken[-1] ^= 1
    with pytest.raises(zstd.ZstdError, match=r"(?i)checksum"):
        zstd.decompress(bytes(broken))


def test_no_time_is_in_a_member_of_gzip() -> None:
    assert written([[b"one"]], Codec.GZIP)[0][4:8] == bytes(4)


def test_levels_that_gzip_does_not_know_are_its_nearest() -> None:
    assert written(CONTENTS, Codec.GZIP, 19) == written(CONTENTS, Codec.GZIP, 9)
    assert written(CONTENTS, Codec.GZIP, -5) == written(CONTENTS, Codec.GZIP, 1)


def test_decoders_of_zstd_pass_over_what_is_to_be_skipped() -> None:
    data, _ = written([[b"one"]], Codec.ZSTD)
    between = skippable_head(7) + b"skipped"
    assert zstd.decompress(data + between + data + between) == b"oneone"


def test_a_frame_to_be_skipped_is_recognised() -> None:
    head = skippable_head(7)
    assert len(head) == SKIPPABLE_HEAD
    assert 0x184D2A50 <= struct.unpack("<I", head[:4])[0] <= 0x184D2A5F
    assert skippable_length(head + b"more") == 7
    assert skippable_length(head[:-1]) is None
    assert skippable_length(b"\x28\xb5\x2f\xfd" + head[4:]) is None
