"""What arrived at a stand-in vendor behind the proxy (`python -m proxy.standin`): only there is to be seen what became
of bodies, cookies, names and connections.

Asks its control address over HTTP; shares no code with it. Must not know what a proxy answers to clients, but for when
the vendor breaks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from proxy.doctor import cors
from proxy.doctor.asking import Asker, NoAnswerError
from proxy.doctor.browser import COOKIE, FORGED_ADDRESS, Request, Sdk
from proxy.doctor.finding import fine
from proxy.doctor.outside_findings import Outside
from proxy.doctor.uploads import Visit
from proxy.model.check import Check

Record = dict[str, Any]

# What makes the stand-in reset the connection before it answers.
_BREAK: Final = "&standin=reset_before_answer"
_FEWEST: Final = 4  # requests by which one can judge whether connections are kept


class StandIn:
    """One stand-in, by the URL of its control address, and what it has seen since `begin`."""

    def __init__(self, control: str, asker: Asker) -> None:
        self._control = control.rstrip("/")
        self._asker = asker
        self._since = 0

    async def begin(self) -> None:
        """From here on. Raises NoAnswerError."""
        self._since = max((record["seq"] for record in await self._records()), default=0)

    async def check_arrivals(self, visit: Visit) -> list[Check]:
        """Looks at what the other steps have sent."""
        records = await self._records()
        found = [*about_upload(records, visit.sdk), *about_fields(records)]
        found += [*about_names(records), *about_connections(records)]
        return found or [fine("at the stand-in", self._control, f"{len(records)} requests arrived as they were sent")]

    async def check_failure(self, visit: Visit) -> list[Check]:
        """The vendor breaks off; a page must be able to read what the proxy makes of it."""
        upload = visit.sdk.upload()
        request = upload._replace(name="upload to a vendor that breaks", url=upload.url + _BREAK)
        try:
            answer = await visit.asker.ask(request)
        except NoAnswerError as error:
            return [Outside.FAILURE_UNREADABLE.at(request.name, what=f"none: {error}")]
        if answer.status < 500 or not cors.is_readable(answer, visit.sdk.origin):
            return [Outside.FAILURE_UNREADABLE.at(request.name, what=str(answer.status))]
        return [fine(request.name, visit.sdk.track, f"answered {answer.status}, and the page can read it")]

    async def _records(self) -> list[Record]:
        url = f"{self._control}/requests?since={self._since}"
        answer = await self._asker.ask(Request("records of the stand-in", "GET", url, ()))
        try:
            records: list[Record] = json.loads(answer.body)
            return [record for record in records if isinstance(record["seq"], int)]
        except (ValueError, TypeError, KeyError):
            raise NoAnswerError(f"{url} is not the control address of a stand-in") from None


def _values(record: Record, name: str) -> list[str]:
    return [value for each, value in record["headers"] if each.lower() == name]


def about_upload(records: list[Record], sdk: Sdk) -> Iterator[Check]:
    """Whether the compressed one arrived, byte for byte."""
    request = sdk.upload()
    posts = [record for record in records if record["method"] == "POST" and record["complete"]]
    compressed = [record for record in posts if _values(record, "content-encoding") == ["gzip"]]
    if not compressed:
        yield Outside.NOT_ARRIVED.at(request.name)
    elif all(record["body_sha256"] != sha256(request.body).hexdigest() for record in compressed):
        yield Outside.BODY_ALTERED.at(request.name)


def about_fields(records: list[Record]) -> Iterator[Check]:
    """What the vendor should not have been told."""
    if any(COOKIE in value for record in records for value in _values(record, "cookie")):
        yield Outside.COOKIE_FORWARDED.at("upload on leaving")
    if any(FORGED_ADDRESS in value for record in records for value in _values(record, "x-forwarded-for")):
        yield Outside.FORGED_ADDRESS.at("upload with Expect")


def about_names(records: list[Record]) -> Iterator[Check]:
    """Host and TLS server name must be one; without TLS there is nothing to compare Host with."""
    for record in records:
        host = "".join(_values(record, "host")).rpartition(":")[0] or "".join(_values(record, "host"))
        if record["tls_version"] and record["tls_sni"] != host.lower():
            told = f"Host is {host}, the TLS server name {record['tls_sni'] or 'missing'}"
            yield Outside.WRONG_NAME.at("at the stand-in", what=told)
            return


def about_connections(records: list[Record]) -> Iterator[Check]:
    """Whether any was used twice."""
    connections = {record["connection"] for record in records}
    if len(records) >= _FEWEST and len(connections) == len(records):
        told = f"{len(records)} requests, {records[0]['version']}"
        yield Outside.UPSTREAM_CLOSES.at("at the stand-in", what=told)
