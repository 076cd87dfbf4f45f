"""What the exported Caddy does with a request that it carries: the size, the vendor's path, fields, names and
connections. Must not know how requests are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import block, comment
from proxy.export.plan import Plan, Region, answer_time, connect_time, milliseconds
from proxy.export.quoting import caddy as quoted
from proxy.export.quoting import file_name
from proxy.model.verdict import Route
from proxy.settings import Upstream

_REMOVED_FROM_ANSWERS = (
    "Access-Control-*",
    "Set-Cookie",
    "Strict-Transport-Security",
    "Alt-Svc",
    "Clear-Site-Data",
    "NEL",
    "X-Request-Id",
    "Server",
)
_REMOVED_FROM_REQUESTS = (
    "Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "HTTP2-Settings",
    "Proxy-Authorization",
)


def handled(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    path, limit = f"upstreams.{region.name}.{route.value}", plan.settings.limits.body
    if route is Route.TRACK:
        yield from gaps(plan, Server.CADDY, Place.BODIES, region)
        yield from comment("By the length that is announced, and by what arrives where none is.")
        yield (f'@too_large expression `{{header.Content-Length}} != "" && int({{header.Content-Length}}) > {limit}`')
        yield "error @too_large 413"
        yield from block("request_body", [f"max_size {limit}"])
    target = quoted(upstream.path or ("/" if route is Route.TRACK else ""), f"{path}.url")
    key = "{re.config.2}" if route is Route.CONFIG else ""
    yield f'rewrite * {target[:-1]}{key}"'
    scheme = "https" if upstream.tls else "http"
    proxy = block(f"reverse_proxy {scheme}://{upstream.dialled}", _proxy(plan, route, upstream, path))
    yield from proxy


def _proxy(plan: Plan, route: Route, upstream: Upstream, path: str) -> Iterator[str]:
    yield from comment("The vendor's own CORS fields, and what a third party must not set for your domain.")
    yield from (f"header_down -{name}" for name in _REMOVED_FROM_ANSWERS)
    yield f"header_up Host {quoted(upstream.authority, f'{path}.url')}"
    forward = plan.settings.client_ip.forward
    told = {"full": " {http.vars.visitor}", "truncate": " {told}", "none": ""}[forward]
    fields = {
        "X-Forwarded-For": told,
        "X-Real-IP": told,
        "X-Forwarded-Proto": " {http.vars.scheme}",
        "X-Forwarded-Host": " {hostport}",
        "X-Request-Id": " {id}",
        **dict.fromkeys(_REMOVED_FROM_REQUESTS, ""),
    }
    for name, value in fields.items():
        if name.lower() not in plan.edited:
            yield f"header_up {name}{value}" if value else f"header_up -{name}"
    for name, secret in plan.set_headers.items():
        yield f"header_up {name} {quoted(secret, f'headers.upstream.set.{name}')}"
    set_names = {name.lower() for name in plan.set_headers}
    yield from (f"header_up -{name}" for name in plan.removed if name.lower() not in set_names)
    yield from block("transport http", _transport(plan, route, upstream, path))


def _transport(plan: Plan, route: Route, upstream: Upstream, path: str) -> Iterator[str]:
    if upstream.tls:
        yield f"tls_server_name {quoted(upstream.host, f'{path}.url')}"
    if upstream.tls and upstream.ca_file:
        yield f"tls_trusted_ca_certs {file_name(quoted, upstream.ca_file, f'{path}.ca_file')}"
    idle = plan.settings.limits.upstream_idle
    yield "versions 1.1"
    yield "compression off"
    yield f"dial_timeout {milliseconds(connect_time(plan.settings, route))}"
    yield f"response_header_timeout {milliseconds(answer_time(plan.settings, route))}"
    if not idle:
        yield "keepalive off"
        return
    yield f"keepalive {milliseconds(plan.settings.timeouts.upstream_idle)}"
    yield f"keepalive_idle_conns {2 * idle}"
    yield f"keepalive_idle_conns_per_host {idle}"
