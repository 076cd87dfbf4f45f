"""Whether the gateway does what it is there for, and if not, why: judged by the very values that the status shows.

Pure. Must not decide what probes are told: no trouble of the vendor's makes the gateway unready.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from proxy.model.drop import Drop
from proxy.model.record import Outcome
from proxy.model.verdict import Reason

# The same bounds as those of the alerts.
FAILED_MANY: Final = 0.01
FAILED_MOST: Final = 0.5
REFUSED_MANY: Final = 0.05
REJECTED_MANY: Final = 0.1
LAG_SECONDS: Final = 0.25
WAITED_SECONDS: Final = 900
EXPIRY_DAYS: Final = 14.0

Plain = Mapping[str, Any]


class State(IntEnum):
    """How bad it is; the worst finding is the gateway's state."""

    OK = 0
    DEGRADED = 1  # some recordings are, or soon will be, lost, late or not copied
    FAILING = 2  # most of them are lost


class Finding(NamedTuple):
    """Something that is not as it should be: of what, and a sentence about it."""

    state: State
    about: str
    text: str


def findings(shown: Plain) -> Iterator[Finding]:
    """Everything that the sections of a status tell of trouble."""
    yield from _of_workers(shown["workers"], shown["loop_lag_seconds"])
    if not shown["gateway"]["is_reload_applied"]:
        yield _found("gateway", "The latest reload changed nothing: `replay-gateway reload` says why.")
    for endpoint in shown["upstreams"]["endpoints"]:
        yield from _of_endpoint(endpoint, shown["workers"]["ready"])
    for failure in shown["upstreams"]["connect_failures"]:
        if failure["recent"]:
            yield _found(
                "upstreams", f"{_many(failure['recent'], 'connection')} failed: {failure['kind']}. {failure['fix']}"
            )
    for route, traffic in shown["traffic"].items():
        yield from _of_route(route, traffic)
    yield from _of_requests(shown)
    yield from _of_config(shown["config"])
    if shown["archive"] is not None:
        yield from _of_archive(shown["archive"])
    for listener in shown["listeners"]:
        yield from _of_certificate(listener)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _found(about: str, text: str, state: State = State.DEGRADED) -> Finding:
    return Finding(state, about, text)


def _of_workers(workers: Plain, lag: Plain) -> Iterator[Finding]:
    wanted, ready = workers["wanted"], workers["ready"]
    if workers["draining"]:
        yield _found("workers", "The gateway is shutting down.")
    elif not ready:
        yield _found("workers", "No worker is ready.", State.FAILING)
    elif ready < wanted:
        yield _found("workers", f"{ready} of {wanted} workers are ready.")
    if workers["recent_restarts"]:
        yield _found(
            "workers", f"{_many(workers['recent_restarts'], 'restart')} of workers: the log says why they ended."
        )
    if (lag["p90"] or 0) > LAG_SECONDS:
        yield _found("workers", f"The workers' loops are {lag['p90']:.2f} s late: too little processor time.")


def _of_endpoint(endpoint: Plain, workers: int) -> Iterator[Finding]:
    if endpoint["breakers_open"]:
        state = State.FAILING if endpoint["breakers_open"] >= workers else State.DEGRADED
        name = f"upstreams.{endpoint['region']}.{endpoint['route']}"
        text = f"Left alone by {endpoint['breakers_open']} of {_many(workers, 'worker')}: it failed too often in a row."
        yield _found(name, text, state)


def _of_route(route: str, traffic: Plain) -> Iterator[Finding]:
    ended, of = traffic["recent_outcomes"], traffic["recent"]
    failed, refused = ended[Outcome.FAILED.value], ended[Outcome.REFUSED.value]
    if failed > of * FAILED_MANY:
        state = State.FAILING if failed > of * FAILED_MOST else State.DEGRADED
        yield _found(f"traffic.{route}", f"{failed} of {_many(of, 'request')} failed.", state)
    if refused > of * REFUSED_MANY:
        yield _found(
            f"traffic.{route}", f"The vendor refused {refused} of {_many(of, 'request')}: a wrong key or region?"
        )


def _of_requests(shown: Plain) -> Iterator[Finding]:
    # That visitors who have opted out are not recorded is what was asked for.
    unwanted = [each for each in shown["rejections"] if each["reason"] != Reason.GPC.value]
    rejected = sum(each["recent"] for each in unwanted)
    if rejected > shown["ledger"]["recent"]["received"] * REJECTED_MANY:
        most = unwanted[0]
        yield _found(
            "rejections",
            f"{_many(rejected, 'request')} refused by the gateway, most as {most['reason']}. {most['fix']}",
        )
    for skip in shown["skipped"]:
        if skip["recent"]:
            yield _found(
                "skipped", f"The vendor threw {_many(skip['recent'], 'upload')} away ({skip['code']}). {skip['fix']}"
            )
    if not shown["ledger"]["adds_up"]:
        yield _found("ledger", "The requests received and how they ended don't add up: an error of the gateway's own.")


def _of_config(config: Plain) -> Iterator[Finding]:
    recent = config["recent"]
    if recent["missed"]:
        yield _found("config", f"{_many(recent['missed'], 'visitor')} got no configuration: not recorded.")
    if recent["stale"]:
        age = config["last_live_age_seconds"]
        since = "" if age is None else f", the vendor's last is {age:.0f} s old"
        yield _found("config", f"{_many(recent['stale'], 'visitor')} got the last good configuration{since}.")


def _of_archive(archive: Plain) -> Iterator[Finding]:
    spool, store = archive["spool"], archive["store"]
    for drop in archive["dropped"]:
        if drop["recent"] and drop["reason"] != Drop.SUPPRESSED.value:
            yield _found("archive", f"{_many(drop['recent'], 'upload')} not archived: {drop['reason']}. {drop['fix']}")
    if spool["full"]:
        yield _found("archive.spool", "The spool is full, or was within the last minute.")
    if spool["why_not"]:
        yield _found("archive.spool", f"The spool can't be looked at: {spool['why_not']}.")
    if store["lag_seconds"] > WAITED_SECONDS:
        error = f", last error: {store['last_error']['kind']}" if store["last_error"] else ""
        yield _found("archive.store", f"The oldest segment has waited for {store['lag_seconds'] // 60} min{error}.")
    if archive["damaged_segments"] or archive["sync_failures"]:
        yield _found("archive.spool", "The spool's disk lost something, or does not promise to keep it: see the log.")
    if not archive["archiver"]["ready"]:
        yield _found("archive", "The archiver is not running; uploads wait in the spool.")
    if not archive["adds_up"]:
        yield _found("archive", "The uploads offered and where they are don't add up: an error of the gateway's own.")


def _of_certificate(listener: Plain) -> Iterator[Finding]:
    certificate = listener["certificate"]
    if certificate is None or certificate["days_left"] is None or certificate["days_left"] >= EXPIRY_DAYS:
        return
    days = certificate["days_left"]
    if days <= 0:
        yield _found("listeners", f"The certificate of {listener['address']} has expired.", State.FAILING)
    else:
        yield _found("listeners", f"The certificate of {listener['address']} expires in {days:.0f} days: renew it.")
