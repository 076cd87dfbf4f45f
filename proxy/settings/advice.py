"""What works but hardly as meant: warnings about settings that are valid."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.settings.limits import SDK_CONFIG_PATIENCE, SDK_TRACK_PATIENCE
from proxy.settings.problem import Advice, path_text
from proxy.settings.schema import Settings


def advices(settings: Settings) -> Iterator[Advice]:
    """Every warning, in the order of the schema."""
    if settings.admin is not None and not settings.admin.address.is_loopback:
        yield Advice("admin.address", "the admin server has no password and this address can be reached from elsewhere")
    yield from _in_the_clear(settings)
    yield from _without_effect(settings)
    yield from _too_patient(settings)


def _in_the_clear(settings: Settings) -> Iterator[Advice]:
    for region, upstreams in settings.upstreams.items():
        for route, upstream in (("track", upstreams.track), ("config", upstreams.config)):
            if upstream.is_exposed:
                path = path_text(("upstreams", region, route, "url"))
                yield Advice(path, "plain http: replays and API keys cross the network unencrypted; use https")
    s3 = settings.archive and settings.archive.s3
    if s3 and s3.is_exposed:
        yield Advice("archive.s3.endpoint", "plain http: replays cross the network unencrypted; use https")


def _without_effect(settings: Settings) -> Iterator[Advice]:
    if settings.region.header is not None and not settings.client_ip.trusted_proxies:
        yield Advice("region.header", "believed only from client_ip.trusted_proxies, which is empty: it never applies")
    origins = settings.cors.allow_origins
    if "*" in origins and len(origins) > 1:
        yield Advice("cors.allow_origins", '"*" admits every origin: the others listed have no effect')
    if settings.privacy.keep_query and "no_query" not in (settings.privacy.page_url, settings.privacy.referer):
        yield Advice("privacy.keep_query", "only for page_url or referer with no_query: it has no effect")
    if settings.config_cache.stale_if_error > settings.config_cache.max_age:
        yield Advice("config_cache.stale_if_error", "longer than config_cache.max_age, which ends it first")
    if settings.archive is not None and settings.archive.s3 and settings.archive.store != "s3":
        yield Advice("archive.s3", f"archive.store is {settings.archive.store}: this has no effect")


def _too_patient(settings: Settings) -> Iterator[Advice]:
    if settings.timeouts.track_total >= SDK_TRACK_PATIENCE:
        text = f"the browser SDK gives up on an upload after {SDK_TRACK_PATIENCE:g}s and sends it again; stay below"
        yield Advice("timeouts.track_total", text)
    if settings.timeouts.config_total >= SDK_CONFIG_PATIENCE:
        text = f"the browser SDK gives up on its config after {SDK_CONFIG_PATIENCE:g}s; stay below, or nothing records"
        yield Advice("timeouts.config_total", text)
