"""The settings as a file for nginx's http block: one server for each region, with two locations.

The vendor's published recipe, mended. Said of the less obvious lines is what is lost without them. nginx 1.22 and
newer. Must not know where the file is put.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import block, comment, document
from proxy.export.nginx_location import group, location, named_origin
from proxy.export.nginx_maps import maps
from proxy.export.plan import (
    Plan,
    Region,
    milliseconds,
)
from proxy.export.quoting import file_name
from proxy.export.quoting import nginx as quoted
from proxy.model.verdict import Route
from proxy.settings import Listener, Upstream
from proxy.settings.network import bracketed

# The vendor's own CORS fields: two Allow-Origin are as bad as none.
_CORS_FIELDS = ("Origin", "Credentials", "Headers", "Methods", "Private-Network")
# What a third party must not set for your domain, or is about its connection and not yours.
HIDDEN = (
    *(f"Access-Control-Allow-{name}" for name in _CORS_FIELDS),
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Set-Cookie",
    "Strict-Transport-Security",
    "Alt-Svc",
    "Clear-Site-Data",
    "NEL",
    "X-Request-Id",
    "Upgrade",
    "Proxy-Authenticate",
)


def nginx(plan: Plan) -> str:
    """The whole file."""
    return document(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield from comment(
        "nginx (1.22 or newer) for session-replay traffic, exported from the gateway's settings. It belongs into the "
        "http block: save it as /etc/nginx/conf.d/replay.conf and run `nginx -t`."
    )
    if plan.set_headers:
        yield from comment("It holds the values of headers.upstream.set: keep it from others' eyes.")
    yield ""
    yield from maps(plan)
    yield ""
    yield from comment(
        "The way to the vendor. `keepalive` alone does nothing: it needs HTTP/1.1 and an empty Connection (below)."
    )
    yield from gaps(plan, Server.NGINX, Place.UPSTREAM)
    yield from _names(plan)
    for region in plan.regions:
        for route, upstream in region.routes:
            yield from block(f"upstream {group(region, route)}", _upstream(plan, region, route, upstream))
    yield ""
    yield from gaps(plan, Server.NGINX, Place.REGIONS)
    for region in plan.regions:
        yield from block("server", _server(plan, region))
        yield ""
    if not plan.has_fallback:
        yield from comment("A host that no rule names is refused, never sent to a region by chance.")
        yield from block("server", _refusing_server(plan))


def _names(plan: Plan) -> Iterator[str]:
    if plan.wishes.resolver:
        seconds = max(1, round(plan.settings.timeouts.resolve))
        yield f"resolver {quoted(plan.wishes.resolver, '--resolver')} valid={seconds}s;"
        return
    yield from comment(
        "Not as in the gateway (timeouts.resolve): nginx resolves these names when it starts and never again. Reload "
        "it once a day, or, from nginx 1.27.3 on, export with --resolver and the address of your name server."
    )


def _upstream(plan: Plan, region: Region, route: Route, upstream: Upstream) -> Iterator[str]:
    settings = plan.settings
    resolve = ""
    if plan.wishes.resolver:
        yield f"zone {group(region, route)} 64k;"
        resolve = " resolve"
    yield f"server {upstream.dialled}{resolve};"
    if settings.limits.upstream_idle:
        yield f"keepalive {settings.limits.upstream_idle};"
        yield "keepalive_requests 1000000;"
        yield f"keepalive_timeout {milliseconds(settings.timeouts.upstream_idle)};"


def _server(plan: Plan, region: Region) -> Iterator[str]:
    yield from _listeners(plan, " default_server" if region.is_fallback else "")
    hosts = " ".join(quoted(host, "region.hosts") for host in region.hosts)
    yield f"server_name {hosts or quoted('_', '')};"
    yield from _client_rules(plan, region)
    yield from gaps(plan, Server.NGINX, Place.CORS, region)
    yield from _cors_fields()
    yield from _proxy_rules()
    yield from _too_large(plan)
    yield from block("location /", ['return 404 "no such path\\n";'])
    for route, upstream in region.routes:
        yield ""
        yield from location(plan, region, route, upstream)


def _refusing_server(plan: Plan) -> Iterator[str]:
    yield from _listeners(plan, " default_server")
    yield "server_name _;"
    yield "access_log off;"
    yield from _cors_fields()
    yield from block("location /", ['return 421 "no rule gives its region\\n";'])


def _listeners(plan: Plan, default: str) -> Iterator[str]:
    ipv4_wildcards = {each.address.port for each in plan.settings.listen if each.address.host == "0.0.0.0"}
    for listener in plan.settings.listen:
        address = listener.address
        both = address.host == "::" and address.port not in ipv4_wildcards
        family = f" ipv6only={'off' if both else 'on'}" if ":" in address.host and default else ""
        yield f"listen {bracketed(address.host)}:{address.port}{' ssl' if listener.tls else ''}{default}{family};"
    yield from _certificates(plan.settings.listen)


def _certificates(listeners: tuple[Listener, ...]) -> Iterator[str]:
    secure = [listener.tls for listener in listeners if listener.tls]
    if not secure:
        yield from comment("Plain HTTP, as the settings say: TLS must end in front of this.")
        return
    yield f"ssl_certificate {file_name(quoted, secure[0].certificate, 'listen.tls.certificate')};"
    yield f"ssl_certificate_key {file_name(quoted, secure[0].key, 'listen.tls.key')};"
    yield f"ssl_protocols {'TLSv1.3' if secure[0].min_version == '1.3' else 'TLSv1.2 TLSv1.3'};"
    if len({(tls.certificate, tls.key, tls.min_version) for tls in secure}) > 1:
        yield from comment(
            "WARNING (listen.tls): the listeners have different certificates, and one nginx server has one: that of "
            "the first is used for all."
        )


def _client_rules(plan: Plan, region: Region) -> Iterator[str]:
    limits, times = plan.settings.limits, plan.settings.timeouts
    yield ""
    yield from gaps(plan, Server.NGINX, Place.REQUESTS, region)
    yield "access_log off;"
    yield "server_tokens off;"
    yield "default_type text/plain;"
    yield "merge_slashes off;"
    yield f"large_client_header_buffers {max(2, -(-limits.head // limits.target))} {limits.target};"
    yield from gaps(plan, Server.NGINX, Place.BODIES, region)
    yield from comment("The default, 1m, refuses the first upload of a large page: nothing plays without it.")
    yield f"client_max_body_size {limits.body};"
    yield from gaps(plan, Server.NGINX, Place.TIMES, region)
    yield f"client_header_timeout {milliseconds(times.client_head)};"
    yield f"client_body_timeout {milliseconds(times.client_body_idle)};"
    yield f"send_timeout {milliseconds(times.client_write)};"
    yield f"keepalive_timeout {milliseconds(times.keep_alive)};"
    yield f"keepalive_requests {limits.requests_per_connection};"
    yield f"lingering_timeout {milliseconds(times.linger)};"
    yield from _addresses(plan, region)


def _addresses(plan: Plan, region: Region) -> Iterator[str]:
    yield from gaps(plan, Server.NGINX, Place.ADDRESSES, region)
    proxies = plan.settings.client_ip.trusted_proxies
    yield from (f"set_real_ip_from {network};" for network in proxies)
    if proxies:
        yield "real_ip_header X-Forwarded-For;"
        yield "real_ip_recursive on;"


def _cors_fields() -> Iterator[str]:
    yield ""
    yield from comment(
        "`always`: errors that a page can't read are never retried. The origin itself and never `*`: beacons are sent "
        "with credentials. Fields with an empty value are left out."
    )
    yield from named_origin()
    yield "add_header Access-Control-Expose-Headers $replay_exposed always;"
    yield "add_header Vary Origin always;"
    yield "add_header X-Request-Id $replay_id always;"
    yield from comment("Configurations must be fresh, or a cache on the way would undo a kill switch.")
    yield "add_header Cache-Control $replay_caching always;"
    yield 'set $replay_allow "";'
    yield "add_header Allow $replay_allow always;"


def _proxy_rules() -> Iterator[str]:
    yield ""
    yield from comment("What the vendor says about CORS, which would be there twice, or must not set for your domain.")
    yield from (f"proxy_hide_header {name};" for name in HIDDEN)
    yield ""
    yield "proxy_http_version 1.1;"
    yield from comment("Bytes go on as they come, in place of a file on disk for each large upload.")
    yield "proxy_request_buffering off;"
    yield from comment("Else what a closing page has sent last is thrown away half-way to the vendor.")
    yield "proxy_ignore_client_abort on;"
    yield "proxy_redirect off;"
    yield "proxy_intercept_errors off;"
    yield "proxy_next_upstream error;"
    yield "proxy_next_upstream_tries 2;"


def _too_large(plan: Plan) -> Iterator[str]:
    yield ""
    yield from comment("These words make the SDK halve its batch and send it again; any other 413 loses it.")
    yield "error_page 413 @replay_too_large;"
    yield from block("location @replay_too_large", [f"return 413 {quoted(plan.too_large, 'limits.body')};"])
