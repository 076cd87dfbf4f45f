"""A soak: phases of steady traffic with faults at the vendor, a reload in the middle of each, and after each an account
to the request and a look at what the processes hold.

    python -m tests.soak.soak --seconds 3600 --phase 300

Prints a line for each phase. Exit code 1 when anything was lost, counted wrong, or grew from the first third to the
last one. Times are told and never judged: machines are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.traffic import QUIET, assert_idle, resident
from tests.gateway import Gateway, eventually, merged
from tests.soak.crowd import Account, Crowd
from tests.standin import StandIn

PREFIX = "replay_gateway_"
CAPACITY_SECONDS = 5.0
SHARE = 0.7  # of the capacity that this machine has with these clients and this vendor on it
# Two requests in a hundred meet one of them.
FAULTS: list[dict[str, Any]] = [
    {"match": {"method": "POST", "probability": 0.005}, "action": "reset_before_answer"},
    {"match": {"method": "POST", "probability": 0.005}, "action": "close_before_answer"},
    {"match": {"method": "POST", "probability": 0.005}, "action": "status", "code": 503},
    {"match": {"method": "POST", "probability": 0.005}, "action": "truncate", "length": 5000},
]
# What may be more in the last third than in the first one after the warm-up, per process.
MEMORY_GROWTH = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Phase:
    """What was seen in one: requests, their times in ms, and per process (by its role) bytes of memory, descriptors and
    threads when all clients had left."""

    requests: int
    p50: float
    p99: float
    memory: dict[str, int]
    descriptors: dict[str, int]
    threads: dict[str, int]
    wrong: tuple[str, ...]


class Soak:
    """A running gateway and its vendor, under so large a share of what the machine carries."""

    def __init__(self, gateway: Gateway, vendor: StandIn, share: float) -> None:
        self._gateway = gateway
        self._vendor = vendor
        self._share = share
        self._seed = 0
        self.rate = 0.0

    def warm_up(self) -> None:
        """Find the rate: a share of what can be had."""
        account = asyncio.run(Crowd(self._gateway.port, 0.0, 0).visit(CAPACITY_SECONDS))
        self.rate = self._share * sum(account.sent.values()) / CAPACITY_SECONDS

    def phase(self, seconds: float) -> Phase:
        """So many seconds of traffic, a reload in the middle, and the account."""
        self._vendor.clear()
        self._vendor.behave(*FAULTS)
        self._seed += 1
        before = self._gateway.metrics()
        hang_up = threading.Timer(seconds / 2, self._reload)
        hang_up.start()
        account = asyncio.run(Crowd(self._gateway.port, self.rate, self._seed).visit(seconds))
        hang_up.join()
        assert_idle(self._gateway, 30.0)
        # How many of these there are says how busy the last seconds were; descriptors are counted without them.
        eventually(lambda: not self._gateway.metrics()[f"{PREFIX}upstream_connections"], 30.0, "idle ones are closed")
        wrong = (*account.faults[:3], *self._differences(account, before))
        seen = self._processes()
        return Phase(
            sum(account.sent.values()),
            account.percentile(0.5),
            account.percentile(0.99),
            {role: resident([pid]) for role, pid in seen.items()},
            {role: len(list(Path(f"/proc/{pid}/fd").iterdir())) for role, pid in seen.items()},
            {role: len(list(Path(f"/proc/{pid}/task").iterdir())) for role, pid in seen.items()},
            wrong,
        )

    def _reload(self) -> None:
        """Another limit by turns, so that there is something to apply."""
        changed = {"limits": {"body": f"{8 + self._seed % 2}MiB"}}
        self._gateway.config_file.write_text(json.dumps(merged(self._gateway.config, changed)))
        self._gateway.send_signal(signal.SIGHUP)

    def _differences(self, account: Account, before: dict[str, float]) -> list[str]:
        """What the gateway's account, the clients', the vendor's and the archive's don't agree on."""
        sent = sum(account.sent.values())

        def more(name: str, **labels: str) -> int:
            wanted = {f'{key}="{value}"' for key, value in labels.items()}
            after = self._gateway.metrics()
            names = [each for each in after if each.partition("{")[0] == PREFIX + name]
            fitting = [each for each in names if all(label in each for label in wanted)]
            return int(sum(after[each] - before.get(each, 0.0) for each in fitting))

        eventually(lambda: more("requests_total") >= sent, 30.0, "all requests are counted")
        wrong = []
        if more("requests_total") != sent:
            wrong.append(f"{sent} requests were sent, {more('requests_total')} counted")
        answered = Counter({f"{status // 100}xx": 0 for _, status in account.answers})
        for (_, status), number in account.answers.items():
            answered[f"{status // 100}xx"] += number
        counted = {status: more("answers_total", status=status) for status in answered}
        # An answer that was cut is counted with the status that went out before.
        if sum(counted.values()) - account.aborts > answered.total() or any(
            counted[status] < number for status, number in answered.items()
        ):
            wrong.append(f"answered {dict(answered)} and {account.aborts} cut, counted {counted}")
        digests = self._vendor.digests()
        arrived, complete = set(digests), sum(site["complete"] for site in self._vendor.counts().values())
        if len(digests) != complete:
            wrong.append(f"the vendor remembers {len(digests)} of {complete} requests: make phases shorter")
        lost = account.acknowledged - arrived
        if lost:
            wrong.append(f"{len(lost)} uploads were acknowledged and did not arrive whole")
        if more("reloads_total", result="applied") != 1:
            wrong.append("the reload was not applied")
        if more("worker_restarts_total"):
            wrong.append("a worker was restarted")
        return wrong + self._archive_differences()

    def _archive_differences(self) -> list[str]:
        def is_settled() -> bool:
            seen = self._gateway.metrics()
            offered = seen[f"{PREFIX}spool_offered_total"]
            return offered == seen[f"{PREFIX}archived_total"] and not seen[f"{PREFIX}archive_pending"]

        try:
            eventually(is_settled, 60.0)
        except AssertionError:
            seen = {
                name: value for name, value in self._gateway.metrics().items() if "archive" in name or "spool" in name
            }
            return [f"not every upload is in the archive: { ({name: value for name, value in seen.items() if value}) }"]
        return []

    def _processes(self) -> dict[str, int]:
        workers = {f"worker {number}": pid for number, pid in enumerate(self._gateway.worker_pids())}
        (archiver,) = self._gateway.archiver_pids()
        return {"supervisor": self._gateway.pid, **workers, "archiver": archiver}


def growth(phases: list[Phase]) -> list[str]:
    """What the processes hold more of in the last third than in the first, the first phase left out."""
    settled = phases[1:]
    third = max(len(settled) // 3, 1)
    first, last = settled[:third], settled[-third:]
    found = []
    for role in phases[-1].memory:
        grown = max(each.memory[role] for each in last) - max(each.memory[role] for each in first)
        if grown > MEMORY_GROWTH:
            found.append(f"{role}: {grown / 1e6:.1f} MB more memory")
        for what in ("descriptors", "threads"):
            one, other = (max(getattr(each, what)[role] for each in some) for some in (first, last))
            if other > one:
                found.append(f"{role}: {one} {what}, then {other}")
    return found


def soak(seconds: float, phase: float, share: float = SHARE) -> tuple[list[Phase], list[str]]:
    """Run it; the phases, and everything that is wrong."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name, StandIn("--quiet") as vendor:
        folder = Path(name)
        archive = {
            "directory": str(folder / "archive"),
            "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0},
            "rotate": {"seconds": 5},
        }
        settings = {**QUIET, "breaker": {"failures": 0}, "timeouts": {"upstream_idle": "2s"}, "archive": archive}
        with Gateway(settings, standin=vendor, workers=2) as gateway:
            running = Soak(gateway, vendor, share)
            running.warm_up()
            print(f"{running.rate:.0f} requests per second", flush=True)
            phases = []
            for number in range(max(int(seconds / phase), 2)):
                phases.append(running.phase(phase))
                print(told(number, phases[-1]), flush=True)
    wrong = [f"phase {number}: {each}" for number, one in enumerate(phases) for each in one.wrong]
    return phases, [*wrong, *growth(phases)]


def told(number: int, phase: Phase) -> str:
    """A phase in a line."""
    memory = ", ".join(f"{role} {size / 1e6:.1f}" for role, size in phase.memory.items())
    held = f"{sum(phase.descriptors.values())} descriptors, {sum(phase.threads.values())} threads"
    times = f"p50 {phase.p50} ms, p99 {phase.p99} ms"
    return "; ".join((f"{number}: {phase.requests} requests", times, f"MB {memory}", held, *phase.wrong))


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="The gateway under its usual traffic for a long time.")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--phase", type=float, default=300.0, help="seconds from one reload to the next")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended too
    _, wrong = soak(arguments.seconds, arguments.phase)
    print("\n".join(wrong) or "nothing was lost, counted wrong, or grew")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
