"""Proves that a spool in which nothing may be made, renamed or removed any longer costs what comes meanwhile and no
more, that no client notices, and that all goes on by itself when it may be written to again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, LedgerMemory
from proxy.spool.folder import State, adopt_orphans
from tests.faults.archive.spool_bench import (
    PATIENCE,
    PREFIX,
    account,
    archived,
    archived_gaps,
    archiving,
    body,
    config,
    dropped,
    has_arrived,
    is_settled,
    numbers,
    remounted,
    small_disk,
)
from tests.gateway import ROOT, Gateway, eventually
from tests.processes.client import Client
from tests.standin import StandIn
from tests.unit.spool.spooled import files

NOBODY = 65534


def test_a_spool_that_becomes_read_only_is_no_affair_of_the_traffics(standin: StandIn, tmp_path: Path) -> None:
    # What waits for its upload while nothing can be removed has to be there still, and once.
    (tmp_path / "store").write_text("a file where the folder should be")
    with small_disk(tmp_path / "spool", "8m") as disk, Gateway(config(tmp_path), standin=standin) as gateway:
        with Client(gateway.port) as client:
            for number in range(10):
                assert client.upload(body(number))[0] == 200
            eventually(lambda: account(gateway)["spool_written"] == 10, PATIENCE)
            eventually(lambda: remounted(disk, "ro"), PATIENCE, "no segment is open")
            (tmp_path / "store").unlink()
            for number in range(10, 20):
                assert client.upload(body(number))[0] == 200
            eventually(lambda: account(gateway)["dropped"] == 10, PATIENCE)
            assert gateway.metric(f"{PREFIX}archive_dropped_total", reason="disk-error") == 10
            assert gateway.health("ready")[0] == 200
            assert account(gateway)["archived"] == 0
            assert remounted(disk, "rw")
            eventually(lambda: account(gateway)["archived"] == 10, PATIENCE)
            sent = 20
            while account(gateway)["spool_written"] == 10:
                assert client.upload(body(sent))[0] == 200
                sent += 1
                time.sleep(0.1)
        eventually(lambda: has_arrived(gateway, sent), PATIENCE)
        lost = account(gateway)["dropped"]
    there = numbers(archived(tmp_path / "store"))
    assert len(there) == len(set(there)) == sent - lost
    assert set(range(10)) <= set(there)
    assert not set(there) & set(range(10, 20))
    assert archived_gaps(tmp_path / "store") == {"disk-error": lost}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that a process of somebody else's reaches, and in it one that is theirs."""
    with tempfile.TemporaryDirectory(prefix="spool-") as name:
        os.chmod(name, 0o711)
        spool = Path(name, "spool")
        spool.mkdir(mode=0o700)
        os.chown(spool, NOBODY, NOBODY)
        yield spool


def test_a_folder_that_forbids_new_names_is_left_alone_until_it_allows_them(shared: Path, tmp_path: Path) -> None:
    memory = LedgerMemory.create(2)
    arguments = (memory.number, shared, 1, "interval", NOBODY)  # root may do everything
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.archive.spool_appender", *map(str, arguments)],
        stdin=subprocess.PIPE,
        pass_fds=[memory.number],
        cwd=ROOT,
        bufsize=0,
    ) as process:
        given = process.stdin
        assert given is not None
        offered = 0

        def offer() -> None:
            nonlocal offered
            given.write(b"\n")
            offered += 1
            eventually(lambda: memory.totals().of(Counter.SPOOL_OFFERED) == offered and is_settled(memory), PATIENCE)

        offer()
        assert memory.totals().of(Counter.SPOOL_WRITTEN) == 1
        shared.chmod(0o500)
        while memory.totals().of(Counter.SPOOL_WRITTEN) == offered:
            offer()  # into the segment that is open, as long as that is not full
            time.sleep(0.05)
        for _ in range(20):
            offer()
        assert len(files(shared, State.OPEN)) == 1  # full, and could not get its next name
        assert not files(shared, State.NEW, State.SEALED)
        assert sum(dropped(memory).values()) >= 21
        shared.chmod(0o700)
        while memory.totals().of(Counter.SPOOL_SEGMENTS) < 2:
            offer()
            time.sleep(0.05)
        for _ in range(20):
            offer()
        given.close()
        assert process.wait(PATIENCE) == 0
    lost = sum(dropped(memory).values())
    assert dropped(memory) == {Drop.DISK_ERROR: lost}
    assert len(adopt_orphans(shared, time.time())) == 1
    with archiving(shared, DirectoryStore(tmp_path / "store"), memory):
        pass
    there = numbers(archived(tmp_path / "store"))
    assert len(there) == len(set(there)) == offered - lost
    assert archived_gaps(tmp_path / "store") == {"disk-error": lost}
