"""The status: everything that is known of the gateway and of what it depends on, as one JSON document.

Pure: it is worked out from one snapshot. It holds no secret, no API key and no visitor's address: whatever is added
here is read by people and programs without a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from proxy.admin.archive import archive
from proxy.admin.health import State, findings
from proxy.admin.snapshot import About, Snapshot
from proxy.admin.traffic import cors, failures, in_hand, ledger, rejections, skipped, traffic
from proxy.admin.upstreams import config, upstreams
from proxy.observe.ledger import Counter, Mark, Totals

Plain = dict[str, Any]
DAY: Final = 86400.0


def status(about: About, seen: Snapshot) -> Plain:
    """The document; docs/operations.md describes it."""
    shown = _sections(about, seen)
    found = sorted(findings(shown), key=lambda each: -each.state)
    return {
        "state": max((each.state for each in found), default=State.OK).name.lower(),
        "reasons": [{"state": each.state.name.lower(), "about": each.about, "text": each.text} for each in found],
        "at": round(seen.wall, 3),
        "recent_is_seconds": round(seen.seconds, 1),
        **shown,
    }


def _sections(about: About, seen: Snapshot) -> Plain:
    return {
        "gateway": _gateway(about, seen),
        "workers": _workers(seen),
        "loop_lag_seconds": seen.quantiles(Totals.lag),
        "in_hand": in_hand(seen),
        "traffic": traffic(seen),
        "ledger": ledger(seen),
        "rejections": rejections(seen),
        "failures": failures(seen),
        "skipped": skipped(seen),
        "cors": cors(seen),
        "upstreams": upstreams(about, seen),
        "config": config(seen),
        "archive": archive(about, seen),
        "listeners": list(_listeners(about, seen.wall)),
        "setup": _setup(about),
    }


def _gateway(about: About, seen: Snapshot) -> Plain:
    began = seen.now.totals.of(Mark.RUN_BEGAN_MS) / 1000
    return {
        "version": about.version,
        "build": about.build,
        "started": began,
        "uptime_seconds": max(round(seen.wall - began, 1), 0.0),
        "configured": seen.workers.reload_applied_at,
        "is_reload_applied": seen.workers.is_reload_applied,
        "log_lines_dropped": seen.total(Counter.LOG_LINES_DROPPED),
    }


def _workers(seen: Snapshot) -> Plain:
    workers = seen.workers
    return {
        "wanted": workers.workers,
        "ready": workers.ready,
        "restarts": workers.restarts,
        "recent_restarts": seen.now.restarts - seen.earlier.restarts,
        "draining": workers.draining,
        "unready": seen.unready,
    }


def _listeners(about: About, wall: float) -> Iterator[Plain]:
    for number, listener in enumerate(about.settings.listen):
        shown: Plain = {"address": str(listener.address), "tls": listener.tls is not None, "certificate": None}
        found = about.certificates.get(number)
        if listener.tls is not None:
            shown["certificate"] = {
                "names": list(found.names) if found else [],
                "expires": found.not_after if found else None,
                "days_left": round((found.not_after - wall) / DAY, 2) if found else None,
            }
        yield shown


def _setup(about: About) -> Plain:
    """What pages must be told: public names and paths, and whom the gateway answers."""
    settings = about.settings
    return {
        "hosts": list(settings.region.hosts),
        "track_paths": list(settings.paths.track),
        "config_paths": list(settings.paths.config),
        "allow_origins": list(settings.cors.allow_origins),
    }
