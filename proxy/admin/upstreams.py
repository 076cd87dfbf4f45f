"""The part of the status about the vendor: its endpoints by region, the connections to them, and how old the last
configuration is.

Pure: a snapshot in, plain values out. Must not know where the endpoints are dialled.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from proxy.admin.remedies import OF_FAILURE
from proxy.admin.snapshot import About, Snapshot
from proxy.admin.traffic import outcomes
from proxy.model.record import Outcome
from proxy.model.verdict import Route
from proxy.observe.ledger import STATUSES, Counter, Gauge, Mark, Totals, places_of

Plain = dict[str, Any]
_LIVE = (Outcome.DELIVERED, Outcome.SKIPPED, Outcome.REFUSED)
_MISSED = (Outcome.FAILED,)


def upstreams(about: About, seen: Snapshot) -> Plain:
    """Each region's endpoints, why connections to them failed, and the pool of connections."""
    totals = seen.now.totals
    recent = seen.recently(Totals.connect_failures)
    return {
        "endpoints": list(_endpoints(about, seen)),
        "connects": seen.total(Counter.UPSTREAM_CONNECTS),
        "connect_failures": [
            {"kind": kind.value, "count": count, "recent": recent[kind], "fix": OF_FAILURE[kind]}
            for kind, count in totals.connect_failures().items()
            if count
        ],
        "pool": {"open": totals.of(Gauge.UPSTREAM_CONNECTIONS), "idle": totals.of(Gauge.UPSTREAM_IDLE)},
        "breakers_opened": seen.total(Counter.BREAKER_OPENED),
    }


def config(seen: Snapshot) -> Plain:
    """Where the answers to configuration requests came from: the vendor, its last good answer, or neither."""
    live_at = seen.now.totals.latest(Mark.CONFIG_LIVE_MS) / 1000
    return {
        **_sources(outcomes(seen.now.totals, (Route.CONFIG,))),
        "recent": _sources(seen.recently(lambda totals: outcomes(totals, (Route.CONFIG,)))),
        "shared_fetches": seen.total(Counter.CONFIG_COALESCED),
        "stored": seen.total(Counter.CONFIG_STORED),
        "last_live": live_at or None,
        "last_live_age_seconds": max(round(seen.wall - live_at, 1), 0.0) if live_at else None,
    }


def _sources(ended: dict[str, int]) -> Plain:
    return {
        "live": sum(ended[outcome.value] for outcome in _LIVE),
        "stale": ended[Outcome.STALE.value],
        "missed": sum(ended[outcome.value] for outcome in _MISSED),
    }


def _endpoints(about: About, seen: Snapshot) -> Iterator[Plain]:
    regions = about.settings.upstreams
    for (index, region), route in product(enumerate(places_of(regions)), Route):
        now, before = (moment.totals.region(index, route) for moment in (seen.now, seen.earlier))
        recent = (count - less for count, less in zip(now.answers, before.answers, strict=True))
        host = getattr(regions[region], route.value).authority if region in regions else ""
        yield {
            "region": region,
            "route": route.value,
            "host": host,
            "breaker": "open" if now.breakers_open else "closed",
            "breakers_open": now.breakers_open,
            "answers": dict(zip(STATUSES, now.answers, strict=True)),
            "recent_answers": dict(zip(STATUSES, recent, strict=True)),
        }
