"""Whether uploads get through: their preflight, compressed and plain bodies, a large one, what a leaving page sends.

Each function is one step and gives its findings, or one line that all is well. A step whose request gets no answer
raises NoAnswerError. Must not know in which order the steps come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from proxy.doctor import cors
from proxy.doctor.asking import Answer, Asker, NoAnswerError
from proxy.doctor.browser import FORGED_ADDRESS, JUST_ABOVE_1_MIB, LARGE, UPLOAD_HEADERS, Request, Sdk
from proxy.doctor.dialling import milliseconds
from proxy.doctor.finding import fine
from proxy.doctor.outside_findings import Outside
from proxy.model.check import Check

_REFUSED_METHOD = (405, 501)
_EXPECTATION_FAILED = 417
_TOO_MANY = 429


class Visit(NamedTuple):
    """What is sent, and who sends it."""

    sdk: Sdk
    asker: Asker


async def check_upload_preflight(visit: Visit) -> list[Check]:
    request = visit.sdk.upload_preflight()
    answer = await visit.asker.ask(request)
    found = list(preflight(answer, request.name, visit.sdk.origin, UPLOAD_HEADERS))
    if cors.is_success(answer.status):
        found += cors.remembered(answer, request.name)
    return found or [told(request, answer, visit.sdk.track)]


async def check_foreign_origin(visit: Visit) -> list[Check]:
    """Whether a page of nobody's is let in. `*` is no news here: it shows with the upload on leaving."""
    foreign = visit.sdk.foreign()
    request = foreign.upload_preflight()
    answer = await visit.asker.ask(request)
    where = "preflight from another page"
    if answer.values(cors.ALLOW_ORIGIN) == [foreign.origin]:
        return [Outside.ANY_ORIGIN.at(where, origin=foreign.origin)]
    return [fine(where, foreign.track, f"{foreign.origin} is not allowed by its name")]


async def check_upload(visit: Visit) -> list[Check]:
    """Compressed, and the same uncompressed: whoever unpacks on the way and says nothing shows by the difference."""
    request, plain = visit.sdk.upload(), visit.sdk.plain_upload()
    answer, plain_answer = await visit.asker.ask(request), await visit.asker.ask(plain)
    found = list(answered(answer, request.name))
    if cors.is_redirect(answer.status):
        return found
    if answer.status != plain_answer.status and is_error(answer):
        found.append(Outside.GZIP_ALTERED.at(request.name, compressed=answer.status, plain=plain_answer.status))
    found += upload_status(plain_answer, request.name, visit.sdk)
    found += cors.readable(answer, request.name, visit.sdk.origin)
    found += cors.exposed(answer, request.name)
    return found or [told(request, answer, visit.sdk.track)]


def upload_status(answer: Answer, where: str, sdk: Sdk) -> Iterator[Check]:
    """What the status of an upload says of the way to the vendor. With an invented key the vendor's own 4xx is fine."""
    status = answer.status
    if status == 404:
        yield Outside.PATH_UNKNOWN.at(where)
    elif status in _REFUSED_METHOD:
        yield Outside.METHOD_REFUSED.at(where, status=status)
    elif status >= 500:
        yield Outside.UPLOAD_BROKEN.at(where, status=status)
    elif status >= 400 and not sdk.is_invented:
        yield Outside.UPLOAD_REFUSED.at(where, status=status)


async def check_large_upload(visit: Visit) -> list[Check]:
    """Half of the SDK's largest batch; if it is refused, also one just above a usual limit."""
    request, usual = visit.sdk.plain_upload(LARGE), await visit.asker.ask(visit.sdk.plain_upload())
    how, answer = await _refusal(visit, request, usual)
    if not how:
        return [told(request, answer, visit.sdk.track)] if answer else []
    smaller, _ = await _refusal(visit, visit.sdk.plain_upload(JUST_ABOVE_1_MIB), usual)
    small = f", and so is one of {JUST_ABOVE_1_MIB / 1e6:g} MB" if smaller else ""
    return [Outside.BODY_LIMIT.at(request.name, size=f"{LARGE / 1e6:g} MB", how=how, small=small)]


async def _refusal(visit: Visit, request: Request, usual: Answer) -> tuple[str, Answer | None]:
    """How it is refused, "" if it is not, and its answer if there is one."""
    try:
        answer = await visit.asker.ask(request)
    except NoAnswerError as error:
        return f"cut off ({error})", None
    if answer.status == usual.status or not is_error(answer):
        return "", answer
    unreadable = "" if cors.is_readable(answer, visit.sdk.origin) else " in a way that pages can't read"
    return f"answered {answer.status}{unreadable}", answer


async def check_expectation(visit: Visit) -> list[Check]:
    """As programs send that are no browsers: the body only after a `100 Continue`, and an address made up."""
    plain = visit.sdk.plain_upload()
    request = plain._replace(
        name="upload with Expect", fields=(*plain.fields, ("X-Forwarded-For", FORGED_ADDRESS), ("Connection", "close"))
    )
    usual = await visit.asker.ask(plain)
    try:
        answer = await visit.asker.ask_first(request)
    except NoAnswerError:
        return [Outside.EXPECT_IGNORED.at(request.name)]
    if answer.status == _EXPECTATION_FAILED or (answer.status != usual.status and is_error(answer)):
        return [Outside.EXPECT_REFUSED.at(request.name, status=answer.status)]
    return [told(request, answer, visit.sdk.track)]


async def check_leaving(visit: Visit) -> list[Check]:
    """Preflight and upload of a page that is left: with credentials, so that `*` does not do."""
    first, request = visit.sdk.beacon_preflight(), visit.sdk.beacon()
    granted, answer = await visit.asker.ask(first), await visit.asker.ask(request)
    found = list(preflight(granted, first.name, visit.sdk.origin, "content-type", with_credentials=True))
    found += answered(answer, request.name)
    if not cors.is_redirect(answer.status):
        found += cors.readable(answer, request.name, visit.sdk.origin, with_credentials=True)
    return found or [told(request, answer, visit.sdk.track)]


def preflight(
    answer: Answer, where: str, origin: str, headers: str, *, with_credentials: bool = False
) -> Iterator[Check]:
    """What keeps a browser from sending what it asked for."""
    yield from answered(answer, where)
    if cors.is_redirect(answer.status):
        return
    if not cors.is_success(answer.status):
        yield Outside.PREFLIGHT_STATUS.at(where, status=answer.status)
        return
    yield from cors.readable(answer, where, origin, with_credentials=with_credentials)
    yield from cors.granted(answer, where, headers)


def answered(answer: Answer, where: str) -> Iterator[Check]:
    """What no answer may do, whatever it is to."""
    if cors.is_redirect(answer.status):
        location = answer.text("location") or "nowhere"
        yield Outside.REDIRECT.at(where, status=answer.status, location=location)
    for name in dict.fromkeys(value.partition("=")[0].strip() for value in answer.values("set-cookie")):
        yield Outside.SET_COOKIE.at(where, name=name)


def is_error(answer: Answer) -> bool:
    """Whether the status says that something is wrong, other than that it is too often."""
    return answer.status >= 400 and answer.status != _TOO_MANY


def told(request: Request, answer: Answer, where: str) -> Check:
    """That a request was answered as it should be. `where` is its address, without what differs between visitors."""
    size = f" with {len(request.body):,} bytes" if request.body else ""
    reason = answer.text("x-gateway-reason")
    by = f" by the gateway itself ({reason})" if reason else ""
    what = f"{request.method}{size}: {answer.status}{by} in {milliseconds(answer.seconds)}"
    return fine(request.name, where, what)
