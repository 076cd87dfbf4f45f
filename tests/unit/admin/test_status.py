"""Proves each part of the status document and each reason for not being well, from counters alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admin.snapshot import SpoolSeen
from proxy.model.drop import Drop
from proxy.model.failure import FailureKind
from proxy.model.record import Outcome
from proxy.model.verdict import Reason, Route
from proxy.observe.ledger import MOST_REGIONS, Counter, Gauge, Mark
from proxy.runtime.certificates import CertificateFacts
from tests.unit.admin.site import ARCHIVE, NOW, Site
from tests.unit.observe.records import record

DAY = 86400.0
TLS = [{"address": "127.0.0.1:443", "tls": {"certificate": "a.pem", "key": "a.key"}}]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(archive=ARCHIVE, listen=TLS)
    yield made
    made.close()


def test_a_gateway_that_is_well_has_no_reasons(site: Site) -> None:
    for _ in range(20):
        site.ledger.record(record())
    found = site.status()
    assert (found["state"], found["reasons"]) == ("ok", [])
    assert found["gateway"] == {
        "version": "1.2.3",
        "build": "compiled",
        "started": NOW - 3600,
        "uptime_seconds": 3600,
        "configured": 0.0,
        "is_reload_applied": True,
        "log_lines_dropped": 0,
    }
    assert found["recent_is_seconds"] == 60


def test_recent_is_what_the_last_minute_added(site: Site) -> None:
    site.ledger.record(record(outcome=Outcome.REJECTED, reason=Reason.UNKNOWN_KEY, status=403, upstream_began=0.0))
    site.minute_begins()
    for _ in range(3):
        site.ledger.record(record(region="eu"))
    found = site.status()
    track = found["traffic"]["track"]
    assert (track["requests"], track["recent"], track["per_second"]) == (4, 3, 0.05)
    assert (track["answers"]["4xx"], track["recent_answers"]["4xx"], track["recent_answers"]["2xx"]) == (1, 0, 3)
    assert found["ledger"]["recent"]["rejected"] == 0
    assert found["rejections"][0]["count"] == 1
    assert found["rejections"][0]["recent"] == 0
    assert found["rejections"][0]["status"] == [403, 400]
    (endpoint,) = [
        each for each in found["upstreams"]["endpoints"] if (each["region"], each["route"]) == ("eu", "track")
    ]
    assert (endpoint["host"], endpoint["recent_answers"]["2xx"]) == ("api-sr.eu.amplitude.com", 3)


def test_times_are_told_for_the_gateway_and_the_vendor(site: Site) -> None:
    for _ in range(99):
        site.ledger.record(record(ended=1000.2, upstream_began=1000.18))
    taken = site.status()["traffic"]["track"]["recent_seconds"]
    assert 0.1 < taken["gateway"]["p50"] <= 0.25
    assert 0.01 < taken["upstream"]["p99"] <= 0.025
    assert site.status()["traffic"]["config"]["recent_seconds"]["gateway"]["p50"] is None


ends = st.sampled_from([outcome for outcome in Outcome if outcome is not Outcome.REJECTED])


@given(st.lists(st.tuples(st.sampled_from((*Route, None)), ends | st.sampled_from(Reason))))
def test_the_ledger_adds_up_whatever_happened(ended: list[tuple[Route | None, Outcome | Reason]]) -> None:
    site = Site()
    for route, end in ended:
        is_reason = isinstance(end, Reason)
        outcome, reason = (Outcome.REJECTED, end) if is_reason else (end, None)
        site.ledger.record(record(route=route, outcome=outcome, reason=reason))
    ledger = site.status()["ledger"]
    site.close()
    assert ledger["received"] == len(ended) == sum(ledger[outcome.value] for outcome in Outcome)
    assert (ledger["unaccounted"], ledger["adds_up"]) == (0, True)


def test_a_ledger_that_does_not_add_up_says_so(site: Site) -> None:
    site.ledger.record(record(outcome=Outcome.REJECTED, status=400))  # without a reason, which no exchange ends with
    assert not site.status()["ledger"]["adds_up"]
    assert site.reasons()["ledger"][0] == "degraded"


def many(count: int, **fields: Any) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        for _ in range(count):
            site.ledger.record(record(**fields))

    return happen


def lacking(ready: int, draining: bool = False) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        site.workers = replace(site.workers, ready=ready, draining=draining)

    return happen


def spool(**fields: Any) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        assert site.spool is not None
        site.spool = replace(site.spool, **fields)

    return happen


def expires(days: float) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        site.certificates = {0: CertificateFacts(NOW + days * DAY, ("a.example",))}

    return happen


def restarted(site: Site) -> None:
    site.workers = replace(site.workers, restarts=2)


def refused_a_reload(site: Site) -> None:
    site.workers = replace(site.workers, is_reload_applied=False)


def open_in(workers: int) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        # Only one row here: as many as its gauge says.
        site.ledger.breaker("eu", Route.CONFIG, is_open=bool(workers))
        site.workers = replace(site.workers, ready=3 - workers)

    return happen


def archiver_gone(site: Site) -> None:
    assert site.archivers is not None
    site.archivers = replace(site.archivers, ready=0)


def offered_and_lost(site: Site) -> None:
    site.ledger.count(Counter.SPOOL_OFFERED, 5)
    site.minute_begins()


def an_old_configuration(site: Site) -> None:
    site.ledger.mark(Mark.CONFIG_LIVE_MS, int((NOW - 300) * 1000))
    site.ledger.record(record(route=Route.CONFIG, outcome=Outcome.STALE))


def a_drop(site: Site) -> None:
    site.ledger.count(Counter.SPOOL_OFFERED)
    site.ledger.drop(Drop.QUEUE_FULL, 1, 10)


def waited(site: Site) -> None:
    site.ledger.gauge(Gauge.SPOOL_OLDEST_SECONDS, 1000)
    site.trouble = "AccessDenied"


TROUBLES: dict[str, tuple[Callable[[Site], object], str, str, str]] = {
    "no worker": (lacking(0), "workers", "failing", "No worker is ready."),
    "a worker less": (lacking(1), "workers", "degraded", "1 of 2 workers are ready."),
    "draining": (lacking(0, True), "workers", "degraded", "The gateway is shutting down."),
    "a reload": (refused_a_reload, "gateway", "degraded", "The latest reload changed nothing"),
    "restarts": (restarted, "workers", "degraded", "2 restarts of workers"),
    "lag": (lambda site: site.ledger.lag(0.6), "workers", "degraded", "loops are 0."),
    "breaker in some": (open_in(1), "upstreams.eu.config", "degraded", "Left alone by 1 of 2 workers"),
    "breaker in all": (open_in(2), "upstreams.eu.config", "failing", "Left alone by 1 of 1 worker"),
    "connect": (
        lambda site: site.ledger.connect_failed(FailureKind.TLS),
        *("upstreams", "degraded", "1 connection failed: tls."),
    ),
    "some fail": (
        lambda site: (many(9)(site), many(1, outcome=Outcome.FAILED, failure=FailureKind.UPSTREAM_CLOSED)(site)),
        *("traffic.track", "degraded", "1 of 10 requests failed."),
    ),
    "most fail": (
        many(3, outcome=Outcome.FAILED, failure=FailureKind.UPSTREAM_TIMEOUT),
        *("traffic.track", "failing", "3 of 3 requests failed."),
    ),
    "refused": (
        many(2, outcome=Outcome.REFUSED, status=403, route=Route.CONFIG),
        *("traffic.config", "degraded", "The vendor refused 2 of 2 requests"),
    ),
    "rejected": (
        many(2, outcome=Outcome.REJECTED, reason=Reason.FOREIGN_ORIGIN, status=403),
        *("rejections", "degraded", "2 requests refused by the gateway, most as foreign_origin. Add the page's origin"),
    ),
    "thrown away": (
        many(2, outcome=Outcome.SKIPPED, skipped_code=429),
        *("skipped", "degraded", "The vendor threw 2 uploads away (429). A quota"),
    ),
    "no configuration": (
        many(1, route=Route.CONFIG, outcome=Outcome.FAILED, failure=FailureKind.RESOLVE),
        *("config", "degraded", "1 visitor got no configuration"),
    ),
    "an old configuration": (
        an_old_configuration,
        *("config", "degraded", "1 visitor got the last good configuration, the vendor's last is 300 s old."),
    ),
    "a drop": (a_drop, "archive", "degraded", "1 upload not archived: queue-full."),
    "a full spool": (spool(bytes=1 << 30), "archive.spool", "degraded", "The spool is full"),
    "a full disk": (spool(free_bytes=100), "archive.spool", "degraded", "The spool is full"),
    "a spool unseen": (
        lambda site: setattr(site, "spool", SpoolSeen(why_not="Input/output error")),
        *("archive.spool", "degraded", "The spool can't be looked at: Input/output error."),
    ),
    "a store that takes nothing": (
        waited,
        *("archive.store", "degraded", "The oldest segment has waited for 16 min, last error: AccessDenied."),
    ),
    "a damaged segment": (
        lambda site: site.ledger.count(Counter.ARCHIVE_DAMAGED_SEGMENTS),
        *("archive.spool", "degraded", "The spool's disk lost something"),
    ),
    "no archiver": (archiver_gone, "archive", "degraded", "The archiver is not running"),
    "uploads lost track of": (offered_and_lost, "archive", "degraded", "The uploads offered and where they are"),
    "an expired certificate": (expires(-1), "listeners", "failing", "The certificate of 127.0.0.1:443 has expired."),
    "a certificate that expires": (expires(3), "listeners", "degraded", "expires in 3 days"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_a_reason(site: Site, trouble: str) -> None:
    happen, about, state, text = TROUBLES[trouble]
    happen(site)
    reasons = site.reasons()
    assert about in reasons
    assert reasons[about][0] == state
    assert text in reasons[about][1]
    worst = max((each["state"] for each in site.status()["reasons"]), key=["ok", "degraded", "failing"].index)
    assert site.status()["state"] == worst


@pytest.mark.parametrize("trouble", ["some fail", "refused", "rejected", "thrown away", "no configuration", "a drop"])
def test_what_is_over_for_a_minute_is_none(site: Site, trouble: str) -> None:
    TROUBLES[trouble][0](site)
    site.minute_begins()
    assert site.status()["reasons"] == []


def test_a_certificate_that_lasts_is_none(site: Site) -> None:
    expires(30)(site)
    found = site.status()
    assert found["reasons"] == []
    assert found["listeners"] == [
        {
            "address": "127.0.0.1:443",
            "tls": True,
            "certificate": {"names": ["a.example"], "expires": NOW + 30 * DAY, "days_left": 30.0},
        }
    ]


def test_a_certificate_that_can_not_be_read_is_told_without_a_claim(site: Site) -> None:
    site.certificates = {0: None}
    found = site.status()
    assert found["listeners"][0]["certificate"] == {"names": [], "expires": None, "days_left": None}
    assert found["reasons"] == []


def test_the_archives_account(site: Site) -> None:
    ledger = site.ledger
    ledger.count(Counter.SPOOL_OFFERED, 10)
    ledger.count(Counter.SPOOL_WRITTEN, 8)
    ledger.count(Counter.ARCHIVED, 5)
    ledger.drop(Drop.SPOOL_FULL, 1, 77)
    ledger.gauge(Gauge.SPOOL_QUEUE_BYTES, 123)
    archive = site.status()["archive"]
    names = ("offered", "archived", "pending", "queued", "damaged")
    assert [archive[name] for name in names] == [10, 5, 3, 1, 0]
    assert archive["adds_up"]
    assert archive["dropped"][0]["reason"] == "spool-full"
    assert (archive["dropped"][0]["count"], archive["dropped"][0]["bytes"]) == (1, 77)
    assert archive["spool"]["full"]
    assert archive["store"]["last_error"] is None


def test_without_an_archive_there_is_none() -> None:
    site = Site()
    assert site.status()["archive"] is None
    site.close()


def test_regions_that_share_a_place_are_one() -> None:
    own = {f"r{n:02}": {"track": "http://127.0.0.1/t", "config": "http://127.0.0.1/c"} for n in range(MOST_REGIONS)}
    site = Site(upstreams=own)
    site.ledger.record(record(region=f"r{MOST_REGIONS - 1:02}"))
    regions = [each["region"] for each in site.status()["upstreams"]["endpoints"] if each["answers"]["2xx"]]
    assert len({each["region"] for each in site.status()["upstreams"]["endpoints"]}) == MOST_REGIONS
    site.close()
    assert regions == ["other"]


def test_no_secret_and_no_key_is_in_it() -> None:
    site = Site(
        keys={"allow": ["KEY-ONE"]},
        region={"api_keys": {"KEY-TWO": "eu"}},
        headers={"upstream": {"set": {"X-Token": "SECRET"}}},
        archive={
            **{key: ARCHIVE[key] for key in ("spool",)},
            "s3": {"region": "eu-central-1", "recordingsBucket": "b-1", "accessKey": "ACCESS", "secretKey": "HIDDEN"},
        },
    )
    text = orjson.dumps(site.status()).decode()
    site.close()
    assert [each for each in ("KEY-ONE", "KEY-TWO", "SECRET", "ACCESS", "HIDDEN") if each in text] == []


def test_a_status_needs_no_request() -> None:
    site = Site()
    assert site.status()["state"] == "ok"
    assert site.status()["config"]["last_live"] is None
    site.close()
