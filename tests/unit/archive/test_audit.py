"""Proves that whatever is wrong with an archive is found and called by its name, and that what is right is let be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.archive import index
from proxy.archive.audit import Checked, verify
from proxy.archive.codec import BlockWriter
from proxy.archive.directory import DirectoryStore
from proxy.archive.line import Line
from proxy.archive.naming import Codec
from proxy.archive.problem import Fault, Problem
from proxy.archive.reader import Reader
from proxy.archive.seal import Sealed
from tests.unit.archive.segments import OPENED, OPTIONS, SPAN, Lost, segment_of, stored, visits

F = Fault


def archive(folder: Path, codec: Codec = Codec.ZSTD) -> tuple[DirectoryStore, Sealed]:
    return stored(folder, segment_of([*visits(12), Lost(), Lost()]), replace(OPTIONS, codec=codec))


def checked(store: DirectoryStore, folder: Path) -> tuple[set[Fault], list[Checked]]:
    """What is wrong, and what was looked through."""
    found = list(verify(store, OPENED, OPENED + 1, folder))
    for each in found:
        assert not isinstance(each, Problem) or each.detail
    faults = {each.fault for each in found if isinstance(each, Problem)}
    return faults, [each for each in found if isinstance(each, Checked)]


def changed(store: DirectoryStore, key: str, change: Callable[[bytes], bytes]) -> None:
    store.put(key, change(store.read(key)))


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("codec", Codec)
def test_what_was_sealed_is_all_right(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    assert checked(store, tmp_path) == (set(), [Checked(one.data_key, 4, 12)])
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("tmp")) == []


@pytest.mark.parametrize("codec", Codec)
def test_an_object_of_nothing_is_all_right(tmp_path: Path, codec: Codec) -> None:
    store, one = stored(tmp_path, segment_of([]), replace(OPTIONS, codec=codec))
    assert checked(store, tmp_path) == (set(), [Checked(one.data_key, 0, 0)])


def test_an_empty_archive_is_all_right(tmp_path: Path) -> None:
    assert checked(DirectoryStore(tmp_path / "none"), tmp_path) == (set(), [])


@pytest.mark.parametrize("codec", Codec)
def test_a_missing_index_is_told_and_the_data_checked(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    (tmp_path / "store" / one.index_key).unlink()
    faults, (looked,) = checked(store, tmp_path)
    assert (faults, looked.payloads) == ({F.MISSING_INDEX}, 12)


def test_missing_data_is_told(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    (tmp_path / "store" / one.data_key).unlink()
    assert checked(store, tmp_path) == ({F.MISSING_DATA}, [])


@pytest.mark.parametrize("codec", Codec)
def test_a_damaged_index_is_told_and_the_data_checked(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    changed(store, one.index_key, lambda data: data[:-2])
    faults, (looked,) = checked(store, tmp_path)
    assert (faults, looked.payloads) == ({F.BAD_INDEX}, 12)


@pytest.mark.parametrize("codec", Codec)
def test_another_objects_index_is_told(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    other, another = tmp_path / "other", replace(OPTIONS, codec=codec)
    other.mkdir()
    _, shorter = stored(other, segment_of([*visits(6), Lost()]), another)
    store.put(one.index_key, shorter.index)
    assert checked(store, tmp_path)[0] >= {F.BAD_BLOCK} if codec is not Codec.NONE else {F.BAD_INDEX}


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("behind", [b"x", b"more behind it" * 100])
def test_an_object_that_is_too_long_is_told(tmp_path: Path, codec: Codec, behind: bytes) -> None:
    store, one = archive(tmp_path, codec)
    changed(store, one.data_key, lambda data: data + behind)
    assert checked(store, tmp_path)[0] == {F.WRONG_SIZE}


@pytest.mark.parametrize("codec", Codec)
def test_an_object_that_was_cut_is_told(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    end = index.end_of(one.index.read_bytes(), codec, one.data_key)
    changed(store, one.data_key, lambda data: data[: end - 5])
    assert checked(store, tmp_path)[0] == {F.BAD_BLOCK, F.WRONG_SIZE}
    changed(store, one.data_key, lambda data: b"")
    assert checked(store, tmp_path)[0] == {F.BAD_BLOCK, F.WRONG_SIZE}


def test_a_damaged_copy_of_the_index_is_told(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    whole = store.read(one.data_key)
    end = index.end_of(one.index.read_bytes(), Codec.ZSTD, one.data_key)
    for at in range(end, len(whole)):
        store.put(one.data_key, flipped(at)(whole))
        assert checked(store, tmp_path)[0] == {F.WRONG_SIZE}


def test_an_index_that_says_something_else_is_told(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    rows = list(index.rows(one.index.read_bytes(), Codec.ZSTD, one.data_key))
    file = io.BytesIO()
    writer = BlockWriter(file, Codec.ZSTD, 3)
    for row in rows:
        writer.write(index.encode(row).replace(b'"session_id":"1"', b'"session_id":"7"'))
    writer.end()
    store.put(one.index_key, file.getvalue())
    problems = [each for each in verify(store, OPENED, OPENED + 1, tmp_path) if isinstance(each, Problem)]
    assert [problem.fault for problem in problems] == [F.BAD_INDEX, F.BAD_INDEX]
    assert "is not what it says" in problems[0].detail
    assert "is not the one that" in problems[1].detail


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.GZIP])
def test_a_damaged_block_is_told_and_the_others_are_checked(tmp_path: Path, codec: Codec) -> None:
    store, one = archive(tmp_path, codec)
    first = next(index.rows(one.index.read_bytes(), codec, one.data_key))
    changed(store, one.data_key, flipped(first.length // 2))
    faults, (looked,) = checked(store, tmp_path)
    assert (faults, looked.payloads) == ({F.BAD_BLOCK}, 8)


@pytest.mark.parametrize("with_index", [True, False])
def test_a_payload_that_is_another_is_told(tmp_path: Path, with_index: bool) -> None:
    """The block is whole: someone has compressed something else."""
    store, one = archive(tmp_path, Codec.NONE)
    if not with_index:
        (tmp_path / "store" / one.index_key).unlink()
    at = store.read(one.data_key).index(b'"version":1') + len('"version":')
    changed(store, one.data_key, flipped(at))
    problems = [each for each in verify(store, OPENED, OPENED + 1, tmp_path) if isinstance(each, Problem)]
    assert [problem.fault for problem in problems][-1] is F.HASH_MISMATCH
    assert problems[-1].detail == "sequence 1: the body has another SHA-256"


@pytest.mark.parametrize("codec", Codec)
def test_a_flipped_bit_is_found_or_has_changed_no_payload(tmp_path: Path, codec: Codec) -> None:
    """Some bits of a head mean nothing; and uncompressed there is no checksum over what a line says about its body."""
    store, one = stored(tmp_path, segment_of([*visits(3, size=300), Lost()]), replace(OPTIONS, codec=codec))
    whole, sent, found = store.read(one.data_key), _originals(store), 0
    places = range(0, len(whole), 1 + len(whole) // 300)
    for at in places:
        store.put(one.data_key, flipped(at)(whole))
        if checked(store, tmp_path)[0]:
            found += 1
        else:
            assert _originals(store) == sent
    assert found > (0 if codec is Codec.NONE else 0.9 * len(places))


def _originals(store: DirectoryStore) -> list[bytes]:
    return [line.original() for line in Reader(store).export(**SPAN) if isinstance(line, Line)]


def test_problems_of_one_object_do_not_hide_those_of_another(tmp_path: Path) -> None:
    store, one = archive(tmp_path)
    name = one.data_key.rpartition("/")[2].removesuffix(".ndjson.zst")
    for number in (8, 9):
        other = name[:-8] + f"{number:08d}"
        store.put(one.data_key.replace(name, other), b"rubbish")
    faults, looked = checked(store, tmp_path)
    assert faults == {F.MISSING_INDEX, F.BAD_BLOCK}
    assert [each.payloads for each in looked] == [12, 0, 0]
