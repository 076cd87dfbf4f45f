"""Whether the vendor's endpoints can be used as the gateway uses them: addresses, TLS by name, an answer in time.

Uploads nothing. An endpoint for uploads is sent an OPTIONS request, one for the configuration a GET with a key that
nobody has. Must not know how findings are shown.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Final, NamedTuple

from proxy.doctor.browser import INVENTED_KEY
from proxy.doctor.dialling import DialError, Line, dial, milliseconds
from proxy.doctor.finding import fine
from proxy.doctor.inside_findings import Inside
from proxy.model.check import Check, never_raising
from proxy.model.verdict import Route
from proxy.policy.targets import Target, build_targets
from proxy.runtime.clock import monotonic
from proxy.settings import Settings, Upstream
from proxy.upstream.tls import client_context

EXPIRY_NOTICE_DAYS: Final = 21
_ANSWER_SECONDS: Final = 10.0
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_LOCATION: Final = re.compile(rb"\r\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
_MISDIRECTED: Final = 421

Endpoint = tuple[str, Route]


class Asked(NamedTuple):
    """What was sent, in words and in bytes, and the setting that limits its answer, in seconds."""

    sent: str
    head: bytes
    setting: str
    limit: float


def endpoints_in_use(settings: Settings) -> list[Endpoint]:
    """Region and route of every upstream that a rule leads to."""
    rules = settings.region
    named = [*rules.hosts.values(), *rules.api_keys.values()]
    named += rules.header.values.values() if rules.header else ()
    named += () if rules.strict else (rules.default,)
    return [(region, route) for region in dict.fromkeys(named) for route in Route]


def check_upstreams(settings: Settings) -> Iterator[Check]:
    """All endpoints in use, one after the other. Raises nothing."""
    targets = build_targets(settings)
    with asyncio.Runner() as runner:
        for region, route in endpoints_in_use(settings):
            upstream: Upstream = getattr(settings.upstreams[region], route.value)
            where = f"upstreams.{region}.{route.value}"
            visit = _visit(where, upstream, targets[region, route], settings)
            yield from never_raising(where, partial(runner.run, visit))


async def _visit(where: str, upstream: Upstream, target: Target, settings: Settings) -> list[Check]:
    peer, asked = target.peer, _asked(target, settings)
    try:
        tls = client_context(peer.ca_file) if peer.tls else None
    except (OSError, ssl.SSLError) as error:
        return [Inside.UPSTREAM_TLS.at(where, name=peer.server_name, why=f"ca_file {peer.ca_file}: {error}")]
    try:
        line = await dial(peer.connect_host, peer.connect_port, settings.timeouts.connect, tls, peer.server_name)
    except DialError as error:
        return [_not_dialled(error, where, peer.server_name)]
    with closing(line.writer.transport):
        found = list(_about_line(line, where, upstream))
        began = monotonic()
        try:
            status, location = await _answer(line, asked.head)
        except _NoAnswerError as error:
            return [*found, Inside.UPSTREAM_NO_ANSWER.at(where, sent=asked.sent, why=error)]
        took = monotonic() - began
    found += _about_status(status, location, where, asked, peer.server_name)
    found += lateness(took, line.seconds, where, asked)
    names = f"as {target.host_line.decode()}" + (f", SNI {peer.server_name}" if peer.tls else "")
    told = f"{line.told()}; {asked.sent} {names}: {status} in {milliseconds(took)}"
    return found or [fine("upstream", where, told)]


def _asked(target: Target, settings: Settings) -> Asked:
    """As the gateway writes a head, so that Host is what it would be."""
    if target.route is Route.TRACK:
        first, setting, limit = f"OPTIONS {target.path(b'').decode()}", "first_byte", settings.timeouts.first_byte
    else:
        path = f"{target.path(b'/' + INVENTED_KEY.encode()).decode()}?config_group=browser"
        first, setting, limit = f"GET {path}", "config_total", settings.timeouts.config_total
    lines = (first.encode() + b" HTTP/1.1", target.host_line, b"Accept: */*", b"User-Agent: replay-gateway-doctor")
    return Asked(first, b"\r\n".join((*lines, b"Connection: close", b"", b"")), f"timeouts.{setting}", limit)


class _NoAnswerError(Exception):
    """Nothing came that is the head of an answer. The text says why."""


async def _answer(line: Line, head: bytes) -> tuple[int, str]:
    """Status and Location. Raises _NoAnswerError."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            line.writer.write(head)
            answer = await line.reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        raise _NoAnswerError(f"none within {_ANSWER_SECONDS:g} s") from None
    except asyncio.IncompleteReadError as error:
        what = f"after {error.partial[:40]!r}" if error.partial else "without a word"
        raise _NoAnswerError(f"the connection was closed {what}") from None
    except (asyncio.LimitOverrunError, OSError) as error:
        raise _NoAnswerError(str(error)) from None
    status = _STATUS.match(answer)
    if status is None:
        raise _NoAnswerError(f"it begins with {answer[:40]!r}")
    location = _LOCATION.search(answer)
    return int(status[1]), location[1].decode("latin-1").strip() if location else "nowhere"


def _not_dialled(error: DialError, where: str, name: str) -> Check:
    if error.step == "resolve":
        return Inside.UPSTREAM_NO_ADDRESS.at(where, why=error)
    if error.step == "connect":
        return Inside.UPSTREAM_NO_CONNECTION.at(where, why=error)
    return Inside.UPSTREAM_TLS.at(where, name=name, why=error)


def _about_line(line: Line, where: str, upstream: Upstream) -> Iterator[Check]:
    if upstream.is_exposed:
        yield Inside.UPSTREAM_IN_THE_CLEAR.at(where)
    if line.days_left is not None and line.days_left < EXPIRY_NOTICE_DAYS:
        yield Inside.UPSTREAM_EXPIRES.at(where, days=f"{line.days_left:.0f}")


def _about_status(status: int, location: str, where: str, asked: Asked, name: str) -> Iterator[Check]:
    """Whatever the vendor itself says of a key that nobody has is fine, or of OPTIONS."""
    if status == _MISDIRECTED:
        yield Inside.UPSTREAM_WRONG_HOST.at(where, sent=asked.sent, status=status, name=name)
    elif 300 <= status <= 399:
        yield Inside.UPSTREAM_REDIRECT.at(where, sent=asked.sent, status=status, location=location)
    elif status >= 500:
        yield Inside.UPSTREAM_BROKEN.at(where, sent=asked.sent, status=status)


def lateness(took: float, dialled: float, where: str, asked: Asked) -> Iterator[Check]:
    """An answer after `took` seconds over a connection that itself took `dialled` seconds."""
    words = {"sent": asked.sent, "setting": asked.setting, "limit": milliseconds(asked.limit)}
    if took > asked.limit:
        yield Inside.UPSTREAM_LATE.at(where, took=milliseconds(took), **words)
    elif took + dialled > asked.limit:
        yield Inside.UPSTREAM_LATE_AT_FIRST.at(where, took=milliseconds(took + dialled), **words)
