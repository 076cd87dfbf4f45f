"""CloudFront's two policies: what is passed on of a request, and what is changed in an answer. Must not know of
distributions.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.export.gaps import Place, Server, gaps
from proxy.export.layout import comment, listing, mapping
from proxy.export.plan import Plan
from proxy.export.quoting import yaml as quoted

_REMOVED_FROM_ANSWERS = ("Set-Cookie", "Strict-Transport-Security", "Alt-Svc", "Clear-Site-Data", "NEL")

_FRESH = "{Header: Cache-Control, Value: no-store, Override: false}"


def request_policy(plan: Plan) -> Iterator[str]:
    """What is passed on of a request: the query and all fields but Host. The function has removed others."""
    cookies = plan.settings.headers.forward_cookies
    yield from gaps(plan, Server.CLOUDFRONT, Place.ADDRESSES)
    lines = [
        'Name: !Sub "${AWS::StackName}-requests"',
        *mapping("QueryStringsConfig", ["QueryStringBehavior: all"]),
        *comment("Without Host: the vendor's edge must get its own name there."),
        *mapping("HeadersConfig", ["HeaderBehavior: allExcept", *listing("Headers", ["Host"])]),
        *comment("Your site's cookies are nobody else's."),
        *mapping(
            "CookiesConfig",
            [
                "CookieBehavior: whitelist",
                *listing("Cookies", (quoted(name, "headers.forward_cookies") for name in cookies)),
            ]
            if cookies
            else ["CookieBehavior: none"],
        ),
    ]
    yield from mapping("OriginRequestPolicyConfig", lines)


def answer_policy(plan: Plan) -> Iterator[str]:
    lines = [
        'Name: !Sub "${AWS::StackName}-answers"',
        *mapping("CorsConfig", _cors(plan)),
        *comment("What a third party must not set for your domain."),
        *mapping("RemoveHeadersConfig", listing("Items", (f"Header: {name}" for name in _REMOVED_FROM_ANSWERS))),
        *comment("One page's answer must not be kept for another, nor a configuration for later."),
        *mapping("CustomHeadersConfig", listing("Items", [_FRESH])),
    ]
    yield from mapping("ResponseHeadersPolicyConfig", lines)


def _cors(plan: Plan) -> Iterator[str]:
    yield from gaps(plan, Server.CLOUDFRONT, Place.CORS)
    yield from comment("In place of the vendor's own fields: two Allow-Origin are as bad as none.")
    yield "OriginOverride: true"
    yield from comment("Beacons are sent with credentials, and lost without it.")
    yield "AccessControlAllowCredentials: true"
    origins = (quoted(origin, "cors.allow_origins") for origin in plan.settings.cors.allow_origins)
    yield from mapping("AccessControlAllowOrigins", listing("Items", origins))
    yield from mapping("AccessControlAllowMethods", listing("Items", ("GET", "HEAD", "POST", "OPTIONS")))
    yield from mapping("AccessControlAllowHeaders", listing("Items", plan.allow_headers.split(", ")))
    yield from mapping("AccessControlExposeHeaders", listing("Items", plan.expose_headers.split(", ")))
    yield f"AccessControlMaxAgeSec: {plan.max_age}"
