"""Proves that the queue's bound holds for bodies that are still coming as well, that half an upload never reaches the
spool, and that answers wait for the disk only as long as they were told to."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.model.drop import Drop
from proxy.model.record import Outcome as How
from proxy.model.record import Record
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.entries import Upload
from proxy.spool.segment import Kind
from proxy.spool.tee import Tee, boot_id, outcome_meta
from tests.unit.spool.spooled import kept, rules

PATIENCE = 20.0
META = b'{"id":"1"}'


@asynccontextmanager
async def running(folder: Path, memory: LedgerMemory, **changed: Any) -> AsyncIterator[Tee]:
    tee = Tee(rules(folder, **changed), Ledger(memory.rows[0]), asyncio.get_running_loop())
    tee.start()
    try:
        yield tee
    finally:
        await tee.close(PATIENCE)


def record() -> Record:
    one = Record(1.0, b"id", b"POST")
    one.ended, one.status, one.upstream_status, one.outcome, one.skipped_code = 1.25, 200, 200, How.SKIPPED, 429
    return one


def test_pieces_become_one_body_and_its_outcome_follows(tmp_path: Path) -> None:
    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path, memory) as tee:
            one = Upload()
            tee.hold(one, b"first ")
            tee.hold(one, b"second")
            tee.whole(one, META)
            tee.follow(one, record())

    memory = LedgerMemory.create(1)
    asyncio.run(scene(memory))
    (payload,) = kept(tmp_path)
    assert (payload.body, payload.meta) == (b"first second", {"id": "1"})
    (outcome,) = kept(tmp_path, Kind.OUTCOME)
    assert outcome.meta == {"status": 200, "upstream": 200, "skip": 429, "outcome": "skipped", "ms": 250}
    assert memory.totals().of(Counter.SPOOL_OFFERED) == memory.totals().of(Counter.SPOOL_WRITTEN) == 1


def test_half_an_upload_leaves_nothing(tmp_path: Path) -> None:
    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path, memory) as tee:
            one = Upload()
            tee.hold(one, b"half")
            tee.abandon(one)
            tee.follow(one, record())
            assert tee.held_bytes == 0

    memory = LedgerMemory.create(1)
    asyncio.run(scene(memory))
    assert list(tmp_path.iterdir()) == []
    assert memory.totals().of(Counter.SPOOL_OFFERED) == 0


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(tmp_path: Path) -> None:
    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path, memory, queue_bytes=10_000) as tee:
            large, small = Upload(), Upload()
            tee.hold(large, bytes(6000))
            tee.hold(large, bytes(6000))  # over the bound: all of it is let go
            assert tee.held_bytes == 0
            tee.hold(small, bytes(100))
            tee.whole(small, META)
            tee.hold(large, bytes(6000))
            tee.whole(large, META)
            tee.follow(large, record())

    memory = LedgerMemory.create(1)
    asyncio.run(scene(memory))
    assert [len(each.body) for each in kept(tmp_path)] == [100]
    totals = memory.totals()
    assert totals.of(Counter.SPOOL_OFFERED) == 2
    assert totals.drops()[Drop.QUEUE_FULL] == (1, 18_000)
    (gap,) = kept(tmp_path, Kind.GAP)
    assert (gap.meta["reason"], gap.meta["payloads"], gap.meta["bytes"]) == ("queue-full", 1, 18_000)


def test_empty_bodies_fill_the_queue_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, may_go_on = os.writev, threading.Event()

    def slow(descriptor: int, pieces: Any) -> int:
        assert may_go_on.wait(PATIENCE)
        return real(descriptor, pieces)

    async def scene(memory: LedgerMemory) -> None:
        monkeypatch.setattr(os, "writev", slow)
        async with running(tmp_path, memory, queue_bytes=100_000) as tee:
            for _ in range(1000):
                tee.whole(Upload(), META)
            assert tee.held_bytes <= 100_000
            may_go_on.set()

    memory = LedgerMemory.create(1)
    asyncio.run(scene(memory))
    totals = memory.totals()
    assert totals.drops()[Drop.QUEUE_FULL][0] > 800
    assert totals.of(Counter.SPOOL_WRITTEN) + totals.drops()[Drop.QUEUE_FULL][0] == 1000


def test_a_durable_upload_keeps_its_answer_until_it_is_on_the_disk(tmp_path: Path) -> None:
    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path, memory, sync="durable") as tee:
            one, safe = Upload(), asyncio.Event()
            tee.whole(one, META)
            assert tee.must_wait(one, safe.set)
            async with asyncio.timeout(PATIENCE):
                await safe.wait()
            assert not tee.must_wait(one, safe.set)
            assert len(kept(tmp_path)) == 1

    asyncio.run(scene(LedgerMemory.create(1)))


def test_nobody_waits_where_that_was_not_asked_for_or_the_upload_was_dropped(tmp_path: Path) -> None:
    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path / "a", memory) as tee:
            one = Upload()
            tee.whole(one, META)
            assert not tee.must_wait(one, lambda: None)
        async with running(tmp_path / "b", memory, sync="durable", queue_bytes=10) as tee:
            one = Upload()
            tee.whole(one, META)
            assert not tee.must_wait(one, lambda: None)

    asyncio.run(scene(LedgerMemory.create(1)))


def test_an_answer_does_not_wait_for_a_hung_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: may_go_on.wait(PATIENCE))
    safe = []

    async def scene(memory: LedgerMemory) -> None:
        async with running(tmp_path, memory, sync="durable", answer_wait=2.0) as tee:
            one = Upload()
            tee.whole(one, META)
            assert tee.must_wait(one, lambda: safe.append(1))
            began = asyncio.get_running_loop().time()
            tee.tick(began + 1.9)
            assert safe == []
            tee.tick(began + 2.5)
            assert safe == [1]
            may_go_on.set()
        assert safe == [1]  # not a second time when the disk came round

    memory = LedgerMemory.create(1)
    asyncio.run(scene(memory))
    assert memory.totals().of(Counter.SPOOL_ANSWERS_LATE) == 1


def test_no_two_workers_have_the_same_name() -> None:
    boots = {boot_id() for _ in range(1000)}
    assert len(boots) == 1000
    assert all(len(each) == 16 and int(each, 16) < 2**63 for each in boots)


def test_an_outcome_without_an_answer_is_json_too() -> None:
    empty = Record(1.0, b"id", b"POST")
    assert json.loads(outcome_meta(empty)) == {
        "status": 0,
        "upstream": 0,
        "skip": None,
        "outcome": "failed",
        "ms": -1000,
    }
