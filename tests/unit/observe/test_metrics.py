"""Proves that every count is shown under a documented name, that both text formats are valid, that labels stay closed,
and that the figures of a request agree with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxy.model.cut import Cut
from proxy.model.failure import FAILURES, FailureKind
from proxy.model.record import Outcome
from proxy.model.verdict import Reason, Route
from proxy.observe.ledger import EDGES, METHODS, MOST_REGIONS, SIZES, Counter, Gauge, Ledger, LedgerMemory, Mark
from proxy.observe.metrics import COUNTERS, GAUGES, PREFIX, GatewayCollector, Processes
from tests.unit.observe.records import record

REGIONS = ("us", "eu")


class Scrape:
    """A registry over one row, and what a scrape of it shows."""

    def __init__(self) -> None:
        self.memory = LedgerMemory.create(2)
        self.ledger = Ledger(self.memory.rows[0], REGIONS)
        self.processes = Processes(workers=2, ready=1, restarts=3, draining=False)
        self.registry = CollectorRegistry()
        self.registry.register(GatewayCollector(self.memory.totals, lambda: self.processes, "1.2.3", REGIONS))

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(PREFIX + name, labels)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def scrape() -> Iterator[Scrape]:
    made = Scrape()
    yield made
    made.memory.close()


def test_a_delivered_upload_is_shown_everywhere(scrape: Scrape) -> None:
    scrape.ledger.record(record(reused=True))
    assert scrape.value("requests_total", route="track", outcome="delivered") == 1
    assert scrape.value("answers_total", route="track", method="POST", status="2xx") == 1
    assert scrape.value("upstream_reused_total", route="track") == 1
    assert scrape.value("requests_retried_total", route="track") == 0
    assert scrape.value("received_body_bytes_total", route="track") == 2000
    assert scrape.value("sent_body_bytes_total", route="track") == 12
    assert scrape.value("request_duration_seconds_count", route="track") == 1
    assert scrape.value("request_duration_seconds_sum", route="track") == pytest.approx(0.123, abs=1e-5)
    assert scrape.value("upstream_duration_seconds_sum", route="track") == pytest.approx(0.1, abs=1e-5)


def test_buckets_are_cumulative(scrape: Scrape) -> None:
    for milliseconds in (0.5, 3, 3, 600, 60_000):
        scrape.ledger.record(record(ended=1000 + milliseconds / 1000))
    buckets = [scrape.value("request_duration_seconds_bucket", route="track", le=str(edge)) for edge in EDGES]
    assert buckets == [1, 1, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]
    assert scrape.value("request_duration_seconds_bucket", route="track", le="+Inf") == 5


def test_a_rejection_is_shown_with_its_reason_and_without_a_route(scrape: Scrape) -> None:
    scrape.ledger.record(record(route=None, outcome=Outcome.REJECTED, reason=Reason.UNKNOWN_PATH, status=404))
    assert scrape.value("rejected_total", reason="unknown_path") == 1
    assert scrape.value("requests_total", route="none", outcome="rejected") == 1
    assert scrape.value("answers_total", route="none", method="POST", status="4xx") == 1


def test_a_failure_is_shown_with_its_kind_and_side(scrape: Scrape) -> None:
    scrape.ledger.record(record(outcome=Outcome.FAILED, failure=FailureKind.UPSTREAM_TIMEOUT, status=504, retried=True))
    assert scrape.value("failures_total", kind="upstream_timeout", source="upstream") == 1
    assert scrape.value("requests_retried_total", route="track") == 1


def test_data_that_the_vendor_threw_away_is_shown_by_its_code(scrape: Scrape) -> None:
    for code in (429, 4005, 777):
        scrape.ledger.record(record(outcome=Outcome.SKIPPED, skipped_code=code))
    shown = [scrape.value("skipped_total", code=code) for code in ("429", "4004", "4005", "other")]
    assert shown == [1, 0, 1, 1]


def test_upstreams_are_shown_by_region(scrape: Scrape) -> None:
    scrape.ledger.record(record(region="eu", route=Route.CONFIG, upstream_status=503, status=503))
    scrape.ledger.breaker("eu", Route.CONFIG, is_open=True)
    shown = {region: scrape.value("breaker_open", region=region, route="config") for region in REGIONS}
    assert shown == {"us": 0, "eu": 1}
    assert scrape.value("upstream_answers_total", region="eu", route="config", status="5xx") == 1
    assert scrape.value("upstream_answers_total", region="us", route="config", status="5xx") == 0


def test_a_connection_that_could_not_be_made_is_shown_with_its_kind(scrape: Scrape) -> None:
    scrape.ledger.connect_failed(FailureKind.TLS)
    assert scrape.value("upstream_connect_failures_total", kind="tls") == 1
    assert scrape.value("upstream_connect_failures_total", kind="resolve") == 0


def test_a_connection_that_was_ended_before_its_time_is_shown_with_its_reason(scrape: Scrape) -> None:
    scrape.ledger.cut(Cut.HANDSHAKE)
    assert scrape.value("connections_cut_total", reason="handshake") == 1
    assert scrape.value("connections_cut_total", reason="idle") == 0


def test_where_configurations_come_from_is_shown(scrape: Scrape) -> None:
    for outcome in (Outcome.DELIVERED, Outcome.DELIVERED, Outcome.STALE, Outcome.FAILED):
        scrape.ledger.record(record(route=Route.CONFIG, outcome=outcome))
    scrape.ledger.mark(Mark.CONFIG_LIVE_MS, 1_764_000_000_500)
    assert scrape.value("config_answers_total", source="live") == 2
    assert scrape.value("config_answers_total", source="stale") == 1
    assert scrape.value("config_last_live_timestamp_seconds") == 1_764_000_000.5


def test_the_keys_of_tokens_are_shown_where_they_are_fetched(scrape: Scrape) -> None:
    names = ("token_keys_fetch_failures_total", "token_keys_last_success_timestamp_seconds")
    assert [scrape.value(name) for name in names] == [None, None]
    scrape.processes = replace(scrape.processes, key_failures=2, keys_fetched_at=0.0)
    assert [scrape.value(name) for name in names] == [2, 0]
    scrape.processes = replace(scrape.processes, keys_fetched_at=1_764_000_000.5)
    assert [scrape.value(name) for name in names] == [2, 1_764_000_000.5]


def test_sizes_and_lag_are_shown(scrape: Scrape) -> None:
    scrape.ledger.record(record(received_bytes=5000))
    scrape.ledger.lag(0.2)
    buckets = [scrape.value("request_body_bytes_bucket", route="track", le=str(edge)) for edge in SIZES]
    assert buckets == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert scrape.value("request_body_bytes_sum", route="track") == 5000
    assert scrape.value("event_loop_lag_seconds_bucket", le="0.1") == 0
    assert scrape.value("event_loop_lag_seconds_bucket", le="0.25") == 1


def test_a_refused_preflight_is_told_from_other_refusals(scrape: Scrape) -> None:
    refused = record(route=None, outcome=Outcome.REJECTED, reason=Reason.UNKNOWN_PATH, status=404)
    scrape.ledger.record(refused)
    refused.method = b"OPTIONS"
    scrape.ledger.record(refused)
    assert scrape.value("preflights_refused_total") == 1
    assert scrape.value("rejected_total", reason="unknown_path") == 2


def test_regions_that_are_too_many_are_shown_as_one(scrape: Scrape) -> None:
    names = [f"region-{number:02}" for number in range(MOST_REGIONS + 2)]
    registry = CollectorRegistry()
    registry.register(GatewayCollector(scrape.memory.totals, lambda: scrape.processes, "1.2.3", names))
    Ledger(scrape.memory.rows[1], names).record(record(region=names[-1]))
    text = generate_latest(registry).decode()
    assert text.count("replay_gateway_breaker_open{") == 2 * MOST_REGIONS
    assert 'replay_gateway_upstream_answers_total{region="other",route="track",status="2xx"} 1.0' in text


def test_an_aborted_answer_is_shown_as_such(scrape: Scrape) -> None:
    scrape.ledger.record(record(outcome=Outcome.CLIENT_GONE, failure=FailureKind.CLIENT_GONE, status=0))
    assert scrape.value("answers_total", route="track", method="POST", status="none") == 1


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        (b"GET", "GET"),
        (b"HEAD", "HEAD"),
        (b"POST", "POST"),
        (b"OPTIONS", "OPTIONS"),
        (b"PUT", "other"),
        (b"get", "other"),
        (b"", "other"),
    ],
)
def test_a_method_is_one_of_few(scrape: Scrape, method: bytes, shown: str) -> None:
    scrape.ledger.record(record(method=method))
    for other in METHODS:
        assert scrape.value("answers_total", route="track", method=other, status="2xx") == (other == shown)


@pytest.mark.parametrize("counter", list(Counter))
def test_every_counter_is_shown(scrape: Scrape, counter: Counter) -> None:
    scrape.ledger.count(counter, 3)
    assert scrape.value(f"{counter.name.lower()}_total") == 3


@pytest.mark.parametrize("gauge", list(Gauge))
def test_every_gauge_is_shown(scrape: Scrape, gauge: Gauge) -> None:
    scrape.ledger.gauge(gauge, 3)
    assert scrape.value(gauge.name.lower()) == 3


def test_every_counter_and_gauge_is_explained() -> None:
    assert list(COUNTERS) == list(Counter)
    assert list(GAUGES) == list(Gauge)


def test_processes_and_build_are_shown(scrape: Scrape) -> None:
    assert scrape.value("workers") == 2
    assert scrape.value("workers_ready") == 1
    assert scrape.value("worker_restarts_total") == 3
    assert scrape.value("draining") == 0
    assert scrape.value("build_info", version="1.2.3") == 1


def test_draining_is_shown(scrape: Scrape) -> None:
    scrape.processes = Processes(workers=2, ready=2, restarts=0, draining=True)
    assert scrape.value("draining") == 1


def test_every_series_is_there_before_anything_happened(scrape: Scrape) -> None:
    """A counter that first appears with its first failure makes rate() miss that failure."""
    assert all(scrape.value("rejected_total", reason=reason.value) == 0 for reason in Reason)
    assert all(
        scrape.value("failures_total", kind=kind.value, source=FAILURES[kind].source.value) == 0 for kind in FailureKind
    )
    for route in ("track", "config", "none"):
        assert all(scrape.value("requests_total", route=route, outcome=outcome.value) == 0 for outcome in Outcome)


def test_the_number_of_series_does_not_grow_with_traffic(scrape: Scrape) -> None:
    before = len(scrape.text().splitlines())
    for number in range(50):
        scrape.ledger.record(record(region=f"region-{number}", request_id=b"%d" % number, skipped_code=number))
    assert len(scrape.text().splitlines()) == before


def test_names_follow_the_conventions(scrape: Scrape) -> None:
    for family in scrape.registry.collect():
        assert family.name.startswith(PREFIX)
        assert re.fullmatch(r"[a-z][a-z_]+[a-z]", family.name)
        assert family.documentation.endswith(".")
        assert not family.name.endswith("_total")
        for sample in family.samples:
            assert family.type != "counter" or sample.name.endswith("_total")


def test_no_two_families_share_a_name(scrape: Scrape) -> None:
    names = [family.name for family in scrape.registry.collect()]
    assert len(names) == len(set(names))


def test_both_text_formats_can_be_parsed(scrape: Scrape) -> None:
    scrape.ledger.record(record())
    plain = {family.name for family in parse_text(scrape.text())}
    openmetrics = generate_openmetrics(scrape.registry).decode()  # type: ignore[no-untyped-call]
    strict = {family.name for family in parse_openmetrics(openmetrics)}  # type: ignore[no-untyped-call]
    assert plain == strict
    assert openmetrics.endswith("# EOF\n")


def test_outcomes_answers_and_durations_agree(scrape: Scrape) -> None:
    for outcome in Outcome:
        scrape.ledger.record(record(outcome=outcome, status=500))
    outcomes = sum(scrape.value("requests_total", route="track", outcome=each.value) or 0 for each in Outcome)
    answers = sum(
        scrape.value("answers_total", route="track", method="POST", status=status) or 0
        for status in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
    )
    assert outcomes == answers == scrape.value("request_duration_seconds_count", route="track") == len(Outcome)
