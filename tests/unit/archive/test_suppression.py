"""Proves that who is erased is known to the archiver by nothing but a hash, and that rules which can't be read keep
segments waiting, but not for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.archive import index
from proxy.archive.directory import DirectoryStore
from proxy.archive.erase import Unwanted
from proxy.archive.index import GapRow, Row
from proxy.archive.seal import Sealed, seal
from proxy.archive.store import Entry, StoreError
from proxy.archive.suppression import PATIENCE, SUPPRESSED, Rules, Suppressions, suppress
from tests.unit.archive.segments import NAME, OPENED, OPTIONS, Lost, segment_of, visits

ALWAYS = 2**62
DEVICE = Unwanted("device-1", None, 0, ALWAYS)


class Unreadable(DirectoryStore):
    """A store that can't be listed as long as it is told to fail."""

    error: StoreError | None = None
    reads = 0

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        if self.error is not None:
            raise self.error
        return super().entries(prefix, after)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads += 1
        return super().read(key, start, length)


def rules(store: DirectoryStore) -> Rules:
    return Suppressions(store).look()


def test_no_rules_cover_nobody(tmp_path: Path) -> None:
    assert not rules(DirectoryStore(tmp_path)).cover("", "", 0)


@pytest.mark.parametrize(
    ("unwanted", "covered"),
    [
        (DEVICE, ["device-1 1 0", "device-1 2 0", "device-1 1 9"]),
        (Unwanted(None, "1", 0, ALWAYS), ["device-1 1 0", "device-2 1 0", "device-1 1 9"]),
        (Unwanted("device-1", "1", 0, ALWAYS), ["device-1 1 0", "device-1 1 9"]),
        (DEVICE._replace(to_ms=9), ["device-1 1 0", "device-1 2 0"]),
        (DEVICE._replace(from_ms=9), ["device-1 1 9"]),
    ],
)
def test_a_rule_covers_whom_it_names(tmp_path: Path, unwanted: Unwanted, covered: list[str]) -> None:
    store = DirectoryStore(tmp_path)
    suppress(store, unwanted, OPENED)
    uploads = ["device-1 1 0", "device-1 2 0", "device-2 1 0", "device-1 1 9", "  0"]
    assert [each for each in uploads if _covers(rules(store), each)] == covered


def _covers(found: Rules, upload: str) -> bool:
    device_id, session_id, time_ms = upload.split(" ")
    return found.cover(device_id, session_id, int(time_ms))


def test_several_rules_cover_all_whom_they_name(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for unwanted in (DEVICE._replace(to_ms=5), DEVICE._replace(from_ms=7), DEVICE._replace(device_id="device-2")):
        suppress(store, unwanted, OPENED)
    found = rules(store)
    assert [found.cover("device-1", "1", time_ms) for time_ms in (4, 5, 6, 7)] == [True, False, False, True]
    assert found.cover("device-2", "1", 6)


def test_no_name_is_in_the_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    suppress(store, DEVICE._replace(session_id="1795237513749"), OPENED)
    (entry,) = store.entries("")
    text = entry.key.encode() + store.read(entry.key)
    assert b"device-1" not in text
    assert b"1795237513749" not in text


def test_the_same_rules_are_the_same_object_and_are_read_once(tmp_path: Path) -> None:
    store = Unreadable(tmp_path)
    suppress(store, DEVICE, OPENED)
    one = Suppressions(store)
    first = one.known()
    assert (one.look(), one.known(), store.reads) == (first, first, 1)
    suppress(store, DEVICE._replace(device_id="device-2"), OPENED)
    assert one.known() is first
    assert one.look().cover("device-2", "1", 0)
    assert store.reads == 2


def test_a_rule_that_is_given_again_changes_nothing(tmp_path: Path) -> None:
    store = Unreadable(tmp_path)
    suppress(store, DEVICE, OPENED)
    one = Suppressions(store)
    first = one.look()
    (entry,) = store.entries(SUPPRESSED)
    suppress(store, DEVICE, OPENED)
    os.utime(tmp_path / entry.key, (1, 1))
    assert one.look() is first
    assert store.reads == 2


def test_a_rule_can_be_taken_back(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    suppress(store, DEVICE, OPENED)
    one = Suppressions(store)
    assert one.look().cover("device-1", "1", 0)
    (entry,) = store.entries(SUPPRESSED)
    store.put(entry.key, b'{"v":1}')
    assert not one.look().cover("device-1", "1", 0)


@pytest.mark.parametrize("text", [b"", b"rubbish", b'{"v":2}', b'{"v":1,"device":null,"session":null,"from":0,"to":1}'])
def test_what_is_no_rule_is_told_and_does_not_spoil_the_others(
    tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = DirectoryStore(tmp_path)
    suppress(store, DEVICE, OPENED)
    store.put(f"{SUPPRESSED}0.json", text)
    assert rules(store).cover("device-1", "1", 0)
    assert f"{SUPPRESSED}0.json does not say" in caplog.text


def test_an_outage_is_waited_for_but_not_for_ever(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, now = Unreadable(tmp_path), [0.0]
    suppress(store, DEVICE, OPENED)
    one = Suppressions(store, lambda: now[0])
    one.look()
    store.error = StoreError("no answer", code="Timeout", is_transient=True)
    now[0] = PATIENCE - 1
    with pytest.raises(StoreError, match="no answer"):
        one.look()
    now[0] = PATIENCE
    assert one.look().cover("device-1", "1", 0)  # what was known stays known
    assert "no answer" in caplog.text


def test_keys_that_may_not_list_hold_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Unreadable(tmp_path)
    store.error = StoreError("denied", code="AccessDenied")
    assert not Suppressions(store).known().cover("device-1", "1", 0)
    assert "denied" in caplog.text


def rows_in(one: Sealed) -> list[Row | GapRow]:
    return list(index.rows(one.index.read_bytes(), OPTIONS.codec, one.data_key))


def blocks_in(one: Sealed) -> dict[tuple[str, str], bytes]:
    data = one.data.read_bytes()
    rows = (row for row in rows_in(one) if isinstance(row, Row))
    return {(row.device_id, row.session_id): data[row.offset : row.offset + row.length] for row in rows}


def test_what_is_left_out_of_a_segment_is_a_gap_and_the_rest_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.sealed"
    path.write_bytes(segment_of([*visits(12), Lost()]))
    whole = seal(path, NAME, OPTIONS, tmp_path)
    before = blocks_in(whole)
    one = seal(path, NAME, OPTIONS, tmp_path, lambda device_id, session_id, time_ms: device_id == "device-1")
    assert blocks_in(one) == {name: data for name, data in before.items() if name[0] != "device-1"}
    assert len(before) == 3
    assert (one.payloads, one.suppressed, one.payloads + one.suppressed) == (8, 4, whole.payloads)
    assert one.wire_bytes + one.suppressed_bytes == whole.wire_bytes
    assert one.gaps == whole.gaps
    (gap,) = [row.gap for row in rows_in(one) if isinstance(row, GapRow) and row.gap["reason"] == "suppressed"]
    assert gap["payloads"] == 4
    assert (gap["from"], gap["to"]) == (OPENED + 100, OPENED + 1000)
