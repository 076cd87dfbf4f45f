"""Proves that an archiver which is killed at whatever moment, over a real server, leaves nothing that its successor
does not put right: each segment is one object with its index, with the right bytes, and counted once."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from proxy.archive.audit import verify
from proxy.archive.problem import Fault, Problem
from proxy.archive.s3 import S3Options, S3Store
from proxy.observe.ledger import LedgerMemory
from tests.s3.archiving import PAYLOADS, Objects, Program, archived, finish, objects, segment, waiting
from tests.s3.chaos import Chaos, Request, read_exactly
from tests.s3.servers.server import S3Server
from tests.s3.site import Site, new_bucket
from tests.unit.spool.spooled import HOUR_MS, T0

# Of its two moments around each call to the store: before the first, and after each.
MOMENTS = {"before-all": 1, "after-data": 2, "after-size-of-data": 4, "after-index": 6, "after-size-of-index": 8}
DATA_IS_THERE, INDEX_IS_THERE = 2, 6
KILLED = -signal.SIGKILL
SEGMENTS = 10


@pytest.fixture
def bucket(ceph: S3Server) -> Site:
    return Site(ceph, "http", new_bucket(ceph))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def problems(options: S3Options, scratch: Path) -> list[Fault]:
    """What is wrong with the archive."""
    found = verify(S3Store(options), T0 - HOUR_MS, T0 + HOUR_MS, scratch)
    return [each.fault for each in found if isinstance(each, Problem)]


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_killed_around_any_call_it_leaves_work_that_is_done_once(
    bucket: Site, spool: Path, tmp_path: Path, moment: int
) -> None:
    path, expected = segment(spool)
    memory = LedgerMemory.create(1)
    with Program(spool, bucket.options, memory, moment=moment) as program:
        code, text = program.wait()
    assert code == KILLED, text
    # What is there is whole, the index never without its data, and the segment stays until both are there.
    assert path.exists()
    here = objects(bucket.options)
    assert list(here) == sorted(expected)[: (moment >= DATA_IS_THERE) + (moment >= INDEX_IS_THERE)]
    assert here.items() <= expected.items()
    is_between = DATA_IS_THERE <= moment < INDEX_IS_THERE
    assert problems(bucket.options, tmp_path) == [Fault.MISSING_INDEX] * is_between

    finish(spool, bucket.options, memory)
    assert objects(bucket.options) == expected
    assert archived(memory) == PAYLOADS
    assert list(spool.iterdir()) == []
    assert problems(bucket.options, tmp_path) == []


class KilledWhile:
    """The process is killed when so many bytes of its body have come."""

    def __init__(self, after: int) -> None:
        self.pid = 0
        self._after = after

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Read a part, and kill who sends it."""
        read_exactly(client, self._after)
        os.kill(self.pid, signal.SIGKILL)


def test_killed_while_an_object_is_on_its_way_it_leaves_none(bucket: Site, spool: Path) -> None:
    path, expected = segment(spool, noise=300_000)
    memory = LedgerMemory.create(1)
    killer = KilledWhile(300_000)
    with Chaos(int(bucket.server.http.rpartition(":")[2])) as chaos:
        chaos.meets(killer)
        with Program(spool, bucket.with_endpoint(chaos.endpoint), memory) as program:
            killer.pid = program.pid
            code, text = program.wait()
        assert code == KILLED, text
    assert objects(bucket.options) == {}
    assert path.exists()
    finish(spool, bucket.options, memory)
    assert objects(bucket.options) == expected
    assert archived(memory) == PAYLOADS


def test_two_archivers_over_one_spool_send_each_object_once(bucket: Site, spool: Path) -> None:
    expected: Objects = {}
    for number in range(1, SEGMENTS + 1):
        expected.update(segment(spool, number)[1])
    one, other = LedgerMemory.create(1), LedgerMemory.create(1)
    with Chaos(int(bucket.server.http.rpartition(":")[2])) as chaos:
        options = bucket.with_endpoint(chaos.endpoint)
        with Program(spool, options, one) as first, Program(spool, options, other) as second:
            assert (first.wait(), second.wait()) == ((0, ""), (0, ""))
        sent = Counter(each for each in chaos.seen if each.startswith("PUT "))
    assert len(sent) == len(expected)
    assert set(sent.values()) == {1}
    assert archived(one) + archived(other) == SEGMENTS * PAYLOADS
    assert objects(bucket.options) == expected
    assert waiting(spool) == []
