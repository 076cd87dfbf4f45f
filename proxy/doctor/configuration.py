"""Whether the SDK gets its configuration: in time, as JSON, in both shapes in which it asks.

A step whose request gets no answer raises NoAnswerError. Must not know in which order the steps come.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Final

from proxy.doctor import cors
from proxy.doctor.asking import Answer
from proxy.doctor.browser import Sdk
from proxy.doctor.outside_findings import Outside
from proxy.doctor.uploads import Visit, answered, preflight, told
from proxy.model.check import Check

SDK_PATIENCE: Final = 1.0  # seconds
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_DECODED_MAX: Final = 8 * 1024 * 1024


async def check_configuration(visit: Visit, limit: float = SDK_PATIENCE) -> list[Check]:
    """Asked twice over one connection: what is late must be late twice, and the second shows whether it was kept."""
    request = visit.sdk.configuration()
    first = await visit.asker.ask(request)
    answer = await visit.asker.ask(request)
    found = list(answered(answer, request.name))
    if cors.is_redirect(answer.status):
        return found
    found += _status(answer, request.name, visit.sdk)
    found += cors.readable(answer, request.name, visit.sdk.origin)
    seconds = min(first.seconds, answer.seconds)
    if seconds > limit:
        found.append(Outside.CONFIG_LATE.at(request.name, seconds=f"{seconds:.1f}", limit=f"{limit:g}"))
    if not answer.is_reused:
        found.append(Outside.NO_KEEP_ALIVE.at(request.name))
    return found or [told(request, answer, visit.sdk.config)]


def _status(answer: Answer, where: str, sdk: Sdk) -> Iterator[Check]:
    """With an invented key the vendor's own 4xx is fine."""
    status = answer.status
    if cors.is_success(status):
        yield from about_content(answer, where)
    elif status >= 500:
        yield Outside.CONFIG_BROKEN.at(where, status=status)
    elif status >= 400 and not sdk.is_invented:
        yield Outside.CONFIG_REFUSED.at(where, status=status)
    elif status == 404:
        yield Outside.CONFIG_UNKNOWN.at(where, path=sdk.config)


def about_content(answer: Answer, where: str) -> Iterator[Check]:
    """What keeps the SDK from taking the body for a configuration."""
    kind = answer.text("content-type") or "no type"
    try:
        body = _decoded(answer)
    except zlib.error:
        yield Outside.CONFIG_CODING.at(where, coding=answer.text("content-encoding"))
        return
    if not _is_json(body):
        shown = f"{len(body)} bytes ({kind})" if body else "nothing"
        yield Outside.CONFIG_NOT_JSON.at(where, status=answer.status, kind=shown)
    elif "json" not in kind.lower():
        yield Outside.CONFIG_TYPE.at(where, kind=kind)


def _decoded(answer: Answer) -> bytes:
    """The body without its coding, of those that were offered, and not more than a configuration can have. Raises
    zlib.error."""
    if answer.text("content-encoding").lower() not in ("gzip", "x-gzip", "deflate"):
        return answer.body
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    body = inflater.decompress(answer.body, _DECODED_MAX)
    if not inflater.eof and len(body) < _DECODED_MAX:
        raise zlib.error("it ends in the middle")
    return body


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


async def check_old_shape(visit: Visit) -> list[Check]:
    """The key in the query: answered otherwise than in the path, it is not passed on."""
    request = visit.sdk.old_configuration()
    usual = await visit.asker.ask(visit.sdk.configuration())
    answer = await visit.asker.ask(request)
    if answer.status != usual.status and not cors.is_success(answer.status):
        path = visit.sdk.config
        return [Outside.CONFIG_OLD_SHAPE.at(request.name, status=answer.status, usual=usual.status, path=path)]
    return [told(request, answer, visit.sdk.config)]


async def check_config_preflight(visit: Visit) -> list[Check]:
    """One finding for whatever is wrong with it: the SDK itself asks no such thing."""
    request = visit.sdk.config_preflight()
    answer = await visit.asker.ask(request)
    wrong = [each for each in preflight(answer, request.name, visit.sdk.origin, "x-session-token") if _refuses(each)]
    if wrong:
        return [Outside.CONFIG_PREFLIGHT.at(request.name, why=", ".join(each.name for each in wrong))]
    return [told(request, answer, visit.sdk.config)]


def _refuses(check: Check) -> bool:
    # Header names that nobody listed are the operator's to allow.
    return check.state == "fail" and check.name not in (Outside.ALLOW_HEADERS.label, Outside.ALLOW_HEADERS_STAR.label)
