"""Proves that workers and archivers which are killed all the time, several at once, neither get in each other's way in
the archive nor make anything disappear: what was answered as durable is there, once, and all else is counted."""

from __future__ import annotations

import os
import random
import signal
import threading
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from tests.faults.archive.spool_bench import (
    PATIENCE,
    account,
    archived,
    archived_gaps,
    body,
    config,
    has_arrived,
    numbers,
)
from tests.gateway import Gateway, eventually
from tests.processes.client import Client
from tests.standin import StandIn

WORKERS = 4
KILLS = 6
CLIENTS = 3


class Clients:
    """Threads that upload, each number once, and go on with the next one when they are not answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        self.begun = 0
        self.answered: set[int] = set()

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._is_over.is_set():
            with self._lock:
                number, self.begun = self.begun, self.begun + 1
            with suppress(OSError, HTTPException), Client(self._port) as client:
                if client.upload(body(number, number % 5 * 4000))[0] == 200:
                    self.answered.add(number)
            self._is_over.wait(0.005)


def test_four_workers_that_are_killed_over_and_over_lose_nothing_that_was_answered(
    standin: StandIn, tmp_path: Path
) -> None:
    chance = random.Random("a storm")
    # None is to be answered because the disk took too long: it shares two cores with the storm.
    durable = config(tmp_path, spool={"sync": "durable", "answer_wait": "30s"})
    with Gateway(durable, standin=standin, workers=WORKERS, clean=False) as gateway:
        with Clients(gateway.port) as clients:
            for number in range(KILLS):
                before = len(clients.answered)
                eventually(lambda before=before: len(clients.answered) >= before + 20, PATIENCE)  # type: ignore[misc]
                pids = eventually(gateway.worker_pids, PATIENCE)
                victims = chance.sample(pids, min(len(pids), 1 + number % 3))
                if number % 3 == 0:
                    victims += gateway.archiver_pids()
                for pid in victims:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        eventually(lambda: gateway.metric("replay_gateway_workers_ready") == WORKERS, PATIENCE)
        eventually(lambda: has_arrived(gateway, account(gateway)["spool_offered"]), PATIENCE)
        seen = account(gateway)
        assert gateway.metric("replay_gateway_spool_answers_late_total") == 0
        assert gateway.metric("replay_gateway_worker_restarts_total") >= KILLS
        gateway.stop()
    there = numbers(archived(tmp_path / "store"))
    assert len(there) == len(set(there)) == seen["archived"]
    assert clients.answered <= set(there)
    assert set(there) <= set(range(clients.begun))
    assert seen["archived"] + seen["dropped"] == seen["spool_offered"] <= clients.begun
    told = archived_gaps(tmp_path / "store")
    assert set(told) <= {"crash"}
    # A worker that is killed before it has written what its predecessor lost takes the record with it, not the count.
    assert sum(told.values()) <= seen["dropped"]


def test_two_machines_of_one_name_share_a_store_and_overwrite_nothing(standin: StandIn, tmp_path: Path) -> None:
    one, other = (config(tmp_path, node="same", spool={"directory": str(tmp_path / name)}) for name in ("a", "b"))
    with Gateway(one, standin=standin) as first, Gateway(other, standin=standin) as second:
        for number in range(0, 40, 2):
            for gateway, each in ((first, number), (second, number + 1)):
                with Client(gateway.port) as client:
                    assert client.upload(body(each))[0] == 200
            if number % 20 == 18:  # several objects of each
                eventually(lambda until=number: has_arrived(first, until // 2 + 1), PATIENCE)  # type: ignore[misc]
                eventually(lambda until=number: has_arrived(second, until // 2 + 1), PATIENCE)  # type: ignore[misc]
        assert account(first)["archived"] == account(second)["archived"] == 20
        stored = sum(int(each.metric("replay_gateway_archive_objects_total")) for each in (first, second))
    objects = [path for path in (tmp_path / "store" / "v1" / "data").rglob("*") if path.is_file()]
    assert len(objects) == stored >= 4
    assert all(path.name.startswith("same-") for path in objects)
    assert sorted(numbers(archived(tmp_path / "store"))) == list(range(40))
