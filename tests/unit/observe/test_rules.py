"""Proves that what is shipped for Prometheus names metrics and labels that there are, that each alert says what to do
where the documentation has a section for it, and that Prometheus's own tool agrees with the rules and their tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from proxy.observe.ledger import LedgerMemory
from proxy.observe.metrics import PREFIX, GatewayCollector, Processes

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "config" / "prometheus"
SEVERITIES = {"page", "ticket"}


def groups(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


RECORDED = [rule["record"] for rule in groups("recording.yml")]
ALERTS = {rule["alert"]: rule for rule in groups("alerts.yml")}


def samples() -> dict[str, set[str]]:
    """Each name that a scrape shows, and its labels."""
    registry = CollectorRegistry()
    totals = LedgerMemory.create(1).totals
    registry.register(GatewayCollector(totals, lambda: Processes(1, 1, 0, draining=False), "1", ["us"]))
    return {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}


def test_every_metric_in_a_rule_is_one() -> None:
    known = samples()
    for rule in (*groups("recording.yml"), *ALERTS.values()):
        for name in re.findall(rf"(?<![\w:]){PREFIX}\w+", rule["expr"]):
            assert name in known, f"{rule.get('alert') or rule['record']}: {name}"
        for name in re.findall(r"\w+:\w+:\w+", rule["expr"]):
            assert name in RECORDED


def test_every_label_in_a_rule_is_one() -> None:
    known = set().union(*samples().values()) | {"job", "instance"}
    for rule in (*groups("recording.yml"), *ALERTS.values()):
        expr = rule["expr"]
        named = [word for listed in re.findall(r"(?:by|on|ignoring) \(([^)]*)\)", expr) for word in listed.split(", ")]
        named += re.findall(r"(\w+)(?:=|!=|=~)\"", expr)
        assert set(named) <= known, expr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_lost_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == name.lower()
    assert f"\n### {name}\n" in (ROOT / page).read_text()


def test_every_runbook_is_of_an_alert() -> None:
    sections = re.findall(r"^### (ReplayGateway\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sections == list(ALERTS)


@pytest.mark.parametrize(
    "words",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "recording.yml", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_agrees(words: list[str]) -> None:
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
