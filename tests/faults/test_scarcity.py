"""Proves what a worker does that may have no more memory, or no more descriptors, than it has: it lives, acknowledges
nothing that did not arrive, and serves as before once there is enough again."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.wire import NoAnswer
from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    config,
    leaving_nothing,
    new_key,
    sha256,
    upload,
    uploads,
)
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

CROWD = 16
LARGE = 2_000_000  # bytes of an upload; a crowd of them needs more than there is
ROOM = 1 << 20  # bytes of memory above what the worker has
SETTINGS = {
    **QUIET,
    "breaker": {"failures": 0},
    "limits": {"exchange_bytes": "32MiB"},
    "timeouts": {"first_byte": "3s", "upstream_stall": "3s", "client_body_idle": "3s"},
}


@pytest.fixture
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """One worker; what it writes when it is out of memory has tracebacks, as it should."""
    with Gateway(SETTINGS, standin=vendor, clean=False) as running:
        assert_unhurt(running)
        yield running


@pytest.fixture
def suspicious(vendor: StandIn) -> Iterator[Gateway]:
    """One worker that leaves an upstream alone after a single failure."""
    with Gateway({**SETTINGS, "breaker": {"failures": 1}}, standin=vendor, clean=False) as running:
        yield running


@contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """A process may have so much, from here to the end of the block."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


def address_space(pid: int) -> int:
    """Bytes, see proc_pid_statm(5)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def status(gateway: Gateway, body: bytes) -> int:
    """Of the answer to an upload; 0 for none."""
    try:
        return ask(gateway, upload(body), 30.0).status
    except (NoAnswer, ConnectionError):
        return 0


def test_without_memory_nothing_is_acknowledged_that_did_not_arrive(gateway: Gateway, standin: StandIn) -> None:
    (pid,) = gateway.worker_pids()
    standin.behave({"match": {"method": "POST"}, "action": "slow_read", "bytes_per_second": LARGE})
    bodies = [os.urandom(LARGE) for _ in range(CROWD)]
    with limited(pid, resource.RLIMIT_AS, address_space(pid) + ROOM), ThreadPoolExecutor(CROWD) as crowd:
        answers = list(crowd.map(lambda body: status(gateway, body), bodies))
    assert set(answers) <= {0, 200, 502, 503, 504}
    assert answers.count(200) < CROWD, "the limit was none"
    acknowledged = {sha256(body) for body, answer in zip(bodies, answers, strict=True) if answer == 200}
    assert acknowledged <= {record["body_sha256"] for record in uploads(standin) if record["complete"]}
    standin.behave()
    assert gateway.worker_pids() == [pid]
    for _ in range(10):
        assert_unhurt(gateway)
    assert_idle(gateway, 30.0)


def test_without_descriptors_who_is_connected_is_served_and_who_is_not_later(
    suspicious: Gateway, standin: StandIn
) -> None:
    (pid,) = suspicious.worker_pids()
    with leaving_nothing(suspicious), client(suspicious) as connection:
        assert_readable(connection.ask(upload()), 200)
        with limited(pid, resource.RLIMIT_NOFILE, descriptors(pid)):
            for _ in range(3):
                assert_readable(connection.ask(upload()), 200)
            assert [status(suspicious, b"{}") for _ in range(3)] in ([0, 0, 0], [200, 0, 0], [200, 200, 200])
            # There is no connection for configurations yet, and none can be opened: for which the vendor is not blamed.
            for _ in range(3):
                answer = connection.ask(config(new_key()))
                assert_readable(answer, 503)
                assert answer.one("x-gateway-reason") == "no_resources"
        eventually(lambda: status(suspicious, b"{}") == 200)
        assert_readable(connection.ask(config(new_key())), 200)
