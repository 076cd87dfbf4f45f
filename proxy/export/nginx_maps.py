"""What the exported nginx works out of a request, as maps: the allowed origin, the address that is told, cookies,
methods. Must not know of locations and upstreams.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proxy.export import patterns
from proxy.export.layout import block, comment
from proxy.export.plan import Plan, methods
from proxy.export.quoting import nginx as quoted
from proxy.export.quoting import nginx_pattern
from proxy.model.verdict import Route


def maps(plan: Plan) -> Iterator[str]:
    """All of them."""
    yield from comment("Pages that may read the answers, by their exact origin.")
    origins = [nginx_pattern(patterns.any_of([patterns.origin(each)])) for each in plan.settings.cors.allow_origins]
    yield from _map(
        "$http_origin", "$replay_origin", [("default", '""'), *((each, "$http_origin") for each in origins)]
    )
    if plan.refuses_foreign:
        rows = [("default", "1"), ('""', "0"), *((each, "0") for each in origins)]
        yield from _map("$http_origin", "$replay_foreign", rows)
    yield from _map("$replay_origin", "$replay_credentials", [('""', '""'), ("default", "true")])
    exposed = quoted(plan.expose_headers, "cors.expose_headers")
    yield from _map("$replay_origin", "$replay_exposed", [('""', '""'), ("default", exposed)])
    yield from comment("What the SDK sends, and what you added. The vendor's recipe has two of these.")
    allowed = quoted(plan.allow_headers, "cors.allow_headers")
    yield from _map("$replay_origin", "$replay_headers", [('""', '""'), ("default", allowed)])
    yield from comment("Without it, nearly every upload pays for a preflight.")
    yield from _map("$replay_origin", "$replay_max_age", [('""', '""'), ("default", str(plan.max_age))])
    yield from _map("$upstream_http_cache_control", "$replay_caching", [('""', "no-store"), ("default", '""')])
    for route in Route:
        yield from _methods(route)
    yield from comment(
        "A request has one id, in the vendor's log and in the browser: the client's if it is a sane one."
    )
    sane = nginx_pattern(patterns.REQUEST_ID)
    yield from _map("$http_x_request_id", "$replay_id", [("default", "$request_id"), (sane, "$http_x_request_id")])
    yield from _addresses(plan)
    yield from _cookies(plan)


def _methods(route: Route) -> Iterator[str]:
    allowed = quoted(", ".join(methods(route)), "")
    yield from _map("$replay_origin", f"$replay_{route.value}_methods", [('""', '""'), ("default", allowed)])
    rows = [("default", "1"), *((method, "0") for method in methods(route))]
    yield from _map("$request_method", f"$replay_{route.value}_refused", rows)


def _addresses(plan: Plan) -> Iterator[str]:
    client_ip = plan.settings.client_ip
    yield from comment(f"What the vendor is told of the visitor's address (client_ip.forward: {client_ip.forward}).")
    rows = {"full": [("default", "$remote_addr")], "none": [("default", '""')], "truncate": list(_networks())}
    yield from _map("$remote_addr", "$replay_client", rows[client_ip.forward])
    if not client_ip.trusted_proxies:
        yield from _map("$scheme", "$replay_scheme", [("default", "$scheme")])
        return
    yield from comment("X-Forwarded-Proto is believed from a proxy of yours.")
    trusted = [("default", "0"), *((str(network), "1") for network in client_ip.trusted_proxies)]
    yield from block("geo $realip_remote_addr $replay_trusted", (f"{key} {value};" for key, value in trusted))
    told = [("default", "$scheme"), ('"1 http"', "http"), ('"1 https"', "https")]
    yield from _map('"$replay_trusted $http_x_forwarded_proto"', "$replay_scheme", told)


def _networks() -> Iterator[tuple[str, str]]:
    yield "default", '""'
    for pattern, (before, group, after) in patterns.NETWORKS:
        yield nginx_pattern(pattern), f'"{before}{f"${group}" if group else ""}{after}"'


def _cookies(plan: Plan) -> Iterator[str]:
    names = plan.settings.headers.forward_cookies
    if not names:
        return
    yield from comment("The cookies of headers.forward_cookies, and no others.")
    for number, name in enumerate(names, 1):
        found = nginx_pattern(patterns.cookie(name))
        yield from _map("$http_cookie", f"$replay_cookie_{number}", [("default", '""'), (found, '"$2; "')])
    joined = '"' + "".join(f"${{replay_cookie_{number}}}" for number in range(1, len(names) + 1)) + '"'
    yield from _map(joined, "$replay_cookies", [("default", '""'), (nginx_pattern("^(.+); $"), "$1")])


def _map(source: str, name: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from block(f"map {source} {name}", (f"{key} {value};" for key, value in rows))
