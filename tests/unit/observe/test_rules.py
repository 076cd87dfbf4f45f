"""Proves that what is shipped for Prometheus and Grafana names metrics and labels that there are, that each alert has
its section in the documentation, and that Prometheus's own tool agrees with rules, tests and queries."""

from __future__ import annotations

import json
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
# For a question that one asks once: on /metrics, on no dashboard.
BY_CHOICE = {
    "answers_total",
    "archive_damaged_total",
    "archive_dropped_bytes_total",
    "archive_found_total",
    "archive_last_stored_timestamp_seconds",
    "archive_object_bytes_total",
    "archive_objects_total",
    "archived_bytes_total",
    "breaker_opened_total",
    "breakers_open",
    "build_info",
    "config_coalesced_total",
    "foreign_served_total",
    "tokens_advised_total",
    "config_stored_total",
    "connections_accepted_total",
    "log_lines_dropped_total",
    "requests_retried_total",
    "spool_answers_late_total",
    "spool_offered_bytes_total",
    "spool_outcomes_lost_total",
    "spool_sealed_segments",
    "spool_segments_total",
    "spool_written_bytes_total",
    "spool_written_total",
    "token_keys_fetch_failures_total",
    "tls_handshakes_begun_total",
    "tls_handshakes_completed_total",
    "upstream_reused_total",
    "upstream_unsolicited_total",
    "worker_starts_total",
}


def groups(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


RECORDED = [rule["record"] for rule in groups("recording.yml")]
ALERTS = {rule["alert"]: rule for rule in groups("alerts.yml")}


def samples() -> dict[str, set[str]]:
    """Each name that a scrape shows, and its labels."""
    registry = CollectorRegistry()
    totals = LedgerMemory.create(1).totals
    processes = Processes(1, 1, 0, draining=False, certificates={"0.0.0.0:8443": 0.0}, keys_fetched_at=0.0)
    registry.register(GatewayCollector(totals, lambda: processes, "1", ["us"]))
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


def queries() -> list[str]:
    """Of all panels of the dashboard."""
    dashboard = json.loads((ROOT / "config" / "grafana" / "replay-gateway.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_every_query_of_the_dashboard_names_metrics_and_labels_that_there_are() -> None:
    known = samples()
    for expr in queries():
        for name, matchers in re.findall(rf"({PREFIX}\w+)\{{([^}}]*)\}}", expr):
            assert name in known, expr
            named = set(re.findall(r"(\w+)(?:=~|=)\"", matchers))
            assert named <= known[name] | {"job", "instance"}, expr
        for listed in re.findall(r"by \(([^)]*)\)", expr):
            assert set(listed.split(", ")) <= set().union(*known.values()) | {"instance"}, expr


def test_every_family_is_in_an_alert_or_on_the_dashboard_or_left_out_by_choice() -> None:
    text = "\n".join((*queries(), *(rule["expr"] for rule in (*groups("recording.yml"), *ALERTS.values()))))
    shown = set(re.findall(rf"{PREFIX}\w+", text))
    families = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in samples()}
    missing = {name for name in families if not any(each.startswith(name) for each in shown)}
    assert {name.removeprefix(PREFIX) for name in missing if not name.endswith("_created")} == BY_CHOICE


def test_prometheus_can_parse_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}:x", "expr": expr.replace("$__rate_interval", "5m")}
        for number, expr in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
