"""The control API: asks for records, gives rules. JSON over HTTP, served by aiohttp.

Must not know how requests are read or answered.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any

import orjson
from aiohttp import web

from proxy.standin.behaviour import BehaviourError, Rule
from proxy.standin.site import Vendor

BATCH = 500  # records encoded in one go, some 5 ms in which nobody else is served
BODY_LIMIT = 64 << 20  # rules may carry bodies in base64

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def as_json(value: object, status: int = 200) -> web.Response:
    """An answer of this API."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns a wrong order into a 400 that says what is wrong with it."""
    try:
        return await handler(request)
    except (BehaviourError, json.JSONDecodeError, OrderError) as error:
        return as_json({"error": str(error)}, 400)


class OrderError(ValueError):
    """A wrong argument of this API; the text says what is expected."""


class Control:
    """The handlers, over one Vendor."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(middlewares=[explain], client_max_size=BODY_LIMIT)
        application.add_routes(
            [
                web.get("/requests", self.requests),
                web.delete("/requests", self.forget),
                web.get("/counts", self.counts),
                web.get("/digests", self.digests),
                web.get("/bodies/{seq}", self.body),
                web.put("/options", self.options),
                web.get("/behaviour", self.rules),
                web.put("/behaviour", self.replace),
                web.post("/behaviour", self.append),
                web.delete("/behaviour", self.clear),
            ]
        )
        return application

    async def requests(self, request: web.Request) -> web.StreamResponse:
        """Records younger than `since`, of one site or all, streamed in batches."""
        since = number(request.query.get("since", "0"), "since")
        records = self._vendor.log.since(since, request.query.get("site"))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        separator = b"["
        while batch := [record.as_json() for record in islice(records, BATCH)]:
            await response.write(separator + orjson.dumps(batch)[1:-1])
            separator = b","
        await response.write(b"[]" if separator == b"[" else b"]")
        await response.write_eof()
        return response

    async def forget(self, request: web.Request) -> web.Response:
        self._vendor.log.clear()
        return as_json({})

    async def counts(self, request: web.Request) -> web.Response:
        return as_json({site: counts.as_json() for site, counts in self._vendor.log.counts.items()})

    async def digests(self, request: web.Request) -> web.Response:
        return as_json(self._vendor.log.digests())

    async def body(self, request: web.Request) -> web.Response:
        body = self._vendor.log.body(number(request.match_info["seq"], "the number of the request"))
        if body is None:
            return as_json({"error": 'not kept; PUT /options {"keep_bodies": N} before the request'}, 404)
        return web.Response(body=body, content_type="application/octet-stream")

    async def options(self, request: web.Request) -> web.Response:
        wanted = await order(request, dict)
        if wanted.keys() - {"keep_bodies", "check"}:
            raise OrderError("options are keep_bodies (a number) and check (true or false)")
        if "keep_bodies" in wanted:
            self._vendor.log.set_keep_bodies(number(wanted["keep_bodies"], "keep_bodies"))
        self._vendor.check = bool(wanted.get("check", self._vendor.check))
        return as_json({"keep_bodies": self._vendor.log.keep_bodies, "check": self._vendor.check})

    async def rules(self, request: web.Request) -> web.Response:
        return as_json([rule.json for rule in self._vendor.behaviour.rules])

    async def replace(self, request: web.Request) -> web.Response:
        rules = [self._rule(json) for json in await order(request, list)]
        self._vendor.behaviour.replace(rules)
        return await self.rules(request)

    async def append(self, request: web.Request) -> web.Response:
        self._vendor.behaviour.append(self._rule(await order(request, dict)))
        return await self.rules(request)

    async def clear(self, request: web.Request) -> web.Response:
        self._vendor.behaviour.replace([])
        return as_json([])

    def _rule(self, json: object) -> Rule:
        if not isinstance(json, dict):
            raise OrderError("a rule is an object with match, action and the action's parameters")
        rule = Rule(json)
        site = json.get("match", {}).get("site")
        if site is not None and site not in self._vendor.log.counts:
            raise OrderError(f"match: no site {site!r}; there are {', '.join(self._vendor.log.counts)}")
        return rule


async def order(request: web.Request, wanted: type) -> Any:
    """The JSON body of a request, which must be of type `wanted`."""
    value = json.loads(await request.read() or b"null")
    if not isinstance(value, wanted):
        raise OrderError(f"the body must be a JSON {'array' if wanted is list else 'object'}")
    return value


def number(value: object, name: str) -> int:
    """A number of 0 or more."""
    if not str(value).isdecimal():
        raise OrderError(f"{name} must be a number, 0 or more")
    return int(str(value))
