"""One route of one region as a backend of HAProxy: the vendor's path, names, certificate and connections. Must not know
who asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export import patterns
from proxy.export.layout import comment
from proxy.export.plan import (
    Plan,
    Region,
    answer_time,
    connect_time,
    milliseconds,
    public_paths,
)
from proxy.export.quoting import file_name
from proxy.export.quoting import haproxy as quoted
from proxy.export.quoting import haproxy_format as formatted
from proxy.model.verdict import Route
from proxy.settings import Upstream


def vendor(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    path = f"upstreams.{region.name}.{route.value}"
    yield f"timeout connect {milliseconds(connect_time(plan.settings, route))}"
    yield f"timeout server {milliseconds(answer_time(plan.settings, route))}"
    if route is Route.CONFIG:
        yield from comment("HAProxy waits a second before it tries again: then the SDK has given up.")
        yield "retries 0"
    yield f"http-request set-header Host {formatted(upstream.authority, f'{path}.url')}"
    if route is Route.TRACK:
        yield f"http-request set-path {formatted(upstream.path or '/', f'{path}.url')}"
    else:
        public = quoted(patterns.config(public_paths(plan.settings, route)), "paths.config")
        yield f"http-request replace-path {public} {_with_key(upstream.path, path)}"
    yield f"server vendor {_dialled(upstream)}{_tls(upstream, path)} {_pool(plan)}{_resolving(upstream)}"


def _with_key(upstream_path: str, path: str) -> str:
    return formatted(upstream_path, f"{path}.url")[:-1] + "\\2'"


def _dialled(upstream: Upstream) -> str:
    return quoted(str(upstream.dialled), "")


def _tls(upstream: Upstream, path: str) -> str:
    if not upstream.tls:
        return ""
    anchors = file_name(quoted, upstream.ca_file, f"{path}.ca_file") if upstream.ca_file else "@system-ca"
    host = upstream.host
    return f" ssl sni str({host}) verify required verifyhost {host} ca-file {anchors} alpn http/1.1"


def _pool(plan: Plan) -> str:
    idle = milliseconds(plan.settings.timeouts.upstream_idle)
    return f"pool-max-conn {plan.settings.limits.upstream_idle} pool-purge-delay {idle}"


def _resolving(upstream: Upstream) -> str:
    is_name = any(char.isalpha() for char in upstream.dialled.host) and ":" not in upstream.dialled.host
    return " resolvers replay init-addr last,libc,none" if is_name else ""


def backend(region: Region, route: Route) -> str:
    return f"replay_{region.name}_{route.value}"
