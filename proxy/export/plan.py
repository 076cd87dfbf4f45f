"""What every export needs of the settings, worked out once: regions with their hosts, CORS values, sizes, times.

What no export can follow is refused here, with the path of the setting. Must not know any server's language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from proxy.model.verdict import REJECTIONS, Reason, Route
from proxy.policy.answers import ALLOWED_METHODS
from proxy.policy.origins import EXPOSED_HEADERS, SDK_HEADERS
from proxy.settings import Settings, Upstream
from proxy.settings.privacy import ADDRESS_FIELDS
from proxy.settings.upstreams import UrlParts, split_url

# Of the header names that the standard allows, those that no server's language reads as something else.
_FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MOST_MILLISECONDS = 2_147_483_647  # HAProxy's, 24 days; the other servers' are above


class ExportError(Exception):
    """A setting that the wanted format can't express. `path` is the setting's, the text says what to do."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}")
        self.path = path
        self.text = text


@dataclass(frozen=True)
class Wishes:
    """What is asked for beside the settings: the address that pages use, and a name server for nginx."""

    public_url: str | None = None
    resolver: str | None = None


@dataclass(frozen=True)
class Region:
    """One region: the hosts that lead to it, and its two endpoints. The fallback takes every other host."""

    name: str
    hosts: tuple[str, ...]
    is_fallback: bool
    track: Upstream
    config: Upstream

    @property
    def routes(self) -> tuple[tuple[Route, Upstream], ...]:
        return (Route.TRACK, self.track), (Route.CONFIG, self.config)


@dataclass(frozen=True)
class Plan:
    """The settings as the exports use them. `regions` has the fallback, if there is one, at its end."""

    settings: Settings
    wishes: Wishes
    regions: tuple[Region, ...]
    allow_headers: str
    expose_headers: str
    max_age: int
    too_large: str

    @property
    def any_origin(self) -> bool:
        return "*" in self.settings.cors.allow_origins

    @property
    def refuses_foreign(self) -> bool:
        return self.settings.cors.foreign_origin == "refuse"

    @property
    def has_fallback(self) -> bool:
        return any(region.is_fallback for region in self.regions)

    @property
    def set_headers(self) -> dict[str, str]:
        """Header fields to set, with their secret values."""
        return {name: value.get_secret_value() for name, value in self.settings.headers.upstream.set.items()}

    @property
    def removed(self) -> tuple[str, ...]:
        """Header fields of the client's that are left out: the operator's; addresses of visitors unless these may pass
        whole; and those of pages, for no server's language can cut one down as `policy.page_url` does."""
        privacy = self.settings.privacy
        pages = (("X-Client-Url", privacy.page_url), ("Referer", privacy.referer))
        addresses = () if self.settings.client_ip.forward == "full" else ADDRESS_FIELDS
        named = self.settings.headers.upstream.remove
        return (*named, *addresses, *(name for name, mode in pages if mode != "full"))

    @property
    def edited(self) -> frozenset[str]:
        """The header fields that the operator sets or removes, lower-case: no rule of ours touches them."""
        edits = self.settings.headers.upstream
        return frozenset(name.lower() for name in (*edits.set, *edits.remove))


def plan(settings: Settings, wishes: Wishes = Wishes()) -> Plan:
    """The plan. Raises ExportError."""
    edits = settings.headers.upstream
    for name in (*edits.set, *edits.remove):
        _require(_FIELD_NAME, name, f"headers.upstream.{'set' if name in edits.set else 'remove'}")
    for name in settings.headers.forward_cookies:
        _require(_COOKIE_NAME, name, "headers.forward_cookies")
    for key, names in (("allow", settings.cors.allow_headers), ("expose", settings.cors.expose_headers)):
        for name in names:
            _require(_FIELD_NAME, name, f"cors.{key}_headers")
    for number, listener in enumerate(settings.listen):
        if not listener.address.port:
            raise ExportError(f"listen[{number}].address", "port 0 is any free one: give a port")
    if wishes.public_url is not None:
        url_parts(wishes.public_url)
    return Plan(
        settings,
        wishes,
        tuple(_regions(settings)),
        _listed(SDK_HEADERS, settings.cors.allow_headers),
        _listed(EXPOSED_HEADERS, settings.cors.expose_headers),
        int(settings.cors.max_age),
        REJECTIONS[Reason.BODY_TOO_LARGE].message.format(limit=settings.limits.body),
    )


def methods(route: Route) -> tuple[str, ...]:
    """The methods of a route, OPTIONS among them."""
    return tuple(method.decode() for method in ALLOWED_METHODS[route])


def public_paths(settings: Settings, route: Route) -> tuple[str, ...]:
    """The public paths of a route."""
    return settings.paths.track if route is Route.TRACK else settings.paths.config


def foreign_status(route: Route) -> int:
    """The answer to a page that is not allowed, if it is to be refused."""
    refusal = REJECTIONS[Reason.FOREIGN_ORIGIN]
    return refusal.config_status if route is Route.CONFIG else refusal.status


def milliseconds(seconds: float) -> str:
    """A duration in the unit that nginx, HAProxy and Caddy all write alike."""
    return f"{min(max(ceil(seconds * 1000), 1), _MOST_MILLISECONDS)}ms"


def answer_time(settings: Settings, route: Route) -> float:
    """How long the vendor may be silent."""
    return settings.timeouts.first_byte if route is Route.TRACK else settings.timeouts.config_total


def connect_time(settings: Settings, route: Route) -> float:
    """How long connecting to the vendor may take."""
    return min(settings.timeouts.connect, answer_time(settings, route))


def url_parts(public_url: str) -> UrlParts:
    """The address that pages use, taken apart. Raises ExportError for one with a path."""
    parts = split_url(public_url)
    if parts is None or parts.path:
        raise ExportError("--public-url", "expected scheme and host, such as https://replay.example.com")
    return parts


def _require(pattern: re.Pattern[str], name: str, path: str) -> None:
    if pattern.fullmatch(name) is None:
        raise ExportError(path, f"the name {name!r} can't be exported: letters, digits, - and _ only")


def _regions(settings: Settings) -> Iterator[Region]:
    rules = settings.region
    names = list(dict.fromkeys(rules.hosts.values()))
    fallback = None if rules.strict else rules.default
    if fallback is None and not names:
        raise ExportError("region.strict", "only hosts can be exported as rules: give region.hosts, or strict: false")
    for name in sorted(names, key=lambda name: name == fallback):
        yield _region(settings, name, fallback)
    if fallback is not None and fallback not in names:
        yield _region(settings, fallback, fallback)


def _region(settings: Settings, name: str, fallback: str | None) -> Region:
    hosts = tuple(host for host, region in settings.region.hosts.items() if region == name)
    upstreams = settings.upstreams[name]
    for route, upstream in (("track", upstreams.track), ("config", upstreams.config)):
        if upstream.tls and (":" in upstream.host or upstream.host.rpartition(".")[2].isdigit()):
            path = f"upstreams.{name}.{route}.url"
            raise ExportError(
                path, "a certificate can be checked for a name only: give one, and the address as connect"
            )
    return Region(name, hosts, name == fallback, upstreams.track, upstreams.config)


def _listed(ours: Sequence[bytes], operators: Sequence[str]) -> str:
    known = {name.decode().lower(): name.decode() for name in ours}
    return ", ".join((*known.values(), *(name for name in operators if name.lower() not in known)))
