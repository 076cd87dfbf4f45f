"""One round: the account of a proxy's processes before and after a load, as a `Round`.

It must not know which proxy it looks at, and the load does not know that it is looked at.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from comparison import COMPARE, accounts, machine
from comparison.archive import Archive
from comparison.load.outcome import GRACE_SECONDS, Outcome
from comparison.machine import Cores
from comparison.peers import stop
from comparison.results import Round
from tests.gateway import eventually

FEW = 10
SETTLE_SECONDS = 0.5  # for what a proxy does a moment after its connections came or went


def loaded(
    pids: Iterable[int],
    upstream: Iterable[int],
    cores: Cores,
    load: Callable[[], Outcome],
    archive: Archive | None = None,
) -> Round:
    """What `load` cost the processes of the proxy and those of the upstream, with all below them. Raises RuntimeError when no
    request was answered. What an archive stores of it is waited for, counted, and thrown away."""
    archivers = archive.pids() if archive else []
    counted = archive.wait_until_stored() if archive else None
    proxies, upstreams = accounts.members(pids), accounts.members(upstream)
    accounts.forget_peak(proxies)
    before = Account.now(proxies, upstreams, cores)
    with archive.held() if archive else contextlib.nullcontext():
        found = load()
    if not found.requests:
        raise RuntimeError(f"nothing was answered: {found.failures or 'no error told'}")
    if archive:
        archive.wait_until_written()
    spent = Account.now(proxies, upstreams, cores).since(before)
    serving = [seconds for pid, seconds in spent.proxies.items() if pid not in archivers]
    archived = unarchived = 0
    archiver = 0.0
    if archive and counted:
        stored = archive.wait_until_stored().since(counted)
        archived, unarchived = stored.archived, stored.lost
        archiver = sum(seconds - before.proxies[pid] for pid, seconds in accounts.cpu_seconds(archivers).items())
        archive.clear()
    micros = 1e6 / max(found.requests, 1)
    return Round(
        requests=found.requests,
        errors=found.errors,
        failures=found.failures,
        per_second=found.requests / found.seconds,
        cpu_us=(sum(serving) + archiver) * micros,
        busiest_us=max(serving, default=0.0) * micros,
        ticks_us=spent.ticks * micros,
        p50=found.p50,
        p99=found.p99,
        p999=found.p999,
        peak=accounts.peak_bytes(proxies),
        proxy_use=sum(serving) / found.seconds / len(cores.proxy),
        load_use=(found.cpu + spent.upstream) / found.seconds / len(cores.load),
        load_busy=spent.load_busy / spent.clock / len(cores.load),
        others=max(spent.busy - spent.ours, 0.0) / spent.clock / len(cores.all),
        resumed=found.resumed,
        archiver_us=archiver * micros,
        archived=archived,
        unarchived=unarchived,
    )


@dataclass(frozen=True)
class Account:
    """Seconds: of the clock, of the processor for each process of the proxy (also all in ticks), for the upstream, for
    this harness and the loads that it has run; and of the cores, how long those of the load and all were not idle."""

    clock: float
    proxies: dict[int, float]
    ticks: float
    upstream: float
    harness: float
    load_busy: float
    busy: float

    @classmethod
    def now(cls, proxies: list[int], upstreams: list[int], cores: Cores) -> Account:
        """As it stands at this moment, counted from different beginnings."""
        mine, loads = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(
            clock=time.perf_counter(),
            proxies=accounts.cpu_seconds(proxies),
            ticks=accounts.tick_seconds(proxies),
            upstream=sum(accounts.cpu_seconds(upstreams).values()),
            harness=mine.ru_utime + mine.ru_stime + loads.ru_utime + loads.ru_stime,
            load_busy=machine.busy_seconds(cores.load),
            busy=machine.busy_seconds(cores.all),
        )

    def since(self, before: Account) -> Account:
        """What has been spent since then."""
        return Account(
            clock=self.clock - before.clock,
            proxies={pid: self.proxies[pid] - before.proxies[pid] for pid in self.proxies},
            ticks=self.ticks - before.ticks,
            upstream=self.upstream - before.upstream,
            harness=self.harness - before.harness,
            load_busy=self.load_busy - before.load_busy,
            busy=self.busy - before.busy,
        )

    @property
    def ours(self) -> float:
        """What proxy, upstream, load and harness used of the processor."""
        return sum(self.proxies.values()) + self.upstream + self.harness


def at_rest(pid: int) -> Round:
    """The resident memory of the largest process of a proxy that has nothing to do."""
    time.sleep(SETTLE_SECONDS)
    return Round(memory=max(map(accounts.resident_bytes, accounts.members([pid]))))


def idle(pid: int, port: int, connections: int) -> Round:
    """What each of so many open TLS connections adds to the proxy's memory. A few that come and go before are for
    whatever a proxy makes ready at its first connection."""
    _held_open(port, FEW, lambda: 0)
    resting = accounts.shared_out_bytes(accounts.members([pid]))
    holding = _held_open(port, connections, lambda: accounts.shared_out_bytes(accounts.members([pid])))
    return Round(requests=connections, memory=(holding - resting) // connections, peak=holding)


def _held_open(port: int, connections: int, look: Callable[[], int]) -> int:
    order = json.dumps({"port": port, "connections": connections})
    process = subprocess.Popen(
        [sys.executable, "-m", "comparison.load.idle", order],
        env={**os.environ, "PYTHONPATH": str(COMPARE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        eventually(lambda: process.poll() is not None or process.stdout.readline(), GRACE_SECONDS, "all are open")  # type: ignore[union-attr]
        if process.poll() is not None:
            raise RuntimeError(f"no {connections} idle connections: see above")
        time.sleep(SETTLE_SECONDS)
        return look()
    finally:
        stop(process)
