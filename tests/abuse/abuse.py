"""A real gateway between its visitors and those who mean it harm: how the visitors fare alone, then beside hostile
clients, and what the processes hold before, meanwhile and after.

The hostile side is one process of its own (see `hostile`), the visitors are this one, the vendor is the stand-in: on a
small machine all of them share the processors with the gateway, so the times told are worse than elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.abuse.visitors import Visitors
from tests.faults.traffic import QUIET
from tests.gateway import ROOT, Gateway, eventually
from tests.soak.crowd import Account
from tests.standin import StandIn

PREFIX = "replay_gateway_"
# The counters that tell an attack from a busy day.
TOLD = ("rejected_total", "connections_cut_total", "failures_total", "tls_handshakes", "connections_")
LOOK_SECONDS = 0.25
# Until the hostile crowd is as large as it gets.
GATHERING_SECONDS = 60.0
LEAVE_SECONDS = 60.0


@dataclass(slots=True)
class Held:
    """The most that was seen: bytes of memory and descriptors of any worker, and connections of all."""

    memory: int = 0
    descriptors: int = 0
    connections: int = 0


@dataclass(slots=True)
class Result:
    """What one attack came to."""

    alone: Account
    beside: Account
    repeated: int
    lost: int  # acknowledged to a visitor and not whole at the vendor
    before: Held
    meanwhile: Held
    after: Held
    counters: dict[str, float]
    hostile: dict[str, Any]
    gateway_seconds: float  # of processor, all its processes, during the attack
    log: str = ""
    bound: float = field(init=False)

    def __post_init__(self) -> None:
        self.bound = 2 * self.alone.percentile(0.99) / 1000

    @property
    def asked(self) -> int:
        return sum(self.beside.sent.values())

    @property
    def delivered(self) -> int:
        """Answered as on any other day."""
        return sum(number for (_, status), number in self.beside.answers.items() if status // 100 == 2)

    @property
    def in_time(self) -> float:
        """The share of the visitors' requests that were delivered within twice the usual 99th percentile."""
        return sum(seconds <= self.bound for seconds in self.beside.seconds) / max(self.asked, 1)


def attack(gateway: Gateway, vendor: StandIn, *, connections: int, churn: float, rate: float, seconds: float) -> Result:
    """Visitors alone for so long, then as long beside so many hostile clients."""
    asyncio.run(_visitors(gateway, vendor, rate, 1).visit(2.0))  # the workers' first requests are dearer
    alone = asyncio.run(_visitors(gateway, vendor, rate, 2).visit(seconds))
    before, counters = held(gateway), _counters(gateway)
    meanwhile = Held()
    with _mob(gateway, connections, churn) as told:
        most_places = 0.9 * min(connections, _places(gateway))
        eventually(lambda: gateway.metric(f"{PREFIX}connections") >= most_places, GATHERING_SECONDS, "they are here")
        vendor.clear()
        busy = _processor(gateway)
        with _looking(gateway, meanwhile):
            visitors = _visitors(gateway, vendor, rate, 3)
            beside = asyncio.run(visitors.visit(seconds))
        busy = _processor(gateway) - busy
    eventually(lambda: gateway.metric(f"{PREFIX}connections") == 0, LEAVE_SECONDS, "all of them are gone")
    lost = len(beside.acknowledged - set(vendor.digests()))
    changed = {name: value - counters.get(name, 0.0) for name, value in _counters(gateway).items()}
    shown = {name.removeprefix(PREFIX): value for name, value in changed.items() if value}
    return Result(alone, beside, visitors.repeated, lost, before, meanwhile, held(gateway), shown, told, busy)


def _visitors(gateway: Gateway, vendor: StandIn, rate: float, seed: int) -> Visitors:
    return Visitors(gateway.tls_port, str(vendor.ca_file), rate, seed)


def _places(gateway: Gateway) -> float:
    """As many as find room in all workers."""
    each = gateway.config.get("limits", {}).get("connections", 10_000)
    return float(each * gateway.config["workers"])


@contextmanager
def _mob(gateway: Gateway, connections: int, churn: float) -> Iterator[dict[str, Any]]:
    """So many hostile clients; what they tell is in the dictionary after the block."""
    ports = ("--port", str(gateway.port), "--tls-port", str(gateway.tls_port))
    sizes = ("--connections", str(connections), "--churn", str(churn))
    command = [sys.executable, "-m", "tests.abuse.hostile", *ports, *sizes]
    told: dict[str, Any] = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield told
            out, _ = process.communicate(timeout=LEAVE_SECONDS)
            told.update(json.loads(out))
        finally:
            process.kill()


@contextmanager
def _looking(gateway: Gateway, most: Held) -> Iterator[None]:
    """Note the most of everything while the block runs."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            now = held(gateway)
            most.memory = max(most.memory, now.memory)
            most.descriptors = max(most.descriptors, now.descriptors)
            most.connections = max(most.connections, now.connections)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def held(gateway: Gateway) -> Held:
    """What is held now."""
    pids = gateway.worker_pids()
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    descriptors = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]
    connections = int(gateway.metric(f"{PREFIX}connections"))
    return Held(max(pages) * os.sysconf("SC_PAGE_SIZE"), max(descriptors), connections)


def _processor(gateway: Gateway) -> float:
    """Seconds of processor that the gateway has used until now."""
    ticks = 0
    for pid in (gateway.pid, *gateway.worker_pids()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _counters(gateway: Gateway) -> dict[str, float]:
    metrics = gateway.metrics()
    return {name: value for name, value in metrics.items() if name.startswith(tuple(PREFIX + each for each in TOLD))}


def run(*, connections: int, churn: float, rate: float, seconds: float, places: int, workers: int = 2) -> Result:
    """The same with a gateway and a vendor of its own; `places` is limits.connections of each worker, 0 the default."""
    settings: dict[str, Any] = {**QUIET, "limits": {"connections": places} if places else {}}
    with StandIn("--quiet") as vendor, Gateway(settings, standin=vendor, workers=workers) as gateway:
        result = attack(gateway, vendor, connections=connections, churn=churn, rate=rate, seconds=seconds)
        result.log = gateway.log_text()
    return result


def report(result: Result) -> str:
    """For people."""
    lines = [f"load of the machine now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", ""]
    for name, account in (("alone", result.alone), ("beside them", result.beside)):
        sent, answered = sum(account.sent.values()), sum(account.answers.values())
        times = f"p50 {account.percentile(0.5)} ms, p90 {account.percentile(0.9)} ms, p99 {account.percentile(0.99)} ms"
        lines.append(f"{name}: {sent} requests, {answered} answered, {times}")
        statuses: Counter[int] = Counter()
        for (_, status), number in account.answers.items():
            statuses[status] += number
        lines.append(f"  by status: {dict(sorted(statuses.items()))}; without an answer: {account.aborts}")
    share = result.delivered / max(result.asked, 1)
    lines += [
        f"delivered: {share:.2%}; within twice the usual p99 ({result.bound * 1000:.1f} ms): {result.in_time:.2%}",
        f"sent again on a new connection, as browsers do: {result.repeated}; acknowledged and lost: {result.lost}",
        "",
    ]
    for name, now in (("before", result.before), ("meanwhile", result.meanwhile), ("after", result.after)):
        memory = f"{now.memory / 1e6:.1f} MB and {now.descriptors} descriptors in the largest worker"
        lines.append(f"{name}: {memory}, {now.connections} connections")
    lines += ["", f"the gateway's processor time: {result.gateway_seconds:.1f} s", "counted meanwhile:"]
    lines += [f"  {name}: {value:.0f}" for name, value in sorted(result.counters.items())]
    lines += ["the hostile side:", *(f"  {name}: {value}" for name, value in result.hostile.items())]
    return "\n".join(lines)


def stamp() -> str:
    """When and under which load it was measured."""
    return f"{time.strftime('%Y-%m-%d %H:%M')}, load {', '.join(f'{each:.1f}' for each in os.getloadavg())}"
