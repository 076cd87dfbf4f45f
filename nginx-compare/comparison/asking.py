"""Which load a scenario means: from its data to a call that returns an `Outcome`, and a first look whether it passes."""

from __future__ import annotations

from pathlib import Path

from comparison.load import crowd, outcome, traffic, wrk
from comparison.load.outcome import Outcome
from comparison.peers import Running
from comparison.scenarios import PACE, Scenario

MIXED_VISITORS = 512
SEED = 7  # of the open loop's arrivals: the same at each run


def ask(scenario: Scenario, running: Running, seconds: int, rate: float, folder: Path) -> Outcome:
    """Puts the scenario's load on a system. `rate` is in requests per second, for open loops."""
    if scenario.kind == "closed":
        url = running.tls_url if scenario.tls else running.url
        visitors = MIXED_VISITORS if scenario.mixed else wrk.THREADS
        requests = [scenario.bytes(visitor) for visitor in range(visitors)]
        return wrk.load(requests, url, scenario.clients, seconds, folder, mixed=scenario.mixed)
    port = running.tls_port if scenario.tls else running.port
    order: dict[str, object] = {"port": port, "size": scenario.size, "seconds": seconds}
    if scenario.kind == "open":
        order |= {"rate": rate, "lines": scenario.clients, "seed": SEED}
        return outcome.launch("arrivals", order, seconds)
    order |= {
        "tls": scenario.tls,
        "resume": scenario.resume,
        "sessions": scenario.kind == "sessions",
        "pace": PACE,
        "clients": scenario.clients,
    }
    return outcome.launch("crowd", order, seconds)


def refusal(scenario: Scenario, running: Running) -> str:
    """Why a system can't do what the scenario asks, after asking once; "" when it can."""
    port = running.tls_port if scenario.tls else running.port
    visitor = crowd.Visitor(port, scenario.tls, resume=False)
    once = [traffic.Step(0, scenario.bytes())]
    visitor.visit(traffic.visit(19, 1e9) if scenario.kind == "sessions" else once)  # 19 is one with a large table
    return visitor.seen.errors[0] if visitor.seen.errors else ""
