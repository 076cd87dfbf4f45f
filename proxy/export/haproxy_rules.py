"""The rules of the exported HAProxy: who may ask for what, what the vendor is told, what the answer says. Must not know
of backends.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export import patterns
from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import comment
from proxy.export.plan import (
    Plan,
    foreign_status,
    methods,
)
from proxy.export.quoting import haproxy as quoted
from proxy.export.quoting import haproxy_format as formatted
from proxy.model.verdict import Route

_HOPS = 4
_REMOVED_FROM_ANSWERS = (
    "Set-Cookie",
    "Strict-Transport-Security",
    "Alt-Svc",
    "Clear-Site-Data",
    "NEL",
    "Upgrade",
    "Proxy-Authenticate",
)
_REMOVED_FROM_REQUESTS = (
    "Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "Trailer",
    "Proxy-Authorization",
    "HTTP2-Settings",
)
_NETWORK_BITS = "24,48"


def remembered(plan: Plan) -> Iterator[str]:
    """What the answer needs of the request."""
    yield from comment("Pages that may read the answers, by their exact origin.")
    for allowed in plan.settings.cors.allow_origins:
        pattern = quoted(patterns.any_of([patterns.origin(allowed)]), "cors.allow_origins")
        yield f"acl known_origin req.fhdr(Origin) -m reg {pattern}"
    yield "acl one_origin req.fhdr_cnt(Origin) eq 1"
    yield "http-request set-var(txn.origin) req.fhdr(Origin) if one_origin known_origin"
    yield from comment(
        "A request has one id, in the vendor's log and in the browser: the client's if it is a sane one."
    )
    yield "http-request set-var(txn.id) uuid()"
    sane = quoted(patterns.REQUEST_ID, "")
    yield (
        "http-request set-var(txn.id) req.hdr(X-Request-Id) if { req.hdr_cnt(X-Request-Id) eq 1 }"
        f" {{ req.fhdr(X-Request-Id) -m reg {sane} }}"
    )


def answer_rules(plan: Plan) -> Iterator[str]:
    yield from comment(
        "Every answer, those of HAProxy's own included, must be readable by the page: what the SDK can't read, it "
        "drops. The vendor's own fields go, or they would be there twice. The origin itself and never `*`: beacons are "
        "sent with credentials."
    )
    yield from gaps(plan, Server.HAPROXY, Place.CORS)
    yield "http-after-response del-header access-control- -m beg"
    named, preflight = (
        "if { var(txn.origin) -m found }",
        "if { var(txn.origin) -m found } { var(txn.methods) -m found }",
    )
    fields = (
        ("Access-Control-Allow-Origin", "%[var(txn.origin)]", named),
        ("Access-Control-Allow-Credentials", "true", named),
        ("Access-Control-Expose-Headers", formatted(plan.expose_headers, "cors.expose_headers"), named),
        ("X-Request-Id", "%[var(txn.id)]", "if { var(txn.id) -m found }"),
        ("Access-Control-Allow-Methods", "%[var(txn.methods)]", preflight),
        ("Access-Control-Allow-Headers", formatted(plan.allow_headers, "cors.allow_headers"), preflight),
        ("Access-Control-Max-Age", str(plan.max_age), preflight),
    )
    yield from (f"http-after-response set-header {name} {value} {when}" for name, value, when in fields)
    yield "http-after-response add-header Vary Origin"
    yield from comment("Configurations must be fresh, or a cache on the way would undo a kill switch.")
    yield "http-after-response set-header Cache-Control no-store if !{ res.hdr(Cache-Control) -m found }"
    yield from comment("What a third party must not set for your domain.")
    yield from (f"http-after-response del-header {name}" for name in _REMOVED_FROM_ANSWERS)


def routing(plan: Plan) -> Iterator[str]:
    paths = plan.settings.paths
    yield from comment("The whole path, or else /sessions/v2/trackANYTHING would be forwarded, too.")
    yield f"acl track path -m reg {quoted(patterns.track(paths.track), 'paths.track')}"
    yield f"acl config path -m reg {quoted(patterns.config(paths.config), 'paths.config')}"
    yield "http-request return status 404 content-type text/plain string 'no such path' if !track !config"
    for route in Route:
        listed = ", ".join(methods(route))
        others = " ".join(f"!{{ method {method} }}" for method in methods(route))
        yield (
            f"http-request return status 405 content-type text/plain string 'not this method' hdr Allow '{listed}'"
            f" if {route.value} {others}"
        )
        yield f"http-request set-var-fmt(txn.methods) '{listed}' if {{ method OPTIONS }} {route.value}"
    yield "http-request return status 204 if { method OPTIONS }"
    if plan.refuses_foreign:
        yield from _foreign()
    yield from _too_large(plan)


def _foreign() -> Iterator[str]:
    for route in Route:
        yield (
            f"http-request return status {foreign_status(route)} content-type text/plain string 'foreign origin'"
            f" if {route.value} {{ req.fhdr(Origin) -m found }} !{{ var(txn.origin) -m found }}"
        )


def _too_large(plan: Plan) -> Iterator[str]:
    yield from gaps(plan, Server.HAPROXY, Place.BODIES)
    yield from comment("These words make the SDK halve its batch and send it again; any other 413 loses it.")
    yield (
        f"http-request return status 413 content-type text/plain string {quoted(plan.too_large, 'limits.body')}"
        f" if {{ req.hdr_val(Content-Length) gt {plan.settings.limits.body} }}"
    )


def request_rules(plan: Plan) -> Iterator[str]:
    yield from _addresses(plan)
    fields = {
        "X-Forwarded-Host": "%[req.hdr(Host)]",
        "X-Forwarded-Proto": "%[var(txn.scheme)]",
        "X-Request-Id": "%[var(txn.id)]",
    }
    for name, value in fields.items():
        if name.lower() not in plan.edited:
            yield f"http-request set-header {name} {value}"
    yield from _cookies(plan)
    yield from comment("Claims about the client, and fields of its connection only.")
    for name in _REMOVED_FROM_REQUESTS:
        if name.lower() not in plan.edited:
            yield f"http-request del-header {name}"
    for name in plan.removed:
        yield f"http-request del-header {name}"
    for name, value in plan.set_headers.items():
        yield f"http-request set-header {name} {formatted(value, f'headers.upstream.set.{name}')}"


def _addresses(plan: Plan) -> Iterator[str]:
    client_ip = plan.settings.client_ip
    yield from gaps(plan, Server.HAPROXY, Place.ADDRESSES)
    yield "http-request set-var(txn.scheme) str(http)"
    yield "http-request set-var(txn.scheme) str(https) if { ssl_fc }"
    if client_ip.trusted_proxies:
        networks = " ".join(map(str, client_ip.trusted_proxies))
        yield f"acl proxy_of_ours src {networks}"
        told = "{ req.hdr(X-Forwarded-Proto) -m str http https }"
        yield f"http-request set-var(txn.scheme) req.hdr(X-Forwarded-Proto) if proxy_of_ours {told}"
        said = ""
        for hop in range(1, _HOPS + 1):
            said += f" {{ req.hdr_ip(X-Forwarded-For,-{hop}) -m found }}"
            yield f"http-request set-src req.hdr_ip(X-Forwarded-For,-{hop}) if proxy_of_ours{said}"
    yield from comment(f"What the vendor is told of the visitor's address (client_ip.forward: {client_ip.forward}).")
    told = {"full": "%[src]", "truncate": f"%[src,ipmask({_NETWORK_BITS})]", "none": ""}[client_ip.forward]
    for name in ("X-Forwarded-For", "X-Real-IP"):
        if name.lower() not in plan.edited:
            yield f"http-request set-header {name} {told}" if told else f"http-request del-header {name}"


def _cookies(plan: Plan) -> Iterator[str]:
    names = plan.settings.headers.forward_cookies
    if not names:
        yield "http-request del-header Cookie"
        return
    yield from comment("The cookies of headers.forward_cookies, and no others.")
    for name in names:
        yield (
            f"http-request set-var-fmt(txn.cookies) '%[var(txn.cookies)]{name}=%[req.cook({name})]; '"
            f" if {{ req.cook({name}) -m found }}"
        )
    yield "http-request del-header Cookie"
    yield "http-request set-header Cookie %[var(txn.cookies),regsub('; $','')] if { var(txn.cookies) -m found }"
