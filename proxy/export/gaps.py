"""What other servers can't do of what the settings say, and what that means: one table, for the exports' comments and
for the document. Must not know any server's language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

from proxy.export.layout import comment
from proxy.export.plan import Plan, Region
from proxy.settings import Settings


class Server(Enum):
    """The servers that can take the gateway's place."""

    NGINX = "nginx"
    CADDY = "Caddy"
    HAPROXY = "HAProxy"
    CLOUDFRONT = "CloudFront"


class Place(Enum):
    """Where in an export it is said."""

    REQUESTS = "requests"
    REGIONS = "regions"
    CORS = "cors"
    ADDRESSES = "addresses"
    BODIES = "bodies"
    TIMES = "times"
    UPSTREAM = "upstream"


class Gap(NamedTuple):
    """Settings that some servers can't follow. `matters` is whether these settings ask for it."""

    place: Place
    settings: tuple[str, ...]
    servers: tuple[Server, ...]
    meaning: str
    matters: Callable[[Settings], object] = lambda settings: True


_NGINX, _CADDY, _HAPROXY, _CLOUDFRONT = Server
_ALL = tuple(Server)
_OURS = (_NGINX, _CADDY, _HAPROXY)

GAPS = (
    Gap(
        Place.REQUESTS,
        ("keys.allow",),
        _ALL,
        "any API key is served: others can record into their own projects through your domain",
        lambda settings: settings.keys.allow,
    ),
    Gap(
        Place.REQUESTS,
        ("keys.origins",),
        _ALL,
        "a key is served to any page: one site may record into another's project",
        lambda settings: settings.keys.origins,
    ),
    Gap(
        Place.REQUESTS,
        ("privacy.page_url", "privacy.referer", "privacy.keep_query"),
        _ALL,
        "no page address is cut down: unless all of it may pass, the field is left out as with none",
        lambda settings: {settings.privacy.page_url, settings.privacy.referer} & {"no_query", "origin"},
    ),
    Gap(
        Place.REQUESTS,
        ("privacy.gpc",),
        _ALL,
        "WARNING: visitors who send Sec-GPC: 1 are recorded like others, and the vendor is told who they are. Don't "
        "use this where their objection must be heeded",
        lambda settings: settings.privacy.gpc != "forward",
    ),
    Gap(
        Place.REQUESTS,
        ("jwt",),
        _ALL,
        "WARNING: no token is asked for: whoever knows an API key is let in",
        lambda settings: settings.jwt is not None,
    ),
    Gap(
        Place.REQUESTS,
        ("limits.per_ip.rate", "limits.per_ip.burst"),
        _ALL,
        "no limit for each address: one visitor may ask as often as the machine bears",
        lambda settings: settings.limits.per_ip.rate,
    ),
    Gap(
        Place.REQUESTS,
        ("limits.per_key.rate", "limits.per_key.burst"),
        _ALL,
        "no limit for each API key: one site may use up the room of all",
        lambda settings: settings.limits.per_key.rate,
    ),
    Gap(
        Place.REQUESTS,
        ("archive",),
        _ALL,
        "no copy of the uploads is kept",
        lambda settings: settings.archive,
    ),
    Gap(
        Place.REQUESTS,
        ("admin.address", "log.access", "log.sample", "log.level", "log.format"),
        _ALL,
        "no metrics and health checks of this traffic. Access logs are left off: the usual formats write down API "
        "keys, which are in the configuration's path and in the query of beacons",
    ),
    Gap(
        Place.REQUESTS,
        ("paths.config",),
        _ALL,
        "an API key with characters other than letters, digits, - . _ ~ is not found (404)",
    ),
    Gap(
        Place.REQUESTS,
        ("limits.head", "limits.fields", "limits.target"),
        (_HAPROXY, _CADDY, _CLOUDFRONT),
        "limited together by the server's own buffers (64 KiB and 128 fields in HAProxy, limits.head in Caddy, 20 KiB "
        "in CloudFront), and what is above may be answered without CORS headers",
    ),
    Gap(
        Place.REQUESTS,
        ("limits.fields",),
        (_NGINX,),
        "the number of header fields is limited only by their size",
    ),
    Gap(
        Place.REGIONS,
        ("region.api_keys",),
        _ALL,
        "projects are told apart by host alone: one that is sent to another region's host goes to the wrong region",
        lambda settings: settings.region.api_keys,
    ),
    Gap(
        Place.REGIONS,
        ("region.header",),
        _ALL,
        "the region header is not asked: what it would have sent elsewhere goes where the host says",
        lambda settings: settings.region.header,
    ),
    Gap(
        Place.REGIONS,
        ("region.hosts",),
        _ALL,
        "the region, and what the vendor is told, follow from Host; X-Forwarded-Host is not asked: a proxy in front "
        "must keep Host",
        lambda settings: settings.client_ip.trusted_proxies,
    ),
    Gap(
        Place.CORS,
        ("cors.allow_headers",),
        _ALL,
        "header names that are listed neither here nor by the SDK are not granted, and the browser then sends nothing: "
        "list in cors.allow_headers what your pages add",
    ),
    Gap(
        Place.CORS,
        ("cors.allow_origins",),
        (_CLOUDFRONT,),
        "the errors that CloudFront makes itself (502, 503, 504) may come without CORS headers; then the SDK drops the "
        "batch in place of sending it once more",
    ),
    Gap(
        Place.ADDRESSES,
        ("client_ip.trusted_proxies",),
        (_CADDY,),
        "one proxy in front at most: of X-Forwarded-For the last address is believed",
        lambda settings: settings.client_ip.trusted_proxies,
    ),
    Gap(
        Place.ADDRESSES,
        ("client_ip.trusted_proxies",),
        (_HAPROXY,),
        "four proxies in a row at most: of X-Forwarded-For the last four addresses are looked at",
        lambda settings: settings.client_ip.trusted_proxies,
    ),
    Gap(
        Place.ADDRESSES,
        ("client_ip.trusted_proxies",),
        (_CLOUDFRONT,),
        "CloudFront adds the address that connects to it to whatever X-Forwarded-For it gets, and passes all of it on",
        lambda settings: settings.client_ip.trusted_proxies,
    ),
    Gap(
        Place.ADDRESSES,
        ("client_ip.forward",),
        (_CLOUDFRONT,),
        "WARNING: the vendor gets visitors' whole addresses all the same, CloudFront always adds X-Forwarded-For. "
        "Don't use this where they must not be told",
        lambda settings: settings.client_ip.forward != "full",
    ),
    Gap(
        Place.BODIES,
        ("limits.body",),
        (_HAPROXY, _CLOUDFRONT),
        "measured by the length that is announced; a body without one (browsers always give it) passes",
    ),
    Gap(
        Place.BODIES,
        (
            "limits.connections",
            "limits.lingering",
            "limits.tls_handshakes",
            "limits.inflight_bytes",
            "limits.exchange_bytes",
            "limits.upstream_connections",
            "limits.upstream_connecting",
        ),
        _ALL,
        "connections and memory are bounded by the server's own means (worker_connections, ulimit, maxconn, your "
        "quotas); what is beyond may be refused without an answer",
    ),
    Gap(
        Place.BODIES,
        ("limits.connections_per_ip",),
        _ALL,
        "no share for each address: one visitor may hold as many connections as the server has",
        lambda settings: settings.limits.connections_per_ip,
    ),
    Gap(
        Place.BODIES,
        ("limits.pipelined", "limits.chunk_average"),
        _ALL,
        "how much is sent ahead, and in how small chunks, is bounded by the server's own buffers at most",
    ),
    Gap(
        Place.BODIES,
        ("limits.requests_per_connection",),
        (_CADDY, _HAPROXY, _CLOUDFRONT),
        "client connections do not end after a number of requests: load spreads slowly after a scale-out",
    ),
    Gap(
        Place.TIMES,
        ("limits.body_rate", "timeouts.client_body_grace"),
        _ALL,
        "an upload may drip for as long as it likes if no pause in it is too long",
        lambda settings: settings.limits.body_rate,
    ),
    Gap(
        Place.TIMES,
        ("timeouts.client_body_idle", "timeouts.client_write"),
        (_CADDY,),
        "pauses within an upload or an answer have no limit",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.client_write",),
        (_HAPROXY,),
        "one limit for both ways of the client, timeouts.client_body_idle",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.tls_handshake",),
        (_NGINX, _CADDY),
        "the TLS handshake has the limit of the request's head, timeouts.client_head",
        lambda settings: any(listener.tls for listener in settings.listen),
    ),
    Gap(
        Place.TIMES,
        (
            "timeouts.client_head",
            "timeouts.client_body_idle",
            "timeouts.client_write",
            "timeouts.tls_handshake",
            "timeouts.keep_alive",
            "timeouts.linger",
        ),
        (_CLOUDFRONT,),
        "how long a client may take is CloudFront's affair",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.linger",),
        (_CADDY, _HAPROXY),
        "a refused upload is not read on: a client that is still sending may see a reset in place of the answer",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.track_total", "timeouts.upstream_stall"),
        _ALL,
        "only the vendor's silence is limited; an upload and its answer together may take longer, and after 10 s the "
        "SDK sends it again",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.config_total",),
        _OURS,
        "limits connecting and the vendor's silence, each for itself: both together may take twice so long",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.config_total", "timeouts.first_byte", "timeouts.connect", "timeouts.upstream_idle"),
        (_CLOUDFRONT,),
        "CloudFront counts whole seconds: they are rounded up. A configuration that takes a second comes too late",
    ),
    Gap(
        Place.TIMES,
        ("timeouts.drain", "timeouts.lame_duck"),
        _ALL,
        "how a stop is spread over time is the server's own affair (nginx: worker_shutdown_timeout; Caddy: "
        "grace_period and shutdown_delay; HAProxy: hard-stop-after)",
    ),
    Gap(
        Place.UPSTREAM,
        ("config_cache.stale_if_error", "config_cache.max_age", "config_cache.entries"),
        _ALL,
        "no last good configuration is kept: while the vendor is out or slow, pages that open are not recorded",
        lambda settings: settings.config_cache.stale_if_error,
    ),
    Gap(
        Place.UPSTREAM,
        ("breaker.failures", "breaker.open"),
        _ALL,
        "a vendor that is out is asked with each request, and each waits until its own time is up",
        lambda settings: settings.breaker.failures,
    ),
    Gap(
        Place.UPSTREAM,
        ("limits.retry_body",),
        _ALL,
        "an upload that meets a connection which the vendor has just closed is not sent again: 502, and the SDK sends "
        "it once more",
        lambda settings: settings.limits.retry_body,
    ),
    Gap(
        Place.UPSTREAM,
        ("limits.answer_head", "limits.answer_fields", "limits.interim_answers", "limits.config_answer"),
        _ALL,
        "how large the vendor's answers may be is the server's own affair",
    ),
    Gap(
        Place.UPSTREAM,
        ("limits.upstream_idle", "timeouts.resolve"),
        (_CLOUDFRONT,),
        "how many idle connections are kept, and when names are resolved again, is CloudFront's affair",
    ),
    Gap(
        Place.UPSTREAM,
        ("timeouts.resolve",),
        (_CADDY,),
        "names are resolved for each new connection, by the system's resolver",
    ),
)
# What concerns the gateway's own processes and nothing that a browser or the vendor sees.
OWN_AFFAIR = ("workers",)


def gaps(plan: Plan, server: Server, place: Place, region: Region | None = None) -> Iterator[str]:
    """The comment lines about this place, for what the settings ask for. What each region has is said of the first."""
    if region is not None and region is not plan.regions[0]:
        return
    for gap in GAPS:
        if gap.place is place and server in gap.servers and gap.matters(plan.settings):
            yield from comment(f"Not as in the gateway ({', '.join(gap.settings)}): {gap.meaning}.")
