"""Proves that what is erased is in no object any more, that everything else stays as it was to the bit, and that an
erasing which is interrupted anywhere is finished by the next."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.archive import index
from proxy.archive.audit import verify
from proxy.archive.blocks import decompressed, extents, pieces_of
from proxy.archive.directory import DirectoryStore
from proxy.archive.erase import Erased, Mended, Unwanted, erase
from proxy.archive.index import GapRow, Row
from proxy.archive.naming import Codec, index_key_of
from proxy.archive.problem import Fault, Problem
from proxy.archive.reader import Reader
from proxy.archive.reindex import reindex
from proxy.archive.store import StoreError
from tests.unit.archive.segments import NAME, OPENED, OPTIONS, Lost, Upload, segment_of, stored, visits

FOREVER = 2**62
DEVICE = "3f1c9a52-7d0e-4b6f-9c1d-2a8e5b7f0c44"
SESSION = "1795237513749"
EVERYTHING = Unwanted(None, None, 0, FOREVER)
OF_DEVICE = EVERYTHING._replace(device_id=DEVICE)


def upload(sequence: int, session: str = SESSION, device: str = DEVICE, after: int = 0) -> Upload:
    query = f"device_id={device}&session_id={session}&type=replay"
    return Upload(b'{"n":%d}' % sequence, sequence, query=query, time_ms=OPENED + after)


# Three sessions of others around two of the device, and gaps.
FRAMES = [
    *visits(12),
    upload(20),
    upload(21, "1795237599999"),
    upload(22),
    upload(23, "last", "other"),
    Lost(),
    Lost(7),
]


def archive(folder: Path, codec: Codec = Codec.ZSTD) -> tuple[DirectoryStore, str]:
    """A store with two objects, one of which holds nothing of the device."""
    folder.mkdir(exist_ok=True)
    options = replace(OPTIONS, codec=codec)
    stored(folder, segment_of(visits(3)), options, NAME._replace(number=8))
    store, one = stored(folder, segment_of(FRAMES), options)
    return store, one.data_key


def run(
    store: DirectoryStore | Dying, folder: Path, unwanted: Unwanted = OF_DEVICE, **how: bool
) -> list[Erased | Mended | Problem]:
    return list(erase(store, unwanted, folder, is_dry=how.get("is_dry", False)))


def problems(store: DirectoryStore, folder: Path) -> list[Problem]:
    return [each for each in verify(store, OPENED, OPENED + 1, folder) if isinstance(each, Problem)]


def everything(store: DirectoryStore) -> dict[str, bytes]:
    return {entry.key: store.read(entry.key) for entry in store.entries("")}


def texts(store: DirectoryStore, codec: Codec) -> Iterator[bytes]:
    """All objects as they are and decompressed, and the copy of the index that a data object ends in."""
    for data in everything(store).values():
        yield data
        file = io.BytesIO(data)
        for offset, length in extents(file, codec):
            yield b"".join(decompressed(pieces_of(file, offset, length), codec))
        if codec is Codec.ZSTD and data.endswith(b"RGI\x01"):
            packed = index.index_in(data[-index.trailer_length(data[-index.FOOTER :]) :])
            yield b"".join(decompressed([packed], codec))


def blocks(store: DirectoryStore, key: str, codec: Codec) -> dict[tuple[str, str] | str, bytes]:
    """Each block's bytes by its session, found by the index."""
    found: dict[tuple[str, str] | str, bytes] = {}
    for row in index.rows(store.read(index_key_of(key)), codec, key):
        name = str(row.gap) if isinstance(row, GapRow) else (row.device_id, row.session_id)
        found[name] = store.read(key, row.offset, row.length)
    return found


class Dying:
    """A store of a process that dies before it has put one more than `puts` objects."""

    def __init__(self, store: DirectoryStore, puts: int) -> None:
        self._store = store
        self._left = puts
        self.describe, self.size, self.read = store.describe, store.size, store.read
        self.download, self.entries = store.download, store.entries

    def put(self, key: str, source: Path | bytes) -> None:
        if not self._left:
            raise StoreError("died")
        self._left -= 1
        self._store.put(key, source)


@pytest.mark.parametrize("codec", Codec)
def test_nothing_of_a_device_is_left_anywhere(tmp_path: Path, codec: Codec) -> None:
    store, key = archive(tmp_path, codec)
    assert any(DEVICE.encode() in text for text in texts(store, codec))
    assert run(store, tmp_path) == [Erased(key, 2, 3, 4)]
    for trace in (DEVICE.encode(), SESSION.encode(), b"1795237599999"):
        assert not [text for text in texts(store, codec) if trace in text]
    assert problems(store, tmp_path) == []


@pytest.mark.parametrize("codec", Codec)
def test_everything_else_stays_as_it_was_to_the_bit(tmp_path: Path, codec: Codec) -> None:
    store, key = archive(tmp_path, codec)
    before, objects = blocks(store, key, codec), everything(store)
    run(store, tmp_path)
    expected = {name: data for name, data in before.items() if DEVICE not in name}
    assert list(blocks(store, key, codec).items()) == list(expected.items())
    assert len(expected) == len(before) - 2
    changed = {each for each, data in everything(store).items() if data != objects[each]}
    assert changed == {key, index_key_of(key)}
    found = [row for row in Reader(store).find(from_ms=OPENED, to_ms=FOREVER) if isinstance(row, Row)]
    assert [line.problems() for row in found for line in Reader(store).read_block(row)] == [[]] * 16  # type: ignore[union-attr]


@pytest.mark.parametrize("codec", Codec)
def test_a_second_time_there_is_nothing_to_do(tmp_path: Path, codec: Codec) -> None:
    store, _ = archive(tmp_path, codec)
    run(store, tmp_path)
    before = list(store.entries(""))
    assert run(Dying(store, 0), tmp_path) == []
    assert list(store.entries("")) == before


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("puts", [0, 1, 2])
def test_interrupted_at_any_step_it_is_finished_by_the_next(tmp_path: Path, codec: Codec, puts: int) -> None:
    store, key = archive(tmp_path, codec)
    other, _ = archive(tmp_path / "other", codec)
    run(other, tmp_path)
    with pytest.raises(StoreError, match="died"):
        run(Dying(store, puts), tmp_path)
    left = [Erased(key, 2, 3, 4)] if puts < 2 else [Mended(index_key_of(key))]
    assert run(store, tmp_path, is_dry=True) == left
    assert run(store, tmp_path) == left
    assert blocks(store, key, codec) == blocks(other, key, codec)
    assert not [text for text in texts(store, codec) if DEVICE.encode() in text]
    assert problems(store, tmp_path) == []
    assert run(Dying(store, 0), tmp_path) == []


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("puts", [1, 2])
def test_interrupted_at_any_step_the_index_can_be_made_anew(tmp_path: Path, codec: Codec, puts: int) -> None:
    store, _ = archive(tmp_path, codec)
    with pytest.raises(StoreError, match="died"):
        run(Dying(store, puts), tmp_path)
    assert problems(store, tmp_path) != []
    list(reindex(store, OPENED, OPENED + 1, tmp_path))
    assert problems(store, tmp_path) == []


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("puts", [0, 1, 2])
def test_no_index_ever_speaks_of_other_bytes(tmp_path: Path, codec: Codec, puts: int) -> None:
    store, _ = archive(tmp_path, codec)
    with pytest.raises(StoreError, match="died"):
        run(Dying(store, puts), tmp_path)
    for row in Reader(store).find(from_ms=OPENED, to_ms=FOREVER):
        assert isinstance(row, Row)
        heads = [line.head for line in Reader(store).read_block(row)]  # type: ignore[union-attr]
        assert {(head["device_id"], head["session_id"]) for head in heads} == {(row.device_id, row.session_id)}


@pytest.mark.parametrize("codec", Codec)
def test_what_no_index_speaks_of_is_erased_too(tmp_path: Path, codec: Codec) -> None:
    store, key = archive(tmp_path, codec)
    (tmp_path / "store" / index_key_of(key)).unlink()
    assert run(store, tmp_path) == [Erased(key, 2, 3, 4)]
    assert not [text for text in texts(store, codec) if DEVICE.encode() in text]
    assert problems(store, tmp_path) == []


@pytest.mark.parametrize("codec", Codec)
def test_an_object_of_one_device_becomes_one_of_nothing(tmp_path: Path, codec: Codec) -> None:
    store, one = stored(tmp_path, segment_of([upload(1), upload(2, "2")]), replace(OPTIONS, codec=codec))
    assert run(store, tmp_path) == [Erased(one.data_key, 2, 2, 0)]
    assert blocks(store, one.data_key, codec) == {}
    assert problems(store, tmp_path) == []
    assert run(store, tmp_path) == []


def test_a_session_goes_alone(tmp_path: Path) -> None:
    store, key = archive(tmp_path)
    assert run(store, tmp_path, EVERYTHING._replace(session_id=SESSION)) == [Erased(key, 1, 2, 5)]
    assert (DEVICE, "1795237599999") in blocks(store, key, Codec.ZSTD)
    assert (DEVICE, SESSION) not in blocks(store, key, Codec.ZSTD)


def test_a_session_of_another_device_stays(tmp_path: Path) -> None:
    store, one = stored(tmp_path, segment_of([upload(1), upload(2, device="other")]))
    assert run(store, tmp_path, OF_DEVICE._replace(session_id=SESSION)) == [Erased(one.data_key, 1, 1, 1)]
    assert list(blocks(store, one.data_key, Codec.ZSTD)) == [("other", SESSION)]


def test_blocks_with_nothing_of_the_span_stay(tmp_path: Path) -> None:
    frames = [
        upload(1, "1", after=0),
        upload(2, "2", after=1000),
        upload(3, "2", after=3000),
        upload(4, "3", after=4000),
    ]
    store, one = stored(tmp_path, segment_of(frames))
    span = OF_DEVICE._replace(from_ms=OPENED + 1, to_ms=OPENED + 2000)
    assert run(store, tmp_path, span) == [Erased(one.data_key, 1, 2, 2)]
    assert list(blocks(store, one.data_key, Codec.ZSTD)) == [(DEVICE, "1"), (DEVICE, "3")]


def test_dry_it_tells_the_same_and_changes_nothing(tmp_path: Path) -> None:
    store, key = archive(tmp_path)
    before = list(store.entries(""))
    assert run(store, tmp_path, is_dry=True) == [Erased(key, 2, 3, 4)]
    assert list(store.entries("")) == before


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path) -> None:
    store, _ = archive(tmp_path)
    (tmp_path / "scratch").mkdir()
    run(store, tmp_path / "scratch")
    with pytest.raises(StoreError, match="died"):
        run(Dying(store, 1), tmp_path / "scratch", EVERYTHING)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_index_without_data_says_nothing_of_them_any_more(tmp_path: Path) -> None:
    store, key = archive(tmp_path)
    (tmp_path / "store" / key).unlink()
    problem, erased = run(store, tmp_path)
    assert isinstance(problem, Problem)
    assert (problem.fault, problem.key, erased) == (Fault.MISSING_DATA, key, Erased(key, 2, 3, 4))
    assert not [text for text in texts(store, Codec.ZSTD) if DEVICE.encode() in text]


def test_what_can_not_be_looked_through_is_told_and_the_others_are_erased(tmp_path: Path) -> None:
    store, damaged = archive(tmp_path)
    options = replace(OPTIONS, codec=Codec.GZIP)
    _, after = stored(tmp_path, segment_of([upload(1)]), options, NAME._replace(number=9))
    store.put(damaged, store.read(damaged)[:-300])
    problem, erased = run(store, tmp_path)
    assert isinstance(problem, Problem)
    assert (problem.fault, problem.key, erased) == (Fault.BAD_BLOCK, damaged, Erased(after.data_key, 1, 1, 0))


def test_a_block_that_is_damaged_is_erased_all_the_same(tmp_path: Path) -> None:
    store, key = archive(tmp_path)
    (row,) = [
        each for each in Reader(store).find(session_id=SESSION, from_ms=0, to_ms=FOREVER) if isinstance(each, Row)
    ]
    data = bytearray(store.read(key))
    data[row.offset + 8] ^= 255
    store.put(key, bytes(data))
    assert run(store, tmp_path) == [Erased(key, 2, 3, 4)]
    assert problems(store, tmp_path) == []


def test_an_object_that_the_store_has_altered_is_told(tmp_path: Path) -> None:
    store, _ = archive(tmp_path)

    class Altering(Dying):
        def put(self, key: str, source: Path | bytes) -> None:
            super().put(key, (source if isinstance(source, bytes) else source.read_bytes()) + b"\r\n")

    with pytest.raises(StoreError, match="bytes were put there"):
        run(Altering(store, 9), tmp_path)
