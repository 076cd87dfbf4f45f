"""Proves that what was written is read back exactly, that damage costs the frames that it touches and no other, and
that nothing which a client sends is taken for a frame."""

from __future__ import annotations

import io
import random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.spool import segment
from proxy.spool.segment import (
    FRAME_HEAD,
    FRAME_MAGIC,
    META_MAX,
    SEGMENT_HEAD,
    TRUNCATED,
    Damage,
    Frame,
    Kind,
    NotASegment,
    SegmentHead,
    decode_head,
    encode,
    encode_head,
    frames,
)

SALT = b"saltsalt"
OTHER = b"saltsalz"
HEAD = encode_head(SegmentHead(SALT, 1_764_000_000_123))


class Written(NamedTuple):
    """What was put into a frame."""

    kind: Kind
    flags: int
    sequence: int
    time_ms: int
    meta: bytes
    body: bytes


written = st.builds(
    Written,
    st.sampled_from(Kind),
    st.sampled_from((0, TRUNCATED)),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=200),
    st.binary(max_size=300),
)


def encoded(one: Written, salt: bytes = SALT) -> bytes:
    """The whole frame."""
    pieces = (one.body[:7], one.body[7:])
    return encode(salt, one.kind, one.sequence, one.time_ms, one.meta, pieces, one.flags) + one.body


def read(data: bytes, salt: bytes = SALT) -> tuple[list[Written], list[Damage]]:
    """The frames of a file and its damage; between them they account for each byte of it."""
    file, whole, damaged, at = io.BytesIO(data), [], [], SEGMENT_HEAD
    for one in frames(file, salt):
        if isinstance(one, Damage):
            assert one.at == at
            at += one.length
            assert one.torn == (at == len(data))
            damaged.append(one)
            continue
        assert one.body_at == at + FRAME_HEAD + len(one.meta)
        at = one.body_at + one.body_length
        whole.append(taken(file, one))
    assert at == max(len(data), SEGMENT_HEAD)
    return whole, damaged


def taken(file: io.BytesIO, one: Frame) -> Written:
    """A frame with its body."""
    file.seek(one.body_at)
    return Written(one.kind, one.flags, one.sequence, one.time_ms, one.meta, file.read(one.body_length))


def some(number: int, seed: int = 1) -> list[Written]:
    """Frames of random bytes, the shortest without meta and body."""
    chance = random.Random(seed)
    sizes = [(0, 0), *((chance.randrange(60), chance.randrange(120)) for _ in range(number - 1))]
    return [
        Written(Kind.PAYLOAD, 0, index, 1000 + index, chance.randbytes(meta), chance.randbytes(body))
        for index, (meta, body) in enumerate(sizes)
    ]


def test_a_segment_head_is_read_back() -> None:
    assert len(HEAD) == SEGMENT_HEAD
    assert decode_head(HEAD + b"more") == SegmentHead(SALT, 1_764_000_000_123)


@pytest.mark.parametrize("cut", range(SEGMENT_HEAD))
def test_a_part_of_a_segment_head_is_none(cut: int) -> None:
    with pytest.raises(NotASegment, match=f"^{cut} bytes"):
        decode_head(HEAD[:cut])


@pytest.mark.parametrize("at", range(SEGMENT_HEAD))
def test_a_flipped_bit_in_a_segment_head_is_noticed(at: int) -> None:
    data = bytearray(HEAD)
    data[at] ^= 0x10
    with pytest.raises(NotASegment):
        decode_head(bytes(data))


@given(st.lists(written, max_size=8))
def test_what_was_written_is_read_back(given_frames: list[Written]) -> None:
    assert read(HEAD + b"".join(map(encoded, given_frames))) == (given_frames, [])


def test_a_body_longer_than_what_is_read_at_once() -> None:
    one = Written(Kind.PAYLOAD, 0, 1, 2, b"{}", random.Random(1).randbytes(3 * segment._CHUNK + 1))
    assert read(HEAD + encoded(one)) == ([one], [])


def test_a_torn_tail_costs_the_frame_that_was_being_written() -> None:
    ones = some(5)
    ends = [SEGMENT_HEAD]
    for one in ones:
        ends.append(ends[-1] + len(encoded(one)))
    data = HEAD + b"".join(map(encoded, ones))
    for cut in range(SEGMENT_HEAD, len(data) + 1):
        whole, damaged = read(data[:cut])
        number = sum(end <= cut for end in ends) - 1
        assert whole == ones[:number]
        assert damaged == ([] if cut == ends[number] else [Damage(ends[number], cut - ends[number], torn=True)])


def test_a_flipped_bit_costs_one_frame() -> None:
    ones = some(5)
    data = HEAD + b"".join(map(encoded, ones))
    for at in range(SEGMENT_HEAD, len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        whole, damaged = read(bytes(broken))
        assert len(whole) == 4
        assert [one for one in ones if one in whole] == whole
        assert len(damaged) == 1


def test_a_hole_of_zeros_costs_what_was_in_it() -> None:
    ones = some(400)
    data = bytearray(HEAD + b"".join(map(encoded, ones)))
    data[20_000:24_096] = bytes(4096)
    whole, damaged = read(bytes(data))
    assert [one for one in ones if one in whole] == whole
    lost = sum(len(encoded(one)) for one in ones) - sum(len(encoded(one)) for one in whole)
    assert sum(hole.length for hole in damaged) == lost
    assert 4096 <= lost < 4096 + 2 * (FRAME_HEAD + 60 + 120)


def test_a_lost_part_costs_what_it_cut_and_the_rest_is_found() -> None:
    ones = some(400)
    data = HEAD + b"".join(map(encoded, ones))
    whole, damaged = read(data[:20_001] + data[27_777:])
    assert [one for one in ones if one in whole] == whole
    assert len(whole) > 300
    assert damaged


def test_a_frame_inside_a_payload_is_not_taken_for_one_when_its_frame_is_damaged() -> None:
    """It would be, if whoever sent it knew the salt."""
    forged = encoded(Written(Kind.PAYLOAD, 0, 666, 0, b"forged", b"forged"), OTHER)
    known = encoded(Written(Kind.PAYLOAD, 0, 666, 0, b"forged", b"forged"))
    after = Written(Kind.OUTCOME, 0, 2, 0, b"after", b"")
    for inside, found in ((forged, []), (known, [666])):
        frame = bytearray(encoded(Written(Kind.PAYLOAD, 0, 1, 0, b"meta", inside)))
        frame[20] ^= 1  # the head: its lengths can't be trusted, so the next frame is searched for
        whole, _ = read(HEAD + frame + encoded(after))
        assert [one.sequence for one in whole] == [*found, 2]


@pytest.mark.parametrize("shift", range(-FRAME_HEAD - 2, 3))
def test_a_frame_is_found_wherever_the_search_has_got_to(shift: int) -> None:
    one = Written(Kind.PAYLOAD, 0, 1, 2, b"meta", b"body")
    rubbish = bytes(segment._CHUNK + 1 + shift)
    assert read(HEAD + rubbish + encoded(one)) == ([one], [Damage(SEGMENT_HEAD, len(rubbish), torn=False)])


def test_what_only_looks_like_frames_is_one_damage() -> None:
    data = HEAD + FRAME_MAGIC * 50_000
    assert read(data) == ([], [Damage(SEGMENT_HEAD, len(data) - SEGMENT_HEAD, torn=True)])


def test_frames_of_another_segment_are_none() -> None:
    data = HEAD + b"".join(encoded(one, OTHER) for one in some(3))
    assert read(data)[0] == []


def test_a_kind_of_a_later_version_is_passed_over() -> None:
    later = encode(SALT, 9, 1, 2, b"new", (b"body",)) + b"body"
    one = Written(Kind.GAP, 0, 2, 3, b"gap", b"")
    whole, damaged = read(HEAD + later + encoded(one))
    assert whole == [one]
    assert damaged == [Damage(SEGMENT_HEAD, len(later), torn=False)]


@given(st.binary(max_size=400))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    assert read(HEAD + data)[0] == []


def test_meta_has_a_limit() -> None:
    encode(SALT, Kind.PAYLOAD, 1, 2, bytes(META_MAX))
    with pytest.raises(ValueError, match=f"no frame holds {META_MAX + 1} bytes of meta"):
        encode(SALT, Kind.PAYLOAD, 1, 2, bytes(META_MAX + 1))
