"""Proves that archiving for a while leaves nothing behind: no file that stays open, no memory that is not given back,
and at no moment an upload of which nobody can say where it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.faults.archive.spool_bench import (
    PATIENCE,
    account,
    archived,
    body,
    config,
    has_arrived,
    numbers,
)
from tests.faults.traffic import resident
from tests.gateway import Gateway, eventually
from tests.processes.client import Client
from tests.standin import StandIn

PHASES = 4
CLIENTS = 2
UPLOADS = 150  # of each client in a phase
MOST_GROWTH = 24 * 1024 * 1024


def files_open(pids: Iterable[int]) -> list[int]:
    """How many files each of these processes has open; connections come and go and are not counted."""
    return [_files_open(pid) for pid in pids]


def _files_open(pid: int) -> int:
    number = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            number += not os.readlink(link).startswith("socket:")
    return number


class Traffic:
    """Some clients' uploads, in threads, and how far they are."""

    def __init__(self, port: int, first: int) -> None:
        self._port = port
        self.begun, self.answered = [0] * CLIENTS, [0] * CLIENTS
        self.threads = [threading.Thread(target=self._run, args=(each, first)) for each in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self, which: int, first: int) -> None:
        with Client(self._port) as client:
            for number in range(UPLOADS):
                self.begun[which] += 1
                assert client.upload(body(first + which * UPLOADS + number, number % 10 * 4000))[0] == 200
                self.answered[which] += 1


def test_archiving_for_a_while_leaves_nothing_open_and_accounts_for_everything_at_any_moment(
    standin: StandIn, tmp_path: Path
) -> None:
    with Gateway(config(tmp_path), standin=standin) as gateway:
        pids = [gateway.pid, *gateway.worker_pids(), *gateway.archiver_pids()]
        assert len(pids) == 3
        opened, memory, done = [], [], 0
        for _ in range(PHASES):
            traffic = Traffic(gateway.port, done)
            while any(thread.is_alive() for thread in traffic.threads):
                answered = done + sum(traffic.answered)
                seen = account(gateway)
                begun = done + sum(traffic.begun)
                known = seen["archived"] + seen["archive_pending"] + seen["dropped"] + seen["archive_damaged"]
                assert answered <= seen["spool_offered"] <= begun
                assert known <= begun
                assert seen["archive_pending"] >= 0
            done += CLIENTS * UPLOADS
            assert sum(traffic.answered) == CLIENTS * UPLOADS
            eventually(lambda until=done: has_arrived(gateway, until), PATIENCE)  # type: ignore[misc]
            eventually(lambda: not list((tmp_path / "spool").glob("*-*.*")), PATIENCE)
            opened.append(files_open(pids))
            memory.append([resident([pid]) for pid in pids])
        assert opened[1:] == [opened[0]] * (PHASES - 1)
        assert [gateway.pid, *gateway.worker_pids(), *gateway.archiver_pids()] == pids
        for before, after in zip(memory[1], memory[-1], strict=True):  # the first phase warms up
            assert after - before < MOST_GROWTH
        assert account(gateway)["archived"] == done
    assert sorted(numbers(archived(tmp_path / "store"))) == list(range(done))
