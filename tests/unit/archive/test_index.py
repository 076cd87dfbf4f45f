"""Proves that rows come back as they were, and that an index which can't be right is not believed."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive import index
from proxy.archive.codec import BlockWriter
from proxy.archive.index import FOOTER, BadIndex, GapRow, Row
from proxy.archive.naming import Codec

KEY = "v1/data/dt=2026-11-21/hr=05/node-00112233445566ff-00000001.ndjson.zst"
ROWS: list[Row | GapRow] = [
    Row(KEY, 0, 100, "device", "session", 7, 1000, 2000),
    Row(KEY, 100, 50, "", "", 1, 1500, 1500),
    GapRow(KEY, 150, 30, {"reason": "queue-full", "payloads": 3}),
    GapRow(KEY, 150, 30, {"reason": "disk-full", "payloads": 1}),
]
count = st.integers(0, 2**63)


def packed(rows: list[Row | GapRow], codec: Codec = Codec.ZSTD) -> bytes:
    file = io.BytesIO()
    writer = BlockWriter(file, codec, 3)
    for row in rows:
        writer.write(index.encode(row))
    writer.end()
    return file.getvalue()


def read(rows: list[Row | GapRow]) -> list[Row | GapRow]:
    return list(index.rows(packed(rows), Codec.ZSTD, KEY))


def test_a_row_is_a_line_of_json() -> None:
    assert json.loads(index.encode(ROWS[0])) == {
        "v": 1,
        "key": KEY,
        "off": 0,
        "len": 100,
        "device_id": "device",
        "session_id": "session",
        "n": 7,
        "t0": 1000,
        "t1": 2000,
    }
    gap = {"reason": "queue-full", "payloads": 3}
    assert json.loads(index.encode(ROWS[2])) == {"v": 1, "key": KEY, "off": 150, "len": 30, "gap": gap}


@given(st.builds(Row, st.text(), count, count, st.text(), st.text(), count, count, count))
def test_any_row_comes_back(row: Row) -> None:
    line = index.encode(row)
    assert index.decode(line[:-1]) == row
    assert line.index(b"\n") == len(line) - 1


@pytest.mark.parametrize("codec", Codec)
def test_an_index_comes_back(codec: Codec) -> None:
    data = packed(ROWS, codec)
    assert list(index.rows(data, codec, KEY)) == ROWS
    assert index.end_of(data, codec, KEY) == 180


def test_an_object_may_hold_nothing() -> None:
    assert read([]) == []
    assert index.end_of(packed([]), Codec.ZSTD, KEY) == 0


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param(ROWS[1:], "begins at 100 where the one before it ends at 0", id="the first is missing"),
        pytest.param([ROWS[0], ROWS[2]], "begins at 150", id="one in the middle is missing"),
        pytest.param([ROWS[0], ROWS[0]], "begins at 0", id="one comes twice"),
        pytest.param([ROWS[0]._replace(key="v1/data/other")], "about v1/data/other", id="another object's"),
        pytest.param([*ROWS, GapRow(KEY, 150, 31, {})], "begins at 150", id="gaps of two lengths"),
    ],
)
def test_rows_that_do_not_follow_each_other_are_refused(rows: list[Row | GapRow], told: str) -> None:
    with pytest.raises(BadIndex, match=told):
        read(rows)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"key": None},
        {"off": "0"},
        {"len": 1.5},
        {"device_id": 1},
        {"n": None},
        {"t1": "2"},
        {"gap": 1, "n": 0.5},
    ],
)
def test_other_rows_are_refused(change: dict[str, Any]) -> None:
    line = json.dumps(json.loads(index.encode(ROWS[0])) | change).encode()
    with pytest.raises(BadIndex, match="is no row"):
        index.decode(line)


@pytest.mark.parametrize("data", [b"", b"rubbish", packed(ROWS)[:-1], packed(ROWS) + b"x"])
def test_what_is_no_block_is_no_index(data: bytes) -> None:
    with pytest.raises(BadIndex):
        index.end_of(data, Codec.ZSTD, KEY)


def test_rows_before_a_bad_one_are_given_out() -> None:
    found = index.rows(index.encode(ROWS[0]) + b"rubbish\n", Codec.NONE, KEY)
    assert next(found) == ROWS[0]
    with pytest.raises(BadIndex, match="no JSON"):
        next(found)


def test_an_index_is_found_at_an_objects_end() -> None:
    packed_index = packed(ROWS)
    whole = b"blocks" + b"".join(index.trailer(packed_index))
    length = index.trailer_length(whole[-FOOTER:])
    assert whole[:-length] == b"blocks"
    assert index.index_in(whole[-length:]) == packed_index


@pytest.mark.parametrize("footer", [b"", bytes(FOOTER), b"x" * (FOOTER + 1), b"RGI\x01"])
def test_an_object_may_end_in_something_else(footer: bytes) -> None:
    with pytest.raises(BadIndex, match="does not end in an index"):
        index.trailer_length(footer)


def test_a_flipped_bit_in_it_is_noticed() -> None:
    whole = b"".join(index.trailer(packed(ROWS)))
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 8
        with pytest.raises(BadIndex, match="damaged"):
            index.index_in(bytes(broken))


def test_a_part_of_it_is_none() -> None:
    whole = b"".join(index.trailer(packed([])))
    for cut in range(len(whole)):
        with pytest.raises(BadIndex, match="damaged"):
            index.index_in(whole[:cut])
