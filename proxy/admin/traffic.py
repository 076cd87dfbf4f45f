"""The part of the status about requests: how many, how fast, how they ended, and why some were refused or failed.

Pure: a snapshot in, plain values out. Every number is the ledger's.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from proxy.admin.remedies import OF_FAILURE, OF_REASON, OF_SKIP, UNKNOWN_HEADERS
from proxy.admin.snapshot import Snapshot
from proxy.model.failure import FAILURES
from proxy.model.record import Outcome
from proxy.model.verdict import REJECTIONS, Reason, Route
from proxy.observe.ledger import ROUTES, STATUSES, Counter, Gauge, Histogram, Totals

Plain = dict[str, Any]


def traffic(seen: Snapshot) -> Plain:
    """Each route: requests, bytes, answers by class of status, and how long they took."""
    return {route.value: _route(seen, route) for route in Route}


def in_hand(seen: Snapshot) -> Plain:
    """What the workers have in hand now."""
    totals = seen.now.totals
    return {
        "requests": totals.of(Gauge.EXCHANGES),
        "body_bytes": totals.of(Gauge.INFLIGHT_BYTES),
        "client_connections": totals.of(Gauge.CONNECTIONS),
    }


def ledger(seen: Snapshot) -> Plain:
    """Every request received, by how it ended. What was received is counted apart from how it ended, so the two can
    be compared; a request that ends while they are read may be in one of them only."""
    ended = outcomes(seen.now.totals)
    received = _received(seen.now.totals)
    reasons = sum(seen.now.totals.reasons().values())
    missing = received - sum(ended.values())
    return {
        "received": received,
        **ended,
        "unaccounted": missing,
        "adds_up": missing == 0 and reasons == ended[Outcome.REJECTED.value],
        "recent": {"received": _received(seen.now.totals) - _received(seen.earlier.totals), **seen.recently(outcomes)},
    }


def outcomes(totals: Totals, routes: tuple[Route | None, ...] = ROUTES) -> dict[str, int]:
    """Requests by outcome."""
    tally: Tally[str] = Tally()
    for route in routes:
        for way, count in totals.route(route).ways.items():
            tally[way[0].value] += count
    return {outcome.value: tally[outcome.value] for outcome in Outcome}


def rejections(seen: Snapshot) -> list[Plain]:
    """Why requests were refused, with what to do about it; the most frequent first."""
    recent = seen.recently(Totals.reasons)
    found = [
        {
            "reason": reason.value,
            "status": _statuses(reason),
            "count": count,
            "recent": recent[reason],
            "fix": OF_REASON[reason],
        }
        for reason, count in seen.now.totals.reasons().items()
        if count
    ]
    return sorted(found, key=_most_recent_first)


def failures(seen: Snapshot) -> list[Plain]:
    """What broke while requests were carried, and on whose side."""
    recent = seen.recently(Totals.failures)
    found = [
        {
            "kind": kind.value,
            "side": FAILURES[kind].source.value,
            "count": count,
            "recent": recent[kind],
            "fix": OF_FAILURE[kind],
        }
        for kind, count in seen.now.totals.failures().items()
        if count
    ]
    return sorted(found, key=_most_recent_first)


def skipped(seen: Snapshot) -> list[Plain]:
    """Uploads that the vendor answered with 200 and threw away."""
    recent = seen.recently(Totals.skipped)
    return [
        {"code": code or "other", "count": count, "recent": recent[code], "fix": OF_SKIP[code]}
        for code, count in seen.now.totals.skipped().items()
        if count
    ]


def cors(seen: Snapshot) -> Plain:
    """Preflights that were not granted, pages that are not allowed, and headers that no known SDK sends."""
    foreign = Reason.FOREIGN_ORIGIN
    return {
        "preflights_refused": seen.total(Counter.PREFLIGHTS_REFUSED),
        "recent_preflights_refused": seen.recent(Counter.PREFLIGHTS_REFUSED),
        "foreign_origins_refused": seen.now.totals.reasons()[foreign],
        "recent_foreign_origins_refused": seen.recently(Totals.reasons)[foreign],
        "unknown_headers": seen.total(Counter.UNKNOWN_CORS_HEADERS),
        "recent_unknown_headers": seen.recent(Counter.UNKNOWN_CORS_HEADERS),
        "fix": {"foreign_origin": OF_REASON[foreign], "unknown_headers": UNKNOWN_HEADERS},
    }


def _route(seen: Snapshot, route: Route) -> Plain:
    now, before = seen.now.totals.route(route), seen.earlier.totals.route(route)
    requests, answers = sum(now.ways.values()), partial(_answers, route=route)
    recent = requests - sum(before.ways.values())
    return {
        "requests": requests,
        "recent": recent,
        "per_second": round(recent / seen.seconds, 3) if seen.seconds else 0.0,
        "received_bytes": now.received_bytes,
        "sent_bytes": now.sent_bytes,
        "answers": answers(seen.now.totals),
        "recent_answers": seen.recently(answers),
        "recent_outcomes": seen.recently(partial(outcomes, routes=(route,))),
        "recent_seconds": {
            "gateway": seen.quantiles(partial(_duration, route=route)),
            "upstream": seen.quantiles(partial(_upstream, route=route)),
        },
    }


def _answers(totals: Totals, route: Route) -> Mapping[str, int]:
    tally: Tally[str] = Tally()
    for way, count in totals.route(route).ways.items():
        tally[STATUSES[way[1]]] += count
    return {status: tally[status] for status in STATUSES}


def _duration(totals: Totals, route: Route) -> Histogram:
    return totals.route(route).duration


def _upstream(totals: Totals, route: Route) -> Histogram:
    return totals.route(route).upstream


def _received(totals: Totals) -> int:
    return sum(sum(totals.route(route).size.buckets) for route in ROUTES)


def _statuses(reason: Reason) -> list[int]:
    return list(_different(REJECTIONS[reason].status, REJECTIONS[reason].config_status))


def _different(status: int, config_status: int) -> Iterator[int]:
    yield status
    if config_status:
        yield config_status


def _most_recent_first(found: Plain) -> tuple[int, int]:
    return -found["recent"], -found["count"]
