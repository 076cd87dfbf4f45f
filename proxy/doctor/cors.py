"""Whether a browser lets a page read an answer, and send what it asks to send (Fetch standard, "CORS protocol").

Pure. Must not know which request was sent, or over what.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.doctor.asking import Answer
from proxy.doctor.outside_findings import Outside
from proxy.model.check import Check

ALLOW_ORIGIN: Final = "access-control-allow-origin"
ALLOW_CREDENTIALS: Final = "access-control-allow-credentials"
ALLOW_HEADERS: Final = "access-control-allow-headers"
EXPOSE_HEADERS: Final = "access-control-expose-headers"
MAX_AGE: Final = "access-control-max-age"
# What the SDK reads (its pause and its end), and what says when to come again.
EXPOSED: Final = ("X-Session-Replay-Event-Skipped", "Retry-After")
_MAX_AGE_LEAST: Final = 600
# Without the field; the Fetch standard's default.
_MAX_AGE_UNSAID: Final = 5
_LONGEST_NUMBER: Final = 12


def is_success(status: int) -> bool:
    return 200 <= status <= 299


def is_redirect(status: int) -> bool:
    return status in (301, 302, 303, 307, 308)


def is_readable(answer: Answer, origin: str) -> bool:
    """Whether a page of that origin gets to see the answer to a request without credentials."""
    return answer.values(ALLOW_ORIGIN) in ([origin], ["*"])


def readable(answer: Answer, where: str, origin: str, *, with_credentials: bool = False) -> Iterator[Check]:
    """What keeps a page of that origin from seeing the answer, and what would mislead a cache."""
    allowed = _values(answer, ALLOW_ORIGIN)
    if len(allowed) > 1:
        yield Outside.CORS_TWICE.at(where, field="Access-Control-Allow-Origin", values=", ".join(allowed))
    elif not allowed:
        yield Outside.CORS_MISSING.at(where)
    elif allowed == ["*"]:
        if with_credentials:
            yield Outside.CORS_STAR.at(where)
    elif allowed != [origin]:
        yield Outside.CORS_OTHER_ORIGIN.at(where, value=allowed[0], origin=origin)
    else:
        if with_credentials:
            yield from _credentials(answer, where)
        if not {"origin", "*"}.intersection(answer.listed("vary")):
            yield Outside.VARY_ORIGIN.at(where)


def _credentials(answer: Answer, where: str) -> Iterator[Check]:
    values = _values(answer, ALLOW_CREDENTIALS)
    if len(values) > 1:
        yield Outside.CORS_TWICE.at(where, field="Access-Control-Allow-Credentials", values=", ".join(values))
    elif values != ["true"]:
        yield Outside.CORS_NO_CREDENTIALS.at(where)


def _values(answer: Answer, name: str) -> list[str]:
    """Doubled as several lines, or as one line with commas: browsers see no difference."""
    return [value.strip() for line in answer.values(name) for value in line.split(",")]


def granted(answer: Answer, where: str, needed: str) -> Iterator[Check]:
    """What of the asked header names, a list with commas, is not allowed by a preflight's answer."""
    allowed = answer.listed(ALLOW_HEADERS)
    missing = [name for name in needed.split(",") if name not in allowed]
    if missing and "*" in allowed:
        yield Outside.ALLOW_HEADERS_STAR.at(where)
    elif missing:
        yield Outside.ALLOW_HEADERS.at(where, missing=", ".join(missing))


def remembered(answer: Answer, where: str) -> Iterator[Check]:
    """Whether a preflight's answer is kept for longer than the pause between two uploads."""
    text = answer.text(MAX_AGE)
    is_said = text.isdecimal() and len(text) < _LONGEST_NUMBER
    seconds = int(text) if is_said else _MAX_AGE_UNSAID
    if seconds < _MAX_AGE_LEAST:
        yield Outside.MAX_AGE.at(where, seconds=f"{seconds} s" if is_said else f"{seconds} s, as nothing is said")


def exposed(answer: Answer, where: str) -> Iterator[Check]:
    """What pages may not read of the fields that the SDK acts upon."""
    listed = answer.listed(EXPOSE_HEADERS)
    missing = [name for name in EXPOSED if name.lower() not in listed]
    if missing and "*" not in listed:
        yield Outside.EXPOSE_HEADERS.at(where, missing=", ".join(missing))
