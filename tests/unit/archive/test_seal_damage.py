"""Proves that every payload which is whole in a damaged segment is archived, and that what is lost is told and kept as
a gap in the archive."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from proxy.archive.index import GapRow
from proxy.archive.reader import Reader
from proxy.spool.segment import SEGMENT_HEAD
from tests.unit.archive.segments import OPENED, SPAN, Lost, Outcome, Upload, lines_of, sealed, segment_of, stored

UPLOADS = [Upload(b'{"n":%d}' % number + b" " * number, number, time_ms=OPENED + number) for number in range(1, 13)]
FRAMES = [each.frame() for each in UPLOADS]
WHOLE = segment_of(UPLOADS)


def kept(folder: Path, content: bytes) -> list[int]:
    """The sequences of what is in the archive, and is what it was."""
    store, one = stored(folder, content)
    found = lines_of(store)
    assert {line.head["seq"]: line.body() for line in found} == {
        each.sequence: each.wire for each in UPLOADS if each.sequence in {line.head["seq"] for line in found}
    }
    assert one.payloads == len(found)
    return [line.head["seq"] for line in found]


def test_a_torn_tail_costs_only_the_last_payload(tmp_path: Path) -> None:
    for torn in (1, 20, len(FRAMES[-1]) - 1):
        assert kept(tmp_path, WHOLE[:-torn]) == list(range(1, 12))
        one = sealed(tmp_path, WHOLE[:-torn])
        assert (one.damaged_payloads, one.damaged_bytes, one.torn_bytes) == (0, 0, len(FRAMES[-1]) - torn)


def test_a_flipped_bit_costs_one_payload(tmp_path: Path) -> None:
    chance = random.Random(1)
    for at in [chance.randrange(SEGMENT_HEAD, len(WHOLE) - len(FRAMES[-1])) for _ in range(40)]:
        broken = bytearray(WHOLE)
        broken[at] ^= 1 << chance.randrange(8)
        hit = next(number for number in range(12) if at < SEGMENT_HEAD + sum(map(len, FRAMES[: number + 1])))
        assert kept(tmp_path, bytes(broken)) == [each for each in range(1, 13) if each != hit + 1]
        one = sealed(tmp_path, bytes(broken))
        assert (one.damaged_payloads, one.damaged_bytes) == (1, len(FRAMES[hit]))


def test_a_hole_costs_what_was_in_it(tmp_path: Path) -> None:
    begin = SEGMENT_HEAD + len(FRAMES[0]) + len(FRAMES[1]) // 2
    broken = WHOLE[:begin] + bytes(1000) + WHOLE[begin + 1000 :]
    found = kept(tmp_path, broken)
    one = sealed(tmp_path, broken)
    assert found[0] == 1
    assert found[-1] == 12
    assert one.damaged_payloads == 12 - len(found) > 1


def test_what_damage_has_cost_is_a_gap_in_the_archive(tmp_path: Path) -> None:
    broken = bytearray(segment_of([*UPLOADS, Lost(), Outcome(1)]))
    broken[SEGMENT_HEAD + len(FRAMES[0]) + 50] ^= 1
    store, one = stored(tmp_path, bytes(broken))
    gaps = [row.gap for row in Reader(store).gaps(**SPAN) if isinstance(row, GapRow)]
    size, newest = len(FRAMES[1]), OPENED + 30
    damage = {"reason": "damaged", "payloads": 1, "bytes": size, "from": OPENED, "to": newest}
    assert gaps == [Lost().meta(), damage]
    assert one.gaps == {"queue-full": 3}, "damage is counted by itself"


def test_damage_that_cost_no_payload_is_no_gap(tmp_path: Path) -> None:
    broken = bytearray(segment_of([UPLOADS[0], Outcome(1), UPLOADS[1]]))
    broken[SEGMENT_HEAD + len(FRAMES[0]) + 50] ^= 1
    store, one = stored(tmp_path, bytes(broken))
    assert one.damaged_bytes > 0
    assert list(Reader(store).gaps(**SPAN)) == []


def test_a_segment_that_is_nothing_but_damage_is_told(tmp_path: Path) -> None:
    one = sealed(tmp_path, WHOLE[:SEGMENT_HEAD] + bytes(5000) + Outcome(1).frame())
    assert (one.payloads, one.damaged_payloads, one.damaged_bytes, one.unreadable) == (0, 1, 5000, "")


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_to_a_segment_what_is_archived_is_what_was_sent(tmp_path: Path, seed: int) -> None:
    chance, broken = random.Random(seed), bytearray(WHOLE)
    for _ in range(chance.randrange(1, 6)):
        at, length = chance.randrange(SEGMENT_HEAD, len(broken)), chance.randrange(1, 400)
        broken[at : at + length] = chance.choice((b"", bytes(length), chance.randbytes(length), WHOLE[at - 30 : at]))
    assert set(kept(tmp_path, bytes(broken))) <= set(range(1, 13))
