"""One round: the account of a proxy's processes before and after a load, as a `Round`.

It must not know which proxy it looks at, and the load does not know that it is looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from comparison import COMPARE, accounts, machine
from comparison.load.outcome import GRACE_SECONDS, Outcome
from comparison.machine import Cores
from comparison.results import Round
from tests.gateway import eventually

FEW = 10
SETTLE_SECONDS = 0.5  # for what a proxy does a moment after its connections came or went


def loaded(pids: Iterable[int], upstream: Iterable[int], cores: Cores, load: Callable[[], Outcome]) -> Round:
    """What `load` cost the processes of the proxy and those of the upstream, with all below them."""
    proxies, upstreams = accounts.members(pids), accounts.members(upstream)
    accounts.forget_peak(proxies)
    before, ticks, behind = _account(proxies, upstreams)
    stolen = machine.stolen_seconds()
    found = load()
    after, ticks_after, behind_after = _account(proxies, upstreams)
    used = {pid: after[pid] - before[pid] for pid in proxies}
    micros = 1e6 / max(found.requests, 1)
    return Round(
        requests=found.requests,
        errors=found.errors,
        first_error=found.first_error,
        per_second=found.requests / found.seconds,
        cpu_us=sum(used.values()) * micros,
        busiest_us=max(used.values(), default=0.0) * micros,
        ticks_us=(ticks_after - ticks) * micros,
        p50=found.p50,
        p99=found.p99,
        p999=found.p999,
        peak=accounts.peak_bytes(proxies),
        proxy_use=sum(used.values()) / found.seconds / len(cores.proxy),
        load_use=(found.cpu + behind_after - behind) / found.seconds / len(cores.load),
        stolen=(machine.stolen_seconds() - stolen) / found.seconds,
        resumed=found.resumed,
    )


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
        text=True,
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
        process.communicate(timeout=GRACE_SECONDS)


def _account(proxies: list[int], upstreams: list[int]) -> tuple[dict[int, float], float, float]:
    behind = sum(accounts.cpu_seconds(upstreams).values())
    return accounts.cpu_seconds(proxies), accounts.tick_seconds(proxies), behind
