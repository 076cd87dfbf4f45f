"""The settings as a whole Caddyfile: one site for each address, all with the same rules. Caddy 2.6 and newer.

Must not know where the file is put.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export import patterns
from proxy.export.caddy_upstream import handled
from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import block, comment, document
from proxy.export.plan import (
    ExportError,
    Plan,
    Region,
    foreign_status,
    methods,
    milliseconds,
    public_paths,
)
from proxy.export.quoting import caddy as quoted
from proxy.export.quoting import file_name
from proxy.model.verdict import Route
from proxy.settings import Listener, Upstream


def caddy(plan: Plan) -> str:
    """The whole file."""
    return document(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield from comment(
        "Caddy (2.6 or newer) for session-replay traffic, exported from the gateway's settings. Check it with "
        "`caddy validate --adapter caddyfile --config FILE`."
    )
    if plan.set_headers:
        yield from comment("It holds the values of headers.upstream.set: keep it from others' eyes.")
    yield from block("", _global(plan))
    yield ""
    yield from block("(replay)", _rules(plan))
    yield from _sites(plan.settings.listen)


def _global(plan: Plan) -> Iterator[str]:
    yield "admin off"
    yield from comment("Certificates are the files that the settings name. Without this line Caddy gets its own.")
    yield "auto_https off"
    yield from comment("For clients that name no host in TLS; any name that your certificate has will do.")
    yield "default_sni localhost"
    yield f"grace_period {milliseconds(plan.settings.timeouts.drain)}"
    yield from gaps(plan, Server.CADDY, Place.TIMES)
    yield from block("servers", _servers(plan))


def _servers(plan: Plan) -> Iterator[str]:
    times = plan.settings.timeouts
    yield "protocols h1 h2"
    yield f"max_header_size {plan.settings.limits.head}"
    timeouts = (f"read_header {milliseconds(times.client_head)}", f"idle {milliseconds(times.keep_alive)}")
    yield from block("timeouts", timeouts)


def _sites(listeners: tuple[Listener, ...]) -> Iterator[str]:
    """One site for each port: Caddy tells sites apart by port, not by address."""
    by_port: dict[int, list[Listener]] = {}
    for listener in listeners:
        by_port.setdefault(listener.address.port, []).append(listener)
    for port, same in by_port.items():
        if any(listener.tls != same[0].tls for listener in same):
            raise ExportError("listen", f"Caddy has one kind of TLS for port {port}: give its addresses the same")
        yield ""
        yield from _site(port, same)


def _site(port: int, listeners: list[Listener]) -> Iterator[str]:
    lines = [f"bind {' '.join(listener.address.host for listener in listeners)}"]
    tls = listeners[0].tls
    if tls:
        named = (("certificate", tls.certificate), ("key", tls.key))
        files = (file_name(quoted, file, f"listen.tls.{name}") for name, file in named)
        lines += block(f"tls {' '.join(files)}", [f"protocols tls{tls.min_version} tls1.3"])
    yield from block(f"{'https' if tls else 'http'}://:{port}", [*lines, "import replay"])


def _rules(plan: Plan) -> Iterator[str]:
    yield from gaps(plan, Server.CADDY, Place.REQUESTS)
    yield from block("route", _route_in_order(plan))
    yield ""
    yield from block("handle_errors", _errors(plan))


def _route_in_order(plan: Plan) -> Iterator[str]:
    yield from _request_id()
    yield ""
    yield from _cors(plan)
    yield ""
    yield from _addresses(plan)
    yield from _cookies(plan)
    for route in Route:
        yield ""
        yield from _own_answers(plan, route)
    yield ""
    yield from gaps(plan, Server.CADDY, Place.REGIONS)
    yield from gaps(plan, Server.CADDY, Place.UPSTREAM)
    for region in plan.regions:
        for route, upstream in region.routes:
            yield from _carried(plan, region, route, upstream)
            yield ""
    if not plan.has_fallback:
        yield from comment("A host that no rule names is refused, never sent to a region by chance.")
        for route in Route:
            yield from _own(f"@lost_{route.value}", _path(plan, route), ['respond "no rule gives its region" 421'])
    yield from block("handle", ['respond "no such path" 404'])


def _path(plan: Plan, route: Route) -> str:
    paths = public_paths(plan.settings, route)
    pattern = patterns.track(paths) if route is Route.TRACK else patterns.config(paths)
    return f"path_regexp {route.value} {quoted(pattern, 'paths')}"


def _own(matcher: str, conditions: str | list[str], answer: list[str]) -> Iterator[str]:
    yield from block(matcher, [conditions] if isinstance(conditions, str) else conditions)
    yield from block(f"handle {matcher}", answer)


def _request_id() -> Iterator[str]:
    yield from comment(
        "A request has one id, in the vendor's log and in the browser: the client's if it is a sane one."
    )
    sane = f'"~{patterns.REQUEST_ID}" "${{0}}"'
    yield from block("map {header.X-Request-Id} {id}", [sane, "default {http.request.uuid}"])


def _allowed(plan: Plan) -> str:
    return quoted(patterns.any_of(map(patterns.origin, plan.settings.cors.allow_origins)), "cors.allow_origins")


def _cors(plan: Plan) -> Iterator[str]:
    yield from comment(
        "On every answer, those of Caddy's own included: what the SDK can't read, it drops. The origin itself and "
        "never `*`: beacons are sent with credentials."
    )
    yield from gaps(plan, Server.CADDY, Place.CORS)
    yield f"@known_origin header_regexp Origin {_allowed(plan)}"
    fields = (
        "Access-Control-Allow-Origin {header.Origin}",
        "Access-Control-Allow-Credentials true",
        f"Access-Control-Expose-Headers {quoted(plan.expose_headers, 'cors.expose_headers')}",
    )
    yield from block("header @known_origin", fields)
    yield "header Vary Origin"
    yield "header X-Request-Id {id}"
    yield from comment("Configurations must be fresh, or a cache on the way would undo a kill switch.")
    yield "header ?Cache-Control no-store"
    yield "header -Server"


def _addresses(plan: Plan) -> Iterator[str]:
    client_ip = plan.settings.client_ip
    yield from gaps(plan, Server.CADDY, Place.ADDRESSES)
    yield "vars visitor {remote_host}"
    yield "vars scheme {scheme}"
    if client_ip.trusted_proxies:
        networks = f"remote_ip {' '.join(map(str, client_ip.trusted_proxies))}"
        hop = quoted("(^|,) *([0-9a-fA-F:.]+) *$", "")
        yield from block("@told_address", [networks, f"header_regexp hop X-Forwarded-For {hop}"])
        yield "vars @told_address visitor {re.hop.2}"
        yield from block("@told_scheme", [networks, 'header_regexp X-Forwarded-Proto "^https?$"'])
        yield "vars @told_scheme scheme {header.X-Forwarded-Proto}"
    yield from comment(f"What the vendor is told of the visitor's address (client_ip.forward: {client_ip.forward}).")
    if client_ip.forward == "truncate":
        yield from block("map {http.vars.visitor} {told}", _networks())


def _networks() -> Iterator[str]:
    for pattern, (before, group, after) in patterns.NETWORKS:
        told = f"{before}${{{group}}}{after}" if group else before
        yield f'{quoted(f"~{pattern}", "")} "{told}"'
    yield 'default ""'


def _cookies(plan: Plan) -> Iterator[str]:
    names = plan.settings.headers.forward_cookies
    if not names:
        yield "request_header -Cookie"
        return
    yield from comment("The cookies of headers.forward_cookies, and no others.")
    for number, name in enumerate(names, 1):
        found = quoted(f"~{patterns.cookie(name)}", "headers.forward_cookies")
        yield from block(f"map {{header.Cookie}} {{cookie_{number}}}", [f'{found} "${{2}}; "', 'default ""'])
    joined = "".join(f"{{cookie_{number}}}" for number in range(1, len(names) + 1))
    yield from block(f'map "{joined}" {{cookies}}', ['"~^(.+); $" "${1}"', 'default ""'])
    yield "request_header Cookie {cookies}"
    yield '@no_cookies expression `{cookies} == ""`'
    yield "request_header @no_cookies -Cookie"


def _own_answers(plan: Plan, route: Route) -> Iterator[str]:
    """Preflights, pages that are not allowed, and methods that are none of the route's."""
    name, path, listed = route.value, _path(plan, route), ", ".join(methods(route))
    fields = (
        f'Access-Control-Allow-Methods "{listed}"',
        f"Access-Control-Allow-Headers {quoted(plan.allow_headers, 'cors.allow_headers')}",
        f"Access-Control-Max-Age {plan.max_age}",
    )
    yield from _own(
        f"@preflight_{name}", ["method OPTIONS", path], [*block("header @known_origin", fields), "respond 204"]
    )
    if plan.refuses_foreign:
        foreign = [path, "header Origin *", f"not header_regexp Origin {_allowed(plan)}"]
        yield from _own(f"@foreign_{name}", foreign, [f'respond "foreign origin" {foreign_status(route)}'])
    others = [path, f"not method {' '.join(methods(route))}"]
    yield from _own(f"@method_{name}", others, [f'header Allow "{listed}"', "respond 405"])


def _carried(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    matcher = f"@{route.value}_{region.name}"
    hosts = [] if region.is_fallback else [f"host {' '.join(quoted(host, 'region.hosts') for host in region.hosts)}"]
    yield from block(matcher, [_path(plan, route), *hosts])
    yield from block(f"handle {matcher}", handled(plan, region, route, upstream))


def _errors(plan: Plan) -> Iterator[str]:
    yield from comment("These words make the SDK halve its batch and send it again; any other 413 loses it.")
    yield "@large expression {err.status_code} == 413"
    yield f"respond @large {quoted(plan.too_large, 'limits.body')} 413"
    yield "respond {err.status_code}"
