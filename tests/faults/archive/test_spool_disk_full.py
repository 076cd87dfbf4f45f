"""Proves that a disk which is really full costs the uploads that did not fit and nothing else: what was written before
stays whole, what is lost is counted and told in the archive, and no client is answered otherwise than ever."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.rotation import RETRY_SECONDS, Rotation
from proxy.spool.segment import Kind
from tests.faults.archive.spool_bench import (
    PATIENCE,
    PREFIX,
    account,
    archived,
    archived_gaps,
    body,
    config,
    dropped,
    fill,
    has_arrived,
    numbers,
    payloads,
    small_disk,
    spooled,
)
from tests.gateway import Gateway, eventually
from tests.processes.client import Client
from tests.standin import StandIn
from tests.unit.spool.spooled import BOOT, T0, rules, upload

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_what_the_disk_took_of_a_frame_is_taken_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "512k") as disk:
        segment = OpenSegment(disk, SegmentName("node", BOOT, 0), T0)
        segment.append(Kind.PAYLOAD, 1, T0, b"{}", [body(1, 1000)])
        fill(disk, 16 * PAGE)
        before = segment.size
        for sequence in range(2, 12):
            try:
                segment.append(Kind.PAYLOAD, sequence, T0, b"{}", [body(sequence, 20 * PAGE)])
            except OSError:
                assert segment.size == before
                assert not segment.is_suspect
                assert os.stat(disk / f"{segment.name}.open").st_size == before
            else:
                raise AssertionError("the disk has taken more than there was room for")
        segment.append(Kind.PAYLOAD, 12, T0, b"{}", [body(12, 8 * PAGE)])  # there is room for that again
        segment.sync()
        segment.seal()
        assert payloads(spooled(disk)) == [1, 12]


def test_a_full_disk_costs_what_did_not_fit_and_tells_of_it_when_there_is_room(tmp_path: Path) -> None:
    memory = LedgerMemory.create(1)
    with small_disk(tmp_path / "disk", "1m") as disk:
        # The rotation itself, without the thread: it looks for room when it is told to, so that what it believes
        # there is can be made to differ from what the disk really has.
        rotation = Rotation(rules(disk, sync="durable"), BOOT, Ledger(memory.rows[0]))
        lost, now = [], 0.0
        for number in range(1, 11):
            assert rotation.write(upload(number, body(number, 1000)), now) is None
        ballast = fill(disk, 4 * PAGE)
        for number in range(11, 21):
            now += RETRY_SECONDS
            one = upload(number, body(number, 10 * PAGE))
            reason = rotation.write(one, now)
            assert reason is Drop.NO_SPACE
            lost.append(number)
            rotation.sync()
        now += RETRY_SECONDS
        ballast.unlink()
        for number in range(21, 31):
            assert rotation.write(upload(number, body(number, 10 * PAGE)), now) is None
        rotation.end(now, T0)
        assert payloads(spooled(disk)) == [*range(1, 11), *range(21, 31)]
    assert memory.totals().of(Counter.SPOOL_SYNC_FAILURES) == 0
    assert dropped(memory) == {}  # whoever writes by the rotation counts what it says


def test_uploads_are_answered_while_the_spools_disk_is_full_and_the_gap_is_archived(
    standin: StandIn, tmp_path: Path
) -> None:
    settings = config(tmp_path, spool={"max_bytes": "1MiB"}, rotate={"seconds": 1, "bytes": "256KiB"})
    with small_disk(tmp_path / "spool", "2m") as disk, Gateway(settings, standin=standin) as gateway:
        with Client(gateway.port) as client:
            for number in range(10):
                assert client.upload(body(number, 5000))[0] == 200
            # An archiver that reads what was sealed before needs no room any more.
            eventually(lambda: has_arrived(gateway, 10), PATIENCE)
            ballast = fill(disk, 2 * PAGE)
            for number in range(10, 40):
                assert client.upload(body(number, 20_000))[0] == 200
            eventually(lambda: account(gateway)["dropped"] == 30, PATIENCE)
            assert gateway.metric(f"{PREFIX}archive_dropped_total", reason="no-space") == 30
            assert gateway.health("ready")[0] == 200
            ballast.unlink()
            # The next look finds the room; until then what comes is dropped as well.
            sent = 40
            while account(gateway)["spool_written"] == 10:
                assert client.upload(body(sent, 20_000))[0] == 200
                sent += 1
        eventually(lambda: has_arrived(gateway, sent), PATIENCE)
        lost = account(gateway)["dropped"]
    there = numbers(archived(tmp_path / "store"))
    assert sorted(there)[:10] == list(range(10))
    assert len(there) == len(set(there)) == sent - lost
    assert not set(there) & set(range(10, 40))
    assert archived_gaps(tmp_path / "store") == {"no-space": lost}


def test_a_disk_that_the_spool_has_filled_itself_is_emptied_again(standin: StandIn, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with (
        small_disk(tmp_path / "spool", "1m"),
        Gateway(config(tmp_path, rotate={"seconds": 1, "bytes": 100_000}), standin=standin) as gateway,
    ):
        with Client(gateway.port) as client:
            for number in range(60):
                assert client.upload(body(number, 40_000))[0] == 200
        eventually(lambda: account(gateway)["dropped"] > 0, PATIENCE)
        (tmp_path / "store").unlink()
        eventually(lambda: has_arrived(gateway, 60), PATIENCE)
        kept = account(gateway)["archived"]
    there = numbers(archived(tmp_path / "store"))
    assert len(there) == len(set(there)) == kept > 0
    assert sum(archived_gaps(tmp_path / "store").values()) == 60 - kept
