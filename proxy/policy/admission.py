"""May this request pass, and to where? Composes the single policies into one verdict.

The order is the order of blame: what the request is (path, method), who asks (origin, opted out or not,
key, rate), where it would go (region), how large it is. Must not know of connections or of memory in use.
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.model.verdict import Reason, Route
from proxy.policy.answers import ALLOWED_METHODS
from proxy.policy.headers import ClientSide, HeaderPolicy
from proxy.policy.keys import KeyPolicy, api_keys
from proxy.policy.limits import TokenBuckets, network_key
from proxy.policy.origins import CorsPolicy
from proxy.policy.privacy import has_opted_out
from proxy.policy.region import RegionPolicy
from proxy.policy.routing import Match, Router
from proxy.policy.targets import Target, build_targets
from proxy.policy.tokens import TokenPolicy
from proxy.settings import Settings
from proxy.wire.request import RequestHead


class Admit(NamedTuple):
    """The request may pass to `target`."""

    match: Match
    target: Target
    advice: Reason | None = None  # what it would have been refused for, if tokens were not only looked at
    is_foreign: bool = False  # of an origin that is not allowed, and served all the same


class Admission:
    """One per worker: the token buckets are the worker's own."""

    def __init__(self, settings: Settings, headers: HeaderPolicy, cors: CorsPolicy) -> None:
        limits = settings.limits
        self._headers = headers
        self._cors = cors
        self._router = Router(settings.paths)
        self._keys = KeyPolicy(settings.keys)
        self._region = RegionPolicy(settings.region)
        self._targets = build_targets(settings)
        self._body_limit = limits.body
        self._refuse_foreign = settings.cors.foreign_origin == "refuse"
        self._per_ip = TokenBuckets(limits.per_ip.rate, limits.per_ip.burst)
        self._per_key = TokenBuckets(limits.per_key.rate, limits.per_key.burst)
        self.tokens = TokenPolicy(settings.jwt) if settings.jwt is not None else None
        self._needs_key = self._keys.active or self._region.needs_key or self._per_key.active

    @property
    def targets(self) -> list[Target]:
        """Every target there is."""
        return list(self._targets.values())

    def match(self, request: RequestHead) -> Match | Reason:
        """The route of a request, whatever its method."""
        return self._router.match(request.target)

    def judge(
        self, request: RequestHead, match: Match, client: ClientSide, now: float, wall: float = 0.0
    ) -> Admit | Reason:
        """The verdict on a request that is no OPTIONS. `now` in seconds of any monotonic clock, `wall` in Unix time,
        which only tokens need."""
        if request.method not in ALLOWED_METHODS[match.route]:
            return Reason.METHOD
        is_foreign = request.origin is not None and not self._cors.allows(request.origin)
        if is_foreign and self._refuse_foreign:
            return Reason.FOREIGN_ORIGIN
        if self._per_ip.active:
            address = self._headers.client_address(client, request)
            if not self._per_ip.take(network_key(address), now):
                return Reason.RATE_PER_IP
        if self._headers.privacy.drops and has_opted_out(request):
            return Reason.GPC
        keys = api_keys(match, request.authorization) if self._needs_key else []
        refused = self._judge_keys(keys, request.origin, now)
        if refused:
            return refused
        tokens, advice = self.tokens, None
        if tokens is not None:
            advice = tokens.judge(match.route, request.notes.get(tokens.field), wall)
            if advice is not None and not tokens.is_advisory:
                return advice
        host = self._headers.browser_host(client, request)
        region = self._region.select(host, keys, self._headers.region_value(client, request))
        if region is None:
            return Reason.NO_REGION
        if request.content_length > self._body_limit:
            return Reason.BODY_TOO_LARGE
        return Admit(match, self._targets[region, match.route], advice, is_foreign)

    def _judge_keys(self, keys: list[bytes], origin: bytes | None, now: float) -> Reason | None:
        refused = self._keys.judge(keys, origin) if self._keys.active else None
        if refused is not None:
            return refused
        if self._per_key.active and not all(self._per_key.take(key, now) for key in keys):
            return Reason.RATE_PER_KEY
        return None


def allowed_methods(route: Route) -> bytes:
    """The value of an Allow field."""
    return b", ".join(ALLOWED_METHODS[route])
