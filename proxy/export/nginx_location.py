"""One route of one region as a location of nginx: what is refused, what is sent to the vendor, and how. Must not know
more of upstream groups than their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy.export import patterns
from proxy.export.layout import block, comment
from proxy.export.plan import (
    Plan,
    Region,
    answer_time,
    connect_time,
    foreign_status,
    methods,
    milliseconds,
    public_paths,
)
from proxy.export.quoting import file_name, nginx_pattern
from proxy.export.quoting import nginx as quoted
from proxy.model.verdict import Route
from proxy.settings import Upstream

SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Claims about the client, and fields of its connection only.
_DROPPED = (
    "Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "Keep-Alive",
    "Trailer",
    "Proxy-Connection",
    "Proxy-Authorization",
    "HTTP2-Settings",
)


def location(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    paths = public_paths(plan.settings, route)
    if route is Route.TRACK:
        yield from comment("The whole path: without ^ and $, /sessions/v2/trackANYTHING would be forwarded, too.")
        pattern = patterns.track(paths)
    else:
        yield from comment("The path alone, or with one segment, the API key.")
        pattern = patterns.config(paths).replace(f"({patterns.KEY})?", f"(?<replay_key>({patterns.KEY})?)")
    quoted_pattern = nginx_pattern(pattern)
    yield from block(f'location ~ "{quoted_pattern[2:]}', _route(plan, region, route, upstream))


def _route(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    path = f"upstreams.{region.name}.{route.value}"
    refusal = [f"set $replay_allow {quoted(', '.join(methods(route)), '')};", "return 405;"]
    yield from block(f"if ($replay_{route.value}_refused)", refusal)
    yield from block("if ($request_method = OPTIONS)", _preflight(plan, route))
    if plan.refuses_foreign:
        yield f"if ($replay_foreign) {{ return {foreign_status(route)}; }}"
    yield from _request_fields(plan, upstream, path)
    yield from _times(plan, route)
    scheme = "https" if upstream.tls else "http"
    if upstream.tls:
        yield from _tls(upstream, path)
    target = quoted(upstream.path or ("/" if route is Route.TRACK else ""), f"{path}.url")[1:-1]
    key = "$replay_key" if route is Route.CONFIG else ""
    yield f'proxy_pass "{scheme}://{group(region, route)}{target}{key}$is_args$args";'


def _preflight(plan: Plan, route: Route) -> Iterator[str]:
    yield from comment("An add_header here switches off all that stand above, so they are repeated.")
    yield from named_origin()
    yield f"add_header Access-Control-Allow-Methods $replay_{route.value}_methods always;"
    yield "add_header Access-Control-Allow-Headers $replay_headers always;"
    yield "add_header Access-Control-Max-Age $replay_max_age always;"
    yield 'add_header Vary "Origin, Access-Control-Request-Headers, Access-Control-Request-Method" always;'
    yield "add_header X-Request-Id $replay_id always;"
    yield "return 204;"


def named_origin() -> Iterator[str]:
    yield "add_header Access-Control-Allow-Origin $replay_origin always;"
    yield "add_header Access-Control-Allow-Credentials $replay_credentials always;"


def _request_fields(plan: Plan, upstream: Upstream, path: str) -> Iterator[str]:
    yield from comment("One proxy_set_header switches off all that stand above: they are repeated in each location.")
    fields = {
        "Host": quoted(upstream.authority, f"{path}.url"),
        "Connection": '""',
        "Cookie": "$replay_cookies" if plan.settings.headers.forward_cookies else '""',
        "X-Real-IP": "$replay_client",
        "X-Forwarded-For": "$replay_client",
        "X-Forwarded-Proto": "$replay_scheme",
        "X-Forwarded-Host": "$http_host",
        "X-Request-Id": "$replay_id",
        **dict.fromkeys(_DROPPED, '""'),
    }
    yield from (
        f"proxy_set_header {name} {value};" for name, value in fields.items() if name.lower() not in plan.edited
    )
    for name, value in plan.set_headers.items():
        yield f"proxy_set_header {name} {quoted(value, f'headers.upstream.set.{name}')};"
    set_names = {name.lower() for name in plan.set_headers}
    for name in plan.removed:
        if name.lower() not in set_names:
            yield f'proxy_set_header {name} "";'


def _times(plan: Plan, route: Route) -> Iterator[str]:
    yield f"proxy_connect_timeout {milliseconds(connect_time(plan.settings, route))};"
    yield f"proxy_read_timeout {milliseconds(answer_time(plan.settings, route))};"
    yield f"proxy_send_timeout {milliseconds(plan.settings.timeouts.upstream_stall)};"


def _tls(upstream: Upstream, path: str) -> Iterator[str]:
    yield "proxy_ssl_server_name on;"
    yield from comment("Without this, SNI and the name that is checked are the upstream group's.")
    yield f"proxy_ssl_name {quoted(upstream.host, f'{path}.url')};"
    yield from comment("Off by default: anybody on the way could read along.")
    yield "proxy_ssl_verify on;"
    yield "proxy_ssl_verify_depth 3;"
    anchors = file_name(quoted, upstream.ca_file or Path(SYSTEM_AUTHORITIES), f"{path}.ca_file")
    yield f"proxy_ssl_trusted_certificate {anchors};"
    yield "proxy_ssl_protocols TLSv1.2 TLSv1.3;"


def group(region: Region, route: Route) -> str:
    return f"replay_{region.name}_{route.value}"
