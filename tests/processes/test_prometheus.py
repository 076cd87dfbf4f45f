"""Proves that a real Prometheus scrapes the gateway as it is shipped: every family arrives with its type, counters
never go backwards, even when workers are killed, and the shipped rules are evaluated on what is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway import ROOT, Gateway, eventually, free_port
from tests.processes.client import uploaded
from tests.standin import StandIn

RULES = ROOT / "config" / "prometheus"
PREFIX = "replay_gateway_"
COUNTED = ("_total", "_count", "_bucket", "_sum")


class Prometheus:
    """A server that scrapes one gateway every 200 ms and evaluates the shipped rules every second."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.port = free_port()
        config = yaml.safe_load((RULES / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES / name) for name in ("recording.yml", "alerts.yml")]
        (job,) = config["scrape_configs"]
        job["static_configs"] = [{"targets": [gateway.admin.removeprefix("http://")]}]
        job.pop("scrape_interval", None)
        job.pop("scrape_timeout", None)
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        self.log = folder / "log"
        arguments = [
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; None while it is not there."""
        query = urllib.parse.urlencode(parameters)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            assert self._process.poll() is None, self.log.read_text()
            return None

    def value(self, query: str) -> float | None:
        """The value of a query that has one; None when it has none."""
        found = self.ask("query", query=query)
        return float(found["result"][0]["value"][1]) if found and found["result"] else None


@pytest.fixture(scope="module")
def gateway(running_vendor: StandIn) -> Iterator[Gateway]:
    with Gateway(standin=running_vendor, workers=2, clean=False) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(gateway: Gateway) -> Iterator[Prometheus]:
    with tempfile.TemporaryDirectory() as folder:
        running = Prometheus(Path(folder), gateway)
        try:
            eventually(lambda: running.value("up") == 1, 30, "the gateway is scraped")
            yield running
        finally:
            running.stop()


def test_promtool_finds_nothing_to_say(gateway: Gateway) -> None:
    text = gateway.get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_family_arrives_with_its_type(gateway: Gateway, prometheus: Prometheus) -> None:
    lines = [line.split() for line in gateway.get("/metrics")[1].splitlines() if line.startswith("# TYPE")]
    told = {words[2].removesuffix("_total"): words[3] for words in lines}
    found = eventually(lambda: prometheus.ask("metadata"))
    # In OpenMetrics, which it asks for, a counter's family has no _total.
    kept = {name.removesuffix("_total"): entries[0]["type"] for name, entries in found.items()}
    assert len(told) > 40
    assert {name: kind for name, kind in kept.items() if name.startswith(PREFIX)} == {
        name: kind for name, kind in told.items() if name.startswith(PREFIX)
    }


def test_what_it_has_is_what_happened_also_when_workers_are_killed(
    gateway: Gateway, prometheus: Prometheus, vendor: StandIn
) -> None:
    delivered = f'sum({PREFIX}requests_total{{route="track",outcome="delivered"}})'
    before = prometheus.value(delivered) or 0.0
    for number in range(3):
        uploaded(gateway.port, 10)
        eventually(lambda number=number: prometheus.value(delivered) == before + 10 * (number + 1))  # type: ignore[misc]
        pid = gateway.worker_pids()[0]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: gateway.metric(f"{PREFIX}workers_ready") == 2, 30)
    eventually(lambda: prometheus.value(f"{PREFIX}worker_restarts_total") == 3)
    counters = {name.partition("{")[0] for name in gateway.metrics() if name.partition("{")[0].endswith(COUNTED)}
    assert len(counters) > 40
    assert [name for name in sorted(counters) if prometheus.value(f"resets({name}[10m]) > 0") is not None] == []


def test_the_shipped_rules_are_evaluated(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]] | None:
        groups = (prometheus.ask("rules") or {}).get("groups", [])
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if rules and all(rule["health"] != "unknown" for rule in rules) else None

    rules = eventually(evaluated, 60)
    shipped = [rule for name in ("recording.yml", "alerts.yml") for rule in _rules(RULES / name)]
    assert len(rules) == len(shipped)
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


def _rules(file: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
