"""Proves what a sealed segment looks like: as a whole, block by block, and by its index."""

from __future__ import annotations

import gzip
import json
import os
import stat
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from proxy.archive import index
from proxy.archive.blocks import decompressed, extents, lines
from proxy.archive.index import GapRow, Row
from proxy.archive.naming import Codec, data_key, index_key
from proxy.archive.seal import Sealed, SealOptions, seal
from proxy.spool.segment import SEGMENT_HEAD
from tests.unit.archive.segments import (
    DELIVERED,
    NAME,
    OPENED,
    OPTIONS,
    Lost,
    Outcome,
    Upload,
    Written,
    cut,
    sealed,
    segment_of,
    visits,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIXED: list[Written] = [
    Upload(b'{"n":1}', 1, query="device_id=d&session_id=one"),
    Upload(b'{"n":2}', 2, query="device_id=d&session_id=two", time_ms=OPENED + 5),
    Lost(),
    Upload(gzip.compress(b'{"n":3}'), 3, "gzip", "device_id=d&session_id=one", OPENED + 7),
    Outcome(1),
    Outcome(3),
]


def rows_of(one: Sealed, codec: Codec = Codec.ZSTD) -> list[Row | GapRow]:
    return list(index.rows(one.index.read_bytes(), codec, one.data_key))


def block(one: Sealed, row: Row | GapRow, codec: Codec = Codec.ZSTD) -> list[dict[str, Any]]:
    """The lines of a block, read by its row."""
    data = one.data.read_bytes()[row.offset : row.offset + row.length]
    return [json.loads(line) for line in lines(decompressed([data], codec))]


def whole(one: Sealed, codec: Codec) -> bytes:
    """What the usual programs make of a data object."""
    data = one.data.read_bytes()
    if codec is Codec.NONE:
        return data
    return zstd.decompress(data) if codec is Codec.ZSTD else gzip.decompress(data)


def test_what_was_sealed_is_told(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(MIXED))
    assert one == Sealed(
        data_key=data_key(NAME, OPENED, Codec.ZSTD),
        index_key=index_key(NAME, OPENED, Codec.ZSTD),
        data=one.data,
        index=one.index,
        payloads=3,
        wire_bytes=sum(len(each.wire) for each in MIXED if isinstance(each, Upload)),
        gaps={"queue-full": 3},
        damaged_bytes=0,
        damaged_payloads=0,
        torn_bytes=0,
        sessions=2,
        unreadable="",
    )
    assert {one.data.parent, one.index.parent} == {tmp_path}


@pytest.mark.parametrize("codec", Codec)
def test_each_session_is_a_block_and_the_gaps_are_the_last(tmp_path: Path, codec: Codec) -> None:
    one = sealed(tmp_path, segment_of(MIXED), replace(OPTIONS, codec=codec))
    rows = rows_of(one, codec)
    first, second, gap = rows
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert first[3:] == ("d", "one", 2, OPENED, OPENED + 7)
    assert second[3:] == ("d", "two", 1, OPENED + 5, OPENED + 5)
    assert gap[3:] == (Lost().meta(),)
    assert [[line["body"] for line in block(one, row, codec)] for row in rows[:2]] == [
        [{"n": 1}, {"n": 3}],
        [{"n": 2}],
    ]
    assert block(one, gap, codec) == [{"v": 1, "gap": Lost().meta(), "ts": OPENED + 30}]


@pytest.mark.parametrize("codec", Codec)
def test_the_whole_object_is_read_as_one_stream_in_order(tmp_path: Path, codec: Codec) -> None:
    one = sealed(tmp_path, segment_of([*visits(40), Lost(), Lost(1)]), replace(OPTIONS, codec=codec))
    texts = [json.loads(line) for line in whole(one, codec).splitlines()]
    assert len(texts) == 42
    by_blocks = [line for row in rows_of(one, codec)[:-1] for line in block(one, row, codec)]
    assert texts == by_blocks
    assert [each["session_id"] for each in texts[:-2]] == sorted(
        (each["session_id"] for each in texts[:-2]), key=["1", "2", "0"].index
    )
    assert all(
        one["seq"] < other["seq"] for one, other in pairwise(texts[:-2]) if one["session_id"] == other["session_id"]
    )


@pytest.mark.parametrize("codec", Codec)
def test_blocks_follow_each_other_to_the_end(tmp_path: Path, codec: Codec) -> None:
    one = sealed(tmp_path, segment_of([*visits(20), Lost()]), replace(OPTIONS, codec=codec))
    end = index.end_of(one.index.read_bytes(), codec, one.data_key)
    assert end == one.data.stat().st_size - (0 if codec is not Codec.ZSTD else len(_trailer(one)))


def _trailer(one: Sealed) -> bytes:
    return b"".join(index.trailer(one.index.read_bytes()))


def test_an_object_of_zstd_ends_in_a_copy_of_its_index(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(MIXED))
    assert one.data.read_bytes().endswith(_trailer(one))


def test_a_block_is_a_frame_of_its_own(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(MIXED))
    with one.data.open("rb") as file:
        found = list(extents(file, Codec.ZSTD))
    assert found[:-1] == [(row.offset, row.length) for row in rows_of(one)]


def test_outcomes_are_joined_and_missing_ones_are_null(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(MIXED))
    found = {line["seq"]: {name: line[name] for name in DELIVERED} for line in block(one, rows_of(one)[0])}
    found |= {line["seq"]: {name: line[name] for name in DELIVERED} for line in block(one, rows_of(one)[1])}
    assert found == {1: DELIVERED, 2: dict.fromkeys(DELIVERED), 3: DELIVERED}


def test_an_outcome_may_come_before_its_payload_and_only_the_first_counts(tmp_path: Path) -> None:
    frames: list[Written] = [
        Outcome(1, DELIVERED | {"status": 201}),
        Upload(sequence=1),
        Outcome(1, DELIVERED | {"status": 500}),
    ]
    one = sealed(tmp_path, segment_of(frames))
    assert [line["status"] for line in block(one, rows_of(one)[0])] == [201]


def test_an_outcome_whose_payload_is_elsewhere_is_left_out(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of([Outcome(1), Upload(sequence=2)]))
    assert [line["status"] for line in block(one, rows_of(one)[0])] == [None]


def test_the_same_upload_twice_is_there_twice(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of([Upload(sequence=1), Upload(sequence=2), Upload(sequence=2)]))
    found = block(one, rows_of(one)[0])
    assert [line["seq"] for line in found] == [1, 2, 2]
    assert len({line["sha256"] for line in found}) == 1


def test_a_body_that_was_cut_is_marked(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of([cut(Upload(b"12"))]))
    (line,) = block(one, rows_of(one)[0])
    assert (line["truncated"], line["raw"], line["body_b64"]) == (True, None, "MTI=")


def test_gaps_are_summed_up_by_reason_and_each_has_a_row(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of([Lost(3), Lost(4, "disk-full"), Lost(5)]))
    assert one.gaps == {"queue-full": 8, "disk-full": 4}
    rows = rows_of(one)
    assert [row[3] for row in rows] == [Lost(3).meta(), Lost(4, "disk-full").meta(), Lost(5).meta()]
    assert len({row[:3] for row in rows}) == 1
    assert [line["gap"]["payloads"] for line in block(one, rows[0])] == [3, 4, 5]


@pytest.mark.parametrize("codec", Codec)
def test_a_segment_of_nothing_is_an_object_of_nothing(tmp_path: Path, codec: Codec) -> None:
    one = sealed(tmp_path, segment_of([]), replace(OPTIONS, codec=codec))
    assert (one.payloads, one.gaps, one.sessions, one.unreadable) == (0, {}, 0, "")
    assert rows_of(one, codec) == []
    assert whole(one, codec) == b""


@pytest.mark.parametrize("content", [b"rubbish", b"rubbish" * 99, bytes(SEGMENT_HEAD - 1), bytes(SEGMENT_HEAD)])
def test_a_file_that_is_no_segment_is_told_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    one = sealed(tmp_path, content)
    assert one.unreadable
    assert (one.data_key, one.index_key, one.payloads) == ("", "", 0)
    assert (one.damaged_bytes, one.torn_bytes) == (len(content), 0)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.sealed"]


@pytest.mark.parametrize("cut_at", [0, 1, 8, SEGMENT_HEAD - 1])
def test_a_head_that_a_crash_cut_off_is_no_damage(tmp_path: Path, cut_at: int) -> None:
    one = sealed(tmp_path, segment_of([Upload()])[:cut_at])
    assert (one.damaged_bytes, one.torn_bytes, bool(one.unreadable)) == (0, cut_at, True)


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("body", ["decoded", "wire"])
def test_sealing_twice_gives_the_same_bytes(tmp_path: Path, codec: Codec, body: Literal["decoded", "wire"]) -> None:
    content, options = segment_of([*visits(30), Lost()]), SealOptions(codec, 6, body, 2**20)
    made = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        one = sealed(folder, content, options)
        made.append((one.data_key, one.index_key, one.data.read_bytes(), one.index.read_bytes()))
    assert made[0] == made[1]


def test_what_an_earlier_try_has_left_is_replaced(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(list(visits(20))))
    fresh = one.data.read_bytes()
    one.data.write_bytes(b"rubbish" * 100_000)
    assert sealed(tmp_path, segment_of(list(visits(20)))).data.read_bytes() == fresh


def test_only_the_owner_can_read_what_was_made(tmp_path: Path) -> None:
    one = sealed(tmp_path, segment_of(MIXED))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (one.data, one.index)} == {0o600}


def test_when_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    segment = tmp_path / "segment"
    segment.write_bytes(segment_of([Upload(os.urandom(3_000_000))]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / f"{NAME}.index").mkdir()  # in the way of the second file
    with pytest.raises(OSError):
        seal(segment, NAME, OPTIONS, scratch)
    assert not (scratch / f"{NAME}.data").exists()


def test_a_hidden_line_can_not_be_sent(tmp_path: Path) -> None:
    forged = b'{"v":1,"seq":666,"ts":1,"device_id":"victim","session_id":"1","body":{}}'
    uploads = [Upload(b'{"a":1}}\n' + forged, 1), Upload(b'{"a":1}\r' + forged, 2), Upload(b'1},"body":' + forged, 3)]
    one = sealed(tmp_path, segment_of([*uploads, Upload(query=f"device_id=d&x=\n{forged.decode()}\n", sequence=4)]))
    assert [json.loads(line)["seq"] for line in whole(one, Codec.ZSTD).splitlines()] == [1, 2, 3, 4]
