"""The settings as a whole HAProxy configuration: a frontend with the rules, two backends for each region. HAProxy 2.6
and newer. Must not know where the file is put.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export.gaps import Place, Server, gaps
from proxy.export.haproxy_backend import backend, vendor
from proxy.export.haproxy_rules import answer_rules, remembered, request_rules, routing
from proxy.export.layout import comment, document, indented
from proxy.export.plan import (
    Plan,
    milliseconds,
)
from proxy.export.quoting import file_name
from proxy.export.quoting import haproxy as quoted
from proxy.model.verdict import Route
from proxy.settings import Address, Listener
from proxy.settings.network import bracketed


def haproxy(plan: Plan) -> str:
    """The whole file."""
    return document(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield from comment(
        "HAProxy (2.6 or newer) for session-replay traffic, exported from the gateway's settings. Check it with "
        "`haproxy -c -f FILE`."
    )
    if plan.set_headers:
        yield from comment("It holds the values of headers.upstream.set: keep it from others' eyes.")
    yield from _section("global", _global())
    yield from gaps(plan, Server.HAPROXY, Place.UPSTREAM)
    yield from _section("resolvers replay", _resolvers(plan))
    yield from _section("defaults", _defaults(plan))
    yield from _section("frontend replay", _frontend(plan))
    for region in plan.regions:
        for route, upstream in region.routes:
            yield from _section(f"backend {backend(region, route)}", vendor(plan, region, route, upstream))


def _section(head: str, lines: Iterator[str]) -> Iterator[str]:
    yield head
    yield from indented(lines)
    yield ""


def _global() -> Iterator[str]:
    yield "ssl-default-bind-options ssl-min-ver TLSv1.2"
    yield "ssl-default-server-options ssl-min-ver TLSv1.2"
    yield from comment("Whole answers with long fields must fit; uploads pass through the buffer piece by piece.")
    yield "tune.bufsize 65536"
    yield "tune.maxrewrite 8192"
    yield "tune.http.maxhdr 128"


def _resolvers(plan: Plan) -> Iterator[str]:
    yield "parse-resolv-conf"
    yield f"hold valid {milliseconds(plan.settings.timeouts.resolve)}"


def _defaults(plan: Plan) -> Iterator[str]:
    times = plan.settings.timeouts
    yield "mode http"
    yield "no log"
    yield from gaps(plan, Server.HAPROXY, Place.TIMES)
    yield f"timeout client {milliseconds(times.client_body_idle)}"
    yield f"timeout http-request {milliseconds(times.client_head)}"
    yield f"timeout http-keep-alive {milliseconds(times.keep_alive)}"
    yield from comment("Idle connections to the vendor are for whoever comes next.")
    yield "http-reuse always"
    yield from comment("Nothing is sent twice that the vendor may have got.")
    yield "retries 1"
    yield "retry-on conn-failure"
    yield from comment("Names with an underscore pass for another name in some languages: gone.")
    yield "option http-restrict-req-hdr-names delete"


def _frontend(plan: Plan) -> Iterator[str]:
    for listener in plan.settings.listen:
        yield from _bind(plan, listener)
    yield ""
    yield from gaps(plan, Server.HAPROXY, Place.REQUESTS)
    yield from remembered(plan)
    yield ""
    yield from answer_rules(plan)
    yield ""
    yield from routing(plan)
    yield ""
    yield from request_rules(plan)
    yield ""
    yield from _regions(plan)


def _bind(plan: Plan, listener: Listener) -> Iterator[str]:
    address = listener.address
    others = {each.address for each in plan.settings.listen}
    v4v6 = " v4v6" if address.host == "::" and Address("0.0.0.0", address.port) not in others else ""
    place = quoted(f"{bracketed(address.host)}:{address.port}", "listen.address")
    if listener.tls is None:
        yield f"bind {place}{v4v6}"
        return
    yield from comment(f"This file must hold the key, too ({listener.tls.key}): append it, or name a file with both.")
    certificate = file_name(quoted, listener.tls.certificate, "listen.tls.certificate")
    yield f"bind {place}{v4v6} ssl crt {certificate} ssl-min-ver TLSv{listener.tls.min_version} alpn h2,http/1.1"


def _regions(plan: Plan) -> Iterator[str]:
    yield from gaps(plan, Server.HAPROXY, Place.REGIONS)
    by_host = [region for region in plan.regions if not region.is_fallback]
    for region in by_host:
        hosts = " ".join(quoted(host, "region.hosts") for host in region.hosts)
        yield f"acl host_{region.name} req.hdr(Host),host_only,rtrim(.),lower -m str {hosts}"
    if not plan.has_fallback:
        known = " ".join(f"!host_{region.name}" for region in by_host)
        yield from comment("A host that no rule names is refused, never sent to a region by chance.")
        yield f"http-request return status 421 content-type text/plain string 'no rule gives its region' if {known}"
    for region in plan.regions:
        host = "" if region.is_fallback else f" host_{region.name}"
        yield from (f"use_backend {backend(region, route)} if {route.value}{host}" for route in Route)
