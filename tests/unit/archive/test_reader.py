"""Proves that sessions are found over many objects, exported in the order of time, and that damage in one place is told
and costs nothing elsewhere."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from proxy.archive.blocks import BadBlock
from proxy.archive.directory import DirectoryStore
from proxy.archive.index import GapRow, Row
from proxy.archive.line import GapLine, Line
from proxy.archive.naming import DATA, HOUR_MS, INDEX
from proxy.archive.problem import Fault, Problem
from proxy.archive.reader import EDGE_MS, Reader
from proxy.archive.store import Entry, StoreError
from tests.unit.archive.segments import HOUR, NAME, OPENED, SPAN, Lost, Span, Upload, sealed, segment_of, visits


def of(session: str, at: int, sequence: int, wire: bytes = b"{}", device: str = "d") -> Upload:
    return Upload(wire, sequence, "", f"device_id={device}&session_id={session}", OPENED + at)


def filled(folder: Path, *segments: Sequence[Upload | Lost], opened_ms: int = OPENED) -> DirectoryStore:
    """A store with an object of each segment."""
    store = DirectoryStore(folder / "store")
    for number, frames in enumerate(segments):
        one = sealed(folder, segment_of(frames, opened_ms), name=NAME._replace(number=number))
        store.put(one.data_key, one.data)
        store.put(one.index_key, one.index)
    return store


def told(found: Iterator[Line | Problem]) -> list[tuple[int, int]]:
    """Time and sequence of each line; nothing may be wrong."""
    lines = [each for each in found if isinstance(each, Line)]
    return [(line.time_ms - OPENED, line.head["seq"]) for line in lines]


def key_of(number: int, root: str = DATA) -> str:
    return f"{root}{HOUR}/{NAME._replace(number=number)}.ndjson.zst"


def test_a_session_is_found_in_each_object_that_has_it(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1), of("b", 2, 2)], [of("b", 3, 1)], [of("b", 4, 1), of("a", 5, 2)])
    found = [row for row in Reader(store).find(session_id="a", **SPAN) if isinstance(row, Row)]
    assert [(row.key, row.session_id, row.lines) for row in found] == [(key_of(0), "a", 1), (key_of(2), "a", 1)]


def test_devices_and_spans_narrow_the_search(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1), of("a", 2, 2, device="e"), of("b", 30, 3), of("b", 60, 4)])
    reader = Reader(store)
    assert len(list(reader.find(**SPAN))) == 3
    assert len(list(reader.find(device_id="e", **SPAN))) == 1
    assert len(list(reader.find(device_id="e", session_id="b", **SPAN))) == 0
    for from_ms, to_ms, number in ((0, 30, 2), (0, 31, 3), (60, 61, 1), (61, 99, 0), (40, 50, 1)):
        assert len(list(reader.find(from_ms=OPENED + from_ms, to_ms=OPENED + to_ms))) == number


def test_what_came_at_an_hours_edge_is_found_in_the_segment_of_the_other(tmp_path: Path) -> None:
    edge = OPENED - OPENED % HOUR_MS + HOUR_MS
    store = filled(tmp_path, [of("a", edge - OPENED + EDGE_MS - 1, 1)])
    assert len(list(Reader(store).find(session_id="a", from_ms=edge, to_ms=edge + HOUR_MS))) == 1


def test_gaps_are_found_and_their_block_is_read(tmp_path: Path) -> None:
    reader = Reader(filled(tmp_path, [of("a", 1, 1), Lost(3)], [Lost(4), Lost(5)]))
    rows = [row for row in reader.gaps(**SPAN) if isinstance(row, GapRow)]
    assert [row.gap["payloads"] for row in rows] == [3, 4, 5]
    assert list(reader.read_block(rows[2])) == [
        GapLine(Lost(4).meta(), OPENED + 30),
        GapLine(Lost(5).meta(), OPENED + 30),
    ]


def test_an_export_is_in_the_order_of_time_over_all_objects(tmp_path: Path) -> None:
    store = filled(
        tmp_path,
        [of("a", 10, 1), of("x", 11, 2), of("a", 40, 3), of("a", 90, 4)],
        [of("a", 20, 1), of("a", 30, 2), of("a", 50, 3)],
        [of("a", 95, 1), of("a", 100, 2)],
        [of("a", 5, 1)],
    )
    found = told(Reader(store).export(session_id="a", **SPAN))
    assert found == [(5, 1), (10, 1), (20, 1), (30, 2), (40, 3), (50, 3), (90, 4), (95, 1), (100, 2)]


def test_the_sessions_of_a_device_are_exported_one_after_the_other(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("b", 10, 1), of("a", 20, 2), of("b", 30, 3)], [of("b", 25, 1), of("a", 15, 2)])
    found = told(Reader(store).export(device_id="d", **SPAN))
    assert found == [(10, 1), (25, 1), (30, 3), (15, 2), (20, 2)]


def test_an_export_has_what_came_in_its_span_only(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", at, at) for at in range(1, 9)])
    span: Span = {"from_ms": OPENED + 3, "to_ms": OPENED + 6}
    assert told(Reader(store).export(session_id="a", **span)) == [(3, 3), (4, 4), (5, 5)]


def test_an_upload_that_came_twice_is_exported_once_where_that_is_wished(tmp_path: Path) -> None:
    body = b'{"version":1,"events":["x"]}'
    again = [of("a", 10, 1, body), *(of("a", 20 + level, level, gzip.compress(body, level)) for level in (1, 9))]
    frames = [
        each._replace(encoding="gzip") if each.sequence in (9,) or number else each for number, each in enumerate(again)
    ]
    store = filled(tmp_path, [*frames, of("a", 40, 10, b"{}")], [of("a", 50, 1, body)])
    reader = Reader(store)
    assert len(told(reader.export(session_id="a", **SPAN))) == 5
    assert told(reader.export(session_id="a", distinct=True, **SPAN)) == [(10, 1), (40, 10)]


def test_an_export_gives_lines_and_original_bodies(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1, b'{"n":1}'), of("a", 2, 2, b"no json\xff")])
    lines = [line for line in Reader(store).export(session_id="a", **SPAN) if isinstance(line, Line)]
    assert [line.original() for line in lines] == [b'{"n":1}', b"no json\xff"]
    assert lines[0].text.endswith(b',"body":{"n":1}}')


def test_a_block_is_opened_when_its_turn_comes(tmp_path: Path) -> None:
    """So that a long session does not hold a line of each of its blocks."""
    store = _Counting(filled(tmp_path, *([of("a", number * 10, 1)] for number in range(5))))
    export = Reader(store).export(session_id="a", **SPAN)
    next(export)
    assert store.reads == 1
    assert told(export)
    assert store.reads == 5


class _Counting:
    """Counts the reads of data objects."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self.reads = 0

    def describe(self) -> str:
        return self._store.describe()

    def put(self, key: str, source: Path | bytes) -> None:
        self._store.put(key, source)

    def size(self, key: str) -> int | None:
        return self._store.size(key)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads += key.startswith(DATA)
        return self._store.read(key, start, length)

    def download(self, key: str, to: BinaryIO) -> None:
        self._store.download(key, to)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self._store.entries(prefix, after)


def test_a_block_is_read_by_its_range_only(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1), of("b", 2, 2, b'{"n":2}'), of("c", 3, 3)])
    (row,) = Reader(store).find(session_id="b", **SPAN)
    assert isinstance(row, Row)
    data = store.read(row.key)
    store.put(row.key, b"\xff" * row.offset + data[row.offset : row.offset + row.length])
    assert [line.body() for line in Reader(store).read_block(row) if isinstance(line, Line)] == [b'{"n":2}']


def test_a_bad_index_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1)], [of("a", 2, 1)])
    store.put(key_of(0, INDEX), b"rubbish")
    found = list(Reader(store).find(session_id="a", **SPAN))
    assert isinstance(found[0], Problem)
    assert found[0][:2] == (Fault.BAD_INDEX, key_of(0, INDEX))
    assert isinstance(found[1], Row)


def test_damage_is_told_in_its_place_and_the_rest_is_exported(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1)], [of("a", 2, 1)], [of("a", 3, 1)], [of("a", 4, 1)])
    broken = bytearray(store.read(key_of(1)))
    broken[20] ^= 1
    store.put(key_of(1), bytes(broken))
    (tmp_path / "store" / key_of(2)).unlink()
    store.put(key_of(3, INDEX), b"")
    found = [
        each.fault if isinstance(each, Problem) else each.head["ts"] - OPENED
        for each in Reader(store).export(session_id="a", **SPAN)
    ]
    assert found == [Fault.BAD_INDEX, 1, Fault.BAD_BLOCK, Fault.MISSING_DATA]


def test_an_object_that_was_cut_is_told(tmp_path: Path) -> None:
    store = filled(tmp_path, [of("a", 1, 1), of("b", 2, 2)])
    (row,) = Reader(store).find(session_id="b", **SPAN)
    assert isinstance(row, Row)
    store.put(row.key, store.read(row.key)[: row.offset + 5])
    with pytest.raises(BadBlock, match="bytes of it are missing"):
        list(Reader(store).read_block(row))


def test_a_row_of_another_version_is_told(tmp_path: Path) -> None:
    row = Row("v1/data/x.parquet", 0, 1, "", "", 1, 0, 0)
    with pytest.raises(BadBlock, match="no data object of this version"):
        list(Reader(DirectoryStore(tmp_path)).read_block(row))


def test_an_empty_archive_holds_nothing(tmp_path: Path) -> None:
    reader = Reader(DirectoryStore(tmp_path))
    assert list(reader.find(**SPAN)) == list(reader.gaps(**SPAN)) == list(reader.export(**SPAN)) == []


def test_a_store_that_fails_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1/index").symlink_to("index")
    with pytest.raises(StoreError, match="can't be listed"):
        list(Reader(DirectoryStore(tmp_path)).find(**SPAN))


def test_a_long_session_comes_back_whole(tmp_path: Path) -> None:
    sent = [each for each in visits(100, sessions=1) if isinstance(each, Upload)]
    store = filled(tmp_path, *(list(sent[part::4]) for part in range(4)))
    found = [line for line in Reader(store).export(session_id="0", **SPAN) if isinstance(line, Line)]
    assert [line.head["seq"] for line in found] == [each.sequence for each in sent]
    assert all(line.problems() == [] for line in found)
