"""A proxy looked over from outside, ours or not, as the browser SDK would use it: all steps, in order.

What is sent is in `browser`, what is concluded in the modules of the steps. No exception leaves it, and no step takes
longer than its time-outs. Must not know how findings are shown.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from proxy.doctor.arrivals import StandIn
from proxy.doctor.asking import Asker, GivenUpError, NoAnswerError, Patience
from proxy.doctor.browser import Sdk
from proxy.doctor.configuration import check_config_preflight, check_configuration, check_old_shape
from proxy.doctor.dialling import DialError, dial
from proxy.doctor.finding import fine
from proxy.doctor.outside_findings import Outside
from proxy.doctor.passages import check_prefixes, check_refusals
from proxy.doctor.uploads import (
    Visit,
    check_expectation,
    check_foreign_origin,
    check_large_upload,
    check_leaving,
    check_upload,
    check_upload_preflight,
)
from proxy.model.check import Check, never_raising
from proxy.settings.network import is_loopback
from proxy.settings.spelling import DEFAULT_PORTS
from proxy.upstream.tls import client_context

EXPIRY_NOTICE_DAYS: Final = 21
_GIVEN_UP: Final = Outside.GAVE_UP.label

Step = Callable[[Visit], Awaitable[list[Check]]]

# The configuration first: it needs no preflight, and without it the SDK does nothing else.
STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("configuration", check_configuration),
    ("configuration, old shape", check_old_shape),
    ("preflight of the configuration", check_config_preflight),
    ("preflight of an upload", check_upload_preflight),
    ("preflight from another page", check_foreign_origin),
    ("upload", check_upload),
    ("upload on leaving", check_leaving),
    ("upload with Expect", check_expectation),
    ("large upload", check_large_upload),
    ("refusals", check_refusals),
    ("similar paths", check_prefixes),
)


class Outing(NamedTuple):
    """What is to be looked at, and how. `standin`: the control address of a stand-in vendor behind the proxy, or ""."""

    sdk: Sdk
    patience: Patience = Patience()
    ca_file: str | None = None
    standin: str = ""


def check_outside(outing: Outing) -> Iterator[Check]:
    """All findings, the same ones together, and a line for each step without any. A key that was given is not shown."""
    for check in merged(never_raising("outside", partial(_checks, outing))):
        yield check if outing.sdk.is_invented else _without(check, outing.sdk.api_key)


def _without(check: Check, key: str) -> Check:
    return check._replace(what=check.what.replace(key, "<key>"), where=check.where.replace(key, "<key>"))


def _checks(outing: Outing) -> Iterator[Check]:
    trust = _trust(outing)
    with asyncio.Runner() as runner:
        reached = [check for url in _hosts(outing.sdk) for check in runner.run(_reach(url, outing.patience, trust))]
        yield from reached
        if not any(each.state == "fail" for each in reached):
            yield from runner.run(_walk(outing, trust))


def _trust(outing: Outing) -> ssl.SSLContext:
    """The system's authorities take a tenth of a second to load: left out where there is no TLS."""
    if any(url.startswith("https:") for url in (outing.sdk.track, outing.sdk.config)):
        return client_context(outing.ca_file)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _hosts(sdk: Sdk) -> Iterable[str]:
    """One URL for each server."""
    return {urlsplit(url)[:2]: url for url in (sdk.config, sdk.track)}.values()


async def _reach(url: str, patience: Patience, trust: ssl.SSLContext) -> list[Check]:
    parts = urlsplit(url)
    where, host = f"{parts.scheme}://{parts.netloc}", parts.hostname or ""
    tls = trust if parts.scheme == "https" else None
    try:
        line = await dial(host, parts.port or DEFAULT_PORTS[parts.scheme], patience.connect, tls, host)
    except DialError as error:
        finding = Outside.TLS_REFUSED if error.step == "tls" else Outside.UNREACHABLE
        return [finding.at(where, why=error)]
    line.writer.transport.abort()
    if tls is None and not is_loopback(host):
        return [Outside.NO_TLS.at(where)]
    if line.days_left is not None and line.days_left < EXPIRY_NOTICE_DAYS:
        return [Outside.TLS_EXPIRES.at(where, days=f"{line.days_left:.0f}")]
    return [fine("way", where, line.told())]


async def _walk(outing: Outing, trust: ssl.SSLContext) -> list[Check]:
    found: list[Check] = []
    async with Asker(outing.patience, trust) as asker:
        visit, steps = Visit(outing.sdk, asker), STEPS
        if outing.standin:
            standin = StandIn(outing.standin, asker)
            found += await _taken("stand-in", _begun(standin), visit)
            steps += (("at the stand-in", standin.check_arrivals), ("broken vendor", standin.check_failure))
        for name, step in steps:
            found += await _taken(name, step, visit)
            if found and found[-1].name == _GIVEN_UP:
                break
    return found


def _begun(standin: StandIn) -> Step:
    async def begin(_: Visit) -> list[Check]:
        await standin.begin()
        return []

    return begin


async def _taken(name: str, step: Step, visit: Visit) -> list[Check]:
    """The findings of one step; one that breaks by itself takes no other with it."""
    try:
        return await step(visit)
    except NoAnswerError as error:
        return [Outside.NO_ANSWER.at(name, why=error)]
    except GivenUpError as error:
        return [Outside.GAVE_UP.at(name, why=error)]
    except Exception as error:
        return list(never_raising(name, partial(_raise, error)))


def _raise(error: Exception) -> Iterable[Check]:
    raise error


def merged(checks: Iterable[Check]) -> list[Check]:
    """The same finding in several places as one that names them all, where the first was."""
    places: dict[Check, list[str]] = {}
    for check in checks:
        places.setdefault(check._replace(where=""), []).append(check.where)
    return [check._replace(where=", ".join(dict.fromkeys(where))) for check, where in places.items()]
