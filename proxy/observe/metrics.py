"""All metrics, in one file: names, help texts, labels, and where each value comes from.

Nothing is counted here: a scrape adds up the ledger's rows. Labels are members of closed enumerations only, so the
number of series is known beforehand. Durations are in seconds, sizes in bytes, counters end in `_total`. Names are a
promise to operators: see the documentation before changing one.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from proxy.model.failure import FAILURES
from proxy.model.record import Outcome
from proxy.model.verdict import Route
from proxy.observe.ledger import (
    EDGES,
    METHODS,
    ROUTES,
    SIZES,
    STATUSES,
    Counter,
    Gauge,
    Histogram,
    Mark,
    RouteTotals,
    Totals,
    places_of,
)

PREFIX = "replay_gateway_"

# The name of the metric is the name of the member.
COUNTERS: dict[Counter, str] = {
    Counter.CONNECTIONS_ACCEPTED: "Client connections accepted.",
    Counter.CONNECTIONS_REFUSED: "Client connections refused at limits.connections or limits.connections_per_ip.",
    Counter.TLS_HANDSHAKES_BEGUN: "Connections accepted on TLS listeners: TLS handshakes with clients that began.",
    Counter.TLS_HANDSHAKES_COMPLETED: "TLS handshakes with clients that succeeded.",
    Counter.TLS_HANDSHAKES_FAILED: "Those that failed because of what the client sent, or because it left.",
    Counter.TLS_HANDSHAKES_TIMED_OUT: "Those that were not over after timeouts.tls_handshake.",
    Counter.UNKNOWN_CORS_HEADERS: "Preflights that asked for a header not allowed; see cors.allow_headers.",
    Counter.UPSTREAM_CONNECTS: "Connections to upstreams attempted.",
    Counter.UPSTREAM_UNSOLICITED: "Idle upstream connections dropped because unasked bytes came.",
    Counter.BREAKER_OPENED: "Times that a breaker opened because an upstream could not be reached.",
    Counter.PREFLIGHTS_REFUSED: "Preflights that were not granted; see replay_gateway_rejected_total for the reason.",
    Counter.CONFIG_COALESCED: "Configuration requests answered together with another for the same key.",
    Counter.CONFIG_STORED: "Configuration answers kept as the last known good one.",
    Counter.LOG_LINES_DROPPED: "Log lines dropped because standard error was not read fast enough.",
    Counter.WORKER_STARTS: "Worker processes that began to serve.",
    Counter.TOKENS_ADVISED: "Requests let in without a good token, because jwt.mode is advisory.",
    Counter.FOREIGN_SERVED: "Requests of pages that cors.allow_origins does not name, served all the same.",
    Counter.SPOOL_OFFERED: "Uploads for the archive; each is archived, in the spool, dropped or damaged.",
    Counter.SPOOL_OFFERED_BYTES: "Bytes of their bodies as they came over the wire.",
    Counter.SPOOL_WRITTEN: "Uploads written to the spool.",
    Counter.SPOOL_WRITTEN_BYTES: "Bytes of their bodies.",
    Counter.SPOOL_SEGMENTS: "Segments begun in the spool.",
    Counter.SPOOL_SYNC_FAILURES: "Segments that the disk would not promise to keep.",
    Counter.SPOOL_OUTCOMES_LOST: "Uploads in the archive that will not say what became of them.",
    Counter.SPOOL_ANSWERS_LATE: "Answers sent before the upload was on the disk, because that took too long.",
    Counter.ARCHIVED: "Uploads that are in the store.",
    Counter.ARCHIVED_BYTES: "Bytes of their bodies as they came over the wire.",
    Counter.ARCHIVE_FOUND: "Uploads that were in the spool before this start, counted when they are archived.",
    Counter.ARCHIVE_DAMAGED: "Uploads that were in the spool and could not be read again.",
    Counter.ARCHIVE_DAMAGED_SEGMENTS: "Segments that were damaged and are kept in the spool for a look at them.",
    Counter.ARCHIVE_OBJECTS: "Data objects stored.",
    Counter.ARCHIVE_OBJECT_BYTES: "Bytes of data and index objects stored.",
    Counter.ARCHIVE_UPLOAD_FAILURES: "Calls of the store that failed; all are tried again.",
}
GAUGES: dict[Gauge, str] = {
    Gauge.CONNECTIONS: "Client connections open now, those in their TLS handshake or about to be closed included.",
    Gauge.EXCHANGES: "Requests in hand now, those whose client has left included.",
    Gauge.INFLIGHT_BYTES: "Bytes of bodies held in memory now; each worker may hold limits.inflight_bytes.",
    Gauge.UPSTREAM_CONNECTIONS: "Connections to upstreams open now, idle ones included.",
    Gauge.UPSTREAM_IDLE: "Connections to upstreams kept for reuse now.",
    Gauge.BREAKERS_OPEN: "Breakers open now, counted per worker and upstream.",
    Gauge.SPOOL_QUEUE_BYTES: "Bytes of uploads held for the spool now; each worker may hold archive.spool.queue_bytes.",
    Gauge.SPOOL_SEALED_SEGMENTS: "Segments that wait for the store.",
    Gauge.SPOOL_OLDEST_SECONDS: "How long the oldest of them has waited.",
    Gauge.SPOOL_FULL: "Workers that can write nothing more into the spool now.",
}


@dataclass(frozen=True, slots=True)
class Processes:
    """What the supervisor knows of its workers: how many there should be, how many are ready, how often one was
    started again, whether the gateway is shutting down; how often a reload ended in which way, whether the latest was
    applied, and when one was, in Unix seconds (the start counts as one); when the certificates in use end, by the
    address that they are shown at; and how often fetching the keys of tokens failed, and when it did not last, in Unix
    seconds (None: none are fetched, 0: not yet)."""

    workers: int
    ready: int
    restarts: int
    draining: bool
    reloads: Mapping[str, int] = field(default_factory=dict)
    is_reload_applied: bool = True
    reload_applied_at: float = 0.0
    certificates: Mapping[str, float] = field(default_factory=dict)
    key_failures: int = 0
    keys_fetched_at: float | None = None


class GatewayCollector(Collector):
    """For a registry of prometheus-client: everything, worked out when asked for."""

    def __init__(
        self,
        totals: Callable[[], Totals],
        processes: Callable[[], Processes],
        version: str,
        regions: Iterable[str] = (),
    ) -> None:
        """`regions` are the names of the configuration."""
        self._regions = places_of(regions)
        self._totals = totals
        self._processes = processes
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Every metric once."""
        totals = self._totals()
        yield from _of_processes(self._processes(), self._version)
        yield from _of_routes({_label(route): totals.route(route) for route in ROUTES})
        yield from _of_causes(totals)
        yield from _of_regions(self._regions, totals)
        yield from _of_config(totals)
        yield from _of_archive(totals)
        for counter, text in COUNTERS.items():
            yield CounterMetricFamily(PREFIX + counter.name.lower(), text, totals.of(counter))
        for gauge, text in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + gauge.name.lower(), text, totals.of(gauge))


def _label(route: Route | None) -> str:
    return "none" if route is None else route.value


def _of_processes(processes: Processes, version: str) -> Iterator[Metric]:
    yield GaugeMetricFamily(PREFIX + "workers", "Worker processes wanted.", processes.workers)
    yield GaugeMetricFamily(PREFIX + "workers_ready", "Worker processes ready to serve.", processes.ready)
    yield GaugeMetricFamily(PREFIX + "draining", "1 while the gateway is shutting down.", int(processes.draining))
    yield CounterMetricFamily(
        PREFIX + "worker_restarts", "Worker processes started again after one ended.", processes.restarts
    )
    results = (((result,), count) for result, count in processes.reloads.items())
    yield _counter("reloads", "Reloads of the configuration, by how they ended.", ("result",), results)
    yield GaugeMetricFamily(
        PREFIX + "config_last_reload_successful", "1 unless the latest reload failed.", int(processes.is_reload_applied)
    )
    yield GaugeMetricFamily(
        PREFIX + "config_last_reload_success_timestamp_seconds",
        "When the configuration in use was applied: at the start or by a reload.",
        processes.reload_applied_at,
    )
    name, text = PREFIX + "certificate_not_after_timestamp_seconds", "When a listener's certificate expires."
    ends = GaugeMetricFamily(name, text, labels=("listener",))
    for listener, not_after in processes.certificates.items():
        ends.add_metric((listener,), not_after)
    yield ends
    if processes.keys_fetched_at is not None:
        yield CounterMetricFamily(
            PREFIX + "token_keys_fetch_failures",
            "Fetches of jwt.jwks_url that brought no keys; the last good ones stay in use.",
            processes.key_failures,
        )
        yield GaugeMetricFamily(
            PREFIX + "token_keys_last_success_timestamp_seconds",
            "When jwt.jwks_url gave good keys last; 0: never since the start.",
            processes.keys_fetched_at,
        )
    build = GaugeMetricFamily(PREFIX + "build_info", "Always 1; the version is a label.", labels=("version",))
    build.add_metric((version,), 1)
    yield build


def _of_routes(routes: Mapping[str, RouteTotals]) -> Iterator[Metric]:
    yield _counter(
        "requests",
        "Requests that ended, by how they ended. Every request received is counted exactly once.",
        ("route", "outcome"),
        _per_route(routes, lambda way: way[0].value),
    )
    yield _counter(
        "answers",
        "The same requests by method and by the status sent to the client; none: nothing was sent.",
        ("route", "method", "status"),
        _by_method(routes),
    )
    yield _counter("upstream_reused", "Requests sent on a reused upstream connection.", ("route",), _marked(routes, 2))
    yield _counter("requests_retried", "Requests sent to the upstream twice.", ("route",), _marked(routes, 3))
    received = (((route,), totals.received_bytes) for route, totals in routes.items())
    yield _counter("received_body_bytes", "Bytes of request bodies received from clients.", ("route",), received)
    sent = (((route,), totals.sent_bytes) for route, totals in routes.items())
    yield _counter("sent_body_bytes", "Bytes of answer bodies sent to clients.", ("route",), sent)
    durations = {route: totals.duration for route, totals in routes.items()}
    yield _histogram("request_duration_seconds", "From a request's first byte to its end.", durations)
    upstream = {route: totals.upstream for route, totals in routes.items()}
    yield _histogram(
        "upstream_duration_seconds", "The part of it after an upstream connection was given the request.", upstream
    )
    sizes = {route: totals.size for route, totals in routes.items()}
    yield _histogram("request_body_bytes", "Bytes of a request's body.", sizes, SIZES)


def _of_causes(totals: Totals) -> Iterator[Metric]:
    reasons = (((reason.value,), count) for reason, count in totals.reasons().items())
    yield _counter("rejected", "Requests refused by choice, by reason.", ("reason",), reasons)
    failures = (((kind.value, FAILURES[kind].source.value), count) for kind, count in totals.failures().items())
    yield _counter(
        "failures", "What broke while requests were carried, and on whose side.", ("kind", "source"), failures
    )
    cuts = (((why.value,), count) for why, count in totals.cuts().items())
    yield _counter("connections_cut", "Client connections ended before their time, by why.", ("reason",), cuts)
    skipped = ((("other" if code == 0 else str(code),), count) for code, count in totals.skipped().items())
    yield _counter("skipped", "Uploads answered 200 whose data the vendor threw away, by its code.", ("code",), skipped)


def _of_regions(names: tuple[str, ...], totals: Totals) -> Iterator[Metric]:
    answers, open_now = [], []
    for (index, region), route in product(enumerate(names), Route):
        found = totals.region(index, route)
        labels = (region, route.value)
        answers += [((*labels, status), count) for status, count in zip(STATUSES, found.answers, strict=True)]
        open_now.append((labels, found.breakers_open))
    yield _counter("upstream_answers", "Answers of upstreams by status.", ("region", "route", "status"), answers)
    family = GaugeMetricFamily(
        PREFIX + "breaker_open", "Workers that leave this upstream alone now.", labels=("region", "route")
    )
    for labels, count in open_now:
        family.add_metric(labels, count)
    yield family
    kinds = (((kind.value,), count) for kind, count in totals.connect_failures().items())
    yield _counter("upstream_connect_failures", "Connections to upstreams that could not be made.", ("kind",), kinds)
    lag = HistogramMetricFamily(
        PREFIX + "event_loop_lag_seconds", "The longest wait of each second in a worker's loop."
    )
    found_lag = totals.lag()
    lag.add_metric((), list(_below(found_lag, EDGES)), found_lag.total)
    yield lag


_SOURCES = {"live": (Outcome.DELIVERED, Outcome.SKIPPED, Outcome.REFUSED), "stale": (Outcome.STALE,)}


def _of_config(totals: Totals) -> Iterator[Metric]:
    ways = totals.route(Route.CONFIG).ways
    sources = (
        ((source,), sum(count for way, count in ways.items() if way[0] in outcomes))
        for source, outcomes in _SOURCES.items()
    )
    yield _counter(
        "config_answers",
        "Configuration requests answered by the vendor, or with its last good answer.",
        ("source",),
        sources,
    )
    live = totals.latest(Mark.CONFIG_LIVE_MS) / 1000
    yield GaugeMetricFamily(
        PREFIX + "config_last_live_timestamp_seconds", "When the vendor gave a good configuration last; 0: never.", live
    )


def _of_archive(totals: Totals) -> Iterator[Metric]:
    drops = totals.drops()
    payloads = (((reason.value,), count) for reason, (count, _) in drops.items())
    yield _counter("archive_dropped", "Uploads that are not archived, by reason.", ("reason",), payloads)
    sizes = (((reason.value,), size) for reason, (_, size) in drops.items())
    yield _counter("archive_dropped_bytes", "Bytes of their bodies.", ("reason",), sizes)
    yield GaugeMetricFamily(
        PREFIX + "archive_pending", "Uploads that are written to the spool and not archived yet.", totals.pending()
    )
    stored = totals.of(Mark.ARCHIVE_LAST_MS) / 1000
    yield GaugeMetricFamily(PREFIX + "archive_last_stored_timestamp_seconds", "When an object was stored last.", stored)


_Labelled = Iterable[tuple[tuple[str, ...], int]]


def _per_route(routes: Mapping[str, RouteTotals], key: Callable[..., Hashable]) -> _Labelled:
    for route, totals in routes.items():
        tally: Tally[Hashable] = Tally()
        for way, count in totals.ways.items():
            tally[key(way)] += count
        yield from (((route, str(label)), count) for label, count in tally.items())


def _by_method(routes: Mapping[str, RouteTotals]) -> _Labelled:
    for route, totals in routes.items():
        for (method, status), count in totals.answers.items():
            yield (route, METHODS[method], STATUSES[status]), count


def _marked(routes: Mapping[str, RouteTotals], mark: int) -> _Labelled:
    for route, totals in routes.items():
        yield (route,), sum(count for way, count in totals.ways.items() if way[mark])


def _counter(name: str, text: str, labels: tuple[str, ...], samples: _Labelled) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, routes: Mapping[str, Histogram], edges: Sequence[float] = EDGES) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, text, labels=("route",))
    for route, histogram in routes.items():
        family.add_metric((route,), list(_below(histogram, edges)), histogram.total)
    return family


def _below(histogram: Histogram, edges: Sequence[float]) -> Iterator[tuple[str, int]]:
    """Each bound, and how many observations were not above it."""
    below = 0
    for edge, count in zip((*map(str, edges), "+Inf"), histogram.buckets, strict=True):
        below += count
        yield edge, below
