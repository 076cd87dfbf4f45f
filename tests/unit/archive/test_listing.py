"""Proves that objects are found by the hours in which their segments were opened."""

from __future__ import annotations

from pathlib import Path

from proxy.archive.directory import DirectoryStore
from proxy.archive.listing import names, pairs
from proxy.archive.naming import DATA, HOUR_MS, INDEX, Codec, data_key, index_key
from tests.unit.archive.segments import HOUR, NAME, OPENED

BEGINS = OPENED - OPENED % HOUR_MS


def test_a_span_has_the_objects_of_its_hours(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for hour in range(-3, 4):
        store.put(data_key(NAME, BEGINS + hour * HOUR_MS, Codec.ZSTD), b"")
    found = [name.partition("/hr=")[2][:2] for name in names(store, DATA, BEGINS - 1, BEGINS + HOUR_MS)]
    assert found == ["04", "05"]
    assert len(list(names(store, DATA, BEGINS, BEGINS + 1))) == 1
    assert len(list(names(store, DATA, 0, 2**62))) == 7
    assert list(names(store, INDEX, 0, 2**62)) == []


def test_what_is_not_the_archives_is_passed_over(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put(f"{DATA}{HOUR}/_SUCCESS", b"")
    store.put(f"{DATA}README", b"")
    assert list(names(store, DATA, 0, 2**62)) == []


def test_data_and_index_are_put_together(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    alone, other, both = (NAME._replace(number=number) for number in range(3))
    store.put(data_key(alone, OPENED, Codec.ZSTD), b"")
    store.put(index_key(other, OPENED, Codec.GZIP), b"1")
    store.put(data_key(both, OPENED, Codec.NONE), b"22")
    store.put(index_key(both, OPENED, Codec.NONE), b"")
    assert list(pairs(store, OPENED, OPENED + 1)) == [
        (f"{HOUR}/{alone}.ndjson.zst", {DATA: 0}),
        (f"{HOUR}/{other}.ndjson.gz", {INDEX: 1}),
        (f"{HOUR}/{both}.ndjson", {DATA: 2, INDEX: 0}),
    ]
