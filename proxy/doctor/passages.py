"""What else a proxy lets through or answers: paths that only begin like the SDK's, wrong methods, unknown paths.

A step whose request gets no answer raises NoAnswerError. Must not know in which order the steps come.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from proxy.doctor import cors
from proxy.doctor.asking import Answer
from proxy.doctor.browser import UNKNOWN
from proxy.doctor.finding import fine
from proxy.doctor.outside_findings import Outside
from proxy.doctor.uploads import Visit
from proxy.model.check import Check

_BAD_REQUEST = 400


class _Likeness(NamedTuple):
    """By what an answer shows who gave it; its text may have an id or the time in it."""

    status: int
    kind: str
    origin: str


async def check_prefixes(visit: Visit) -> list[Check]:
    """Paths that only begin like the SDK's must be answered as one that nobody knows, or be refused as malformed."""
    sdk = visit.sdk
    root = "{0.scheme}://{0.netloc}".format(urlsplit(sdk.track))
    config_root = "{0.scheme}://{0.netloc}".format(urlsplit(sdk.config))
    let_through = []
    for method, url, unknown in (
        ("POST", f"{sdk.track}{UNKNOWN}", f"{root}/{UNKNOWN}"),
        ("GET", f"{sdk.config}{UNKNOWN}", f"{config_root}/{UNKNOWN}"),
        ("GET", f"{sdk.config}/../{UNKNOWN}", f"{config_root}/{UNKNOWN}"),
    ):
        usual = await visit.asker.ask(sdk.simple("unknown path", method, unknown))
        answer = await visit.asker.ask(sdk.simple("similar path", method, url))
        if answer.status != _BAD_REQUEST and _likeness(answer) != _likeness(usual):
            let_through.append(urlsplit(url).path)
    if let_through:
        return [Outside.PREFIX_MATCH.at("similar paths", path=" and ".join(let_through))]
    return [fine("similar paths", root, "what only begins like the paths of the SDK is not let through")]


def _likeness(answer: Answer) -> _Likeness:
    return _Likeness(answer.status, answer.text("content-type"), answer.text(cors.ALLOW_ORIGIN))


async def check_refusals(visit: Visit) -> list[Check]:
    """A wrong method, and a path below that of uploads."""
    sdk = visit.sdk
    requests = (
        sdk.simple("wrong method", "PUT", sdk.track),
        sdk.simple("unknown path", "POST", f"{sdk.track}/{UNKNOWN}"),
    )
    found = []
    for request in requests:
        answer = await visit.asker.ask(request)
        if answer.status >= 400 and not cors.is_readable(answer, sdk.origin):
            found.append(Outside.REFUSAL_UNREADABLE.at(request.name, status=answer.status))
    return found or [fine("refusals", sdk.track, "the page can read them")]
