"""Proves that an index that is missing or damaged is made anew from the data, and that a good one is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.archive import index
from proxy.archive.audit import verify
from proxy.archive.directory import DirectoryStore
from proxy.archive.index import GapRow, Row
from proxy.archive.naming import Codec
from proxy.archive.problem import Fault, Problem
from proxy.archive.reindex import Good, Rebuilt, reindex
from proxy.archive.seal import Sealed
from tests.unit.archive.segments import OPENED, OPTIONS, Lost, segment_of, stored, visits


def archive(folder: Path, codec: Codec = Codec.ZSTD) -> tuple[DirectoryStore, Sealed]:
    return stored(folder, segment_of([*visits(12), Lost(), Lost(7)]), replace(OPTIONS, codec=codec))


def run(store: DirectoryStore, folder: Path) -> list[Good | Rebuilt | Problem]:
    return list(reindex(store, OPENED, OPENED + 1, folder))


def rows_of(store: DirectoryStore, one: Sealed, codec: Codec = Codec.ZSTD) -> list[Row | GapRow]:
    return list(index.rows(store.read(one.index_key), codec, one.data_key))


def remove(store: DirectoryStore, key: str) -> None:
    Path(store.describe().removeprefix("folder "), key).unlink()


SPOILS: list[Callable[[DirectoryStore, str], None]] = [
    remove,
    lambda store, key: store.put(key, b""),
    lambda store, key: store.put(key, store.read(key)[:-3]),
    lambda store, key: store.put(key, b"rubbish"),
]


@pytest.mark.parametrize("codec", Codec)
def test_a_good_index_is_left_alone(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    before = next(store.entries(one.index_key))
    assert run(store, tmp_path) == [Good(one.index_key)]
    assert next(store.entries(one.index_key)) == before


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_bad_index_is_made_anew(tmp_path: Path, codec: Codec, spoil: Callable[[DirectoryStore, str], None]) -> None:
    store, one = archive(tmp_path, codec)
    good = rows_of(store, one, codec)
    spoil(store, one.index_key)
    assert run(store, tmp_path) == [Rebuilt(one.index_key, is_copy=codec is Codec.ZSTD)]
    assert rows_of(store, one, codec) == good
    assert not [each for each in verify(store, OPENED, OPENED + 1, tmp_path) if isinstance(each, Problem)]
    assert run(store, tmp_path) == [Good(one.index_key)]


def test_the_copy_in_the_data_is_the_same_to_the_byte(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    before = store.read(one.index_key)
    remove(store, one.index_key)
    run(store, tmp_path)
    assert store.read(one.index_key) == before


def test_where_the_copy_is_damaged_the_blocks_are_read(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    good = rows_of(store, one)
    data = store.read(one.data_key)
    end = good[-1].offset + good[-1].length
    for at in (end + 20, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        store.put(one.data_key, bytes(broken))
        remove(store, one.index_key)
        assert run(store, tmp_path) == [Rebuilt(one.index_key, is_copy=False)]
        assert rows_of(store, one) == good


def test_another_objects_copy_is_not_believed(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    other = one.data_key.replace("00000007", "00000008")
    store.put(other, store.read(one.data_key))
    found = run(store, tmp_path)
    assert found == [Good(one.index_key), Rebuilt(other.replace("data", "index", 1), is_copy=False)]


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.GZIP])
def test_of_damaged_data_the_part_before_is_indexed(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    good = rows_of(store, one, codec)
    second = good[1]
    store.put(one.data_key, store.read(one.data_key)[: second.offset + second.length // 2])
    remove(store, one.index_key)
    problem, rebuilt = run(store, tmp_path)
    assert isinstance(problem, Problem)
    assert (problem.fault, rebuilt) == (Fault.BAD_BLOCK, Rebuilt(one.index_key, is_copy=False))
    assert rows_of(store, one, codec) == good[:1]


@pytest.mark.parametrize("codec", Codec)
def test_an_object_of_nothing_gets_an_index_of_nothing(tmp_path: Path, codec: Codec) -> None:
    store, one = stored(tmp_path, segment_of([]), replace(OPTIONS, codec=codec))
    remove(store, one.index_key)
    assert len(run(store, tmp_path)) == 1
    assert rows_of(store, one, codec) == []
    assert run(store, tmp_path) == [Good(one.index_key)]


def test_an_index_without_data_is_told(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    remove(store, one.data_key)
    (problem,) = run(store, tmp_path)
    assert isinstance(problem, Problem)
    assert (problem.fault, problem.key) == (Fault.MISSING_DATA, one.data_key)
    assert store.size(one.index_key) is not None
