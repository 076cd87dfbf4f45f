"""What is passed on of the page's address, and of visitors whose browser says that they object to it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from proxy.settings.section import Section
from proxy.settings.spelling import matching
from proxy.settings.units import choice

Shown = Annotated[Literal["full", "no_query", "origin", "none"], choice("full", "no_query", "origin", "none")]
# In which CDNs, load balancers and older proxies say the visitor's address, beside the fields that the gateway reads.
ADDRESS_FIELDS = (
    "CDN-Src-IP",
    "CF-Connecting-IP",
    "CF-Connecting-IPv6",
    "CF-Pseudo-IPv4",
    "Client-IP",
    "CloudFront-Viewer-Address",
    "DO-Connecting-IP",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "Incap-Client-IP",
    "Proxy-Client-IP",
    "True-Client-IP",
    "WL-Proxy-Client-IP",
    "X-AppEngine-User-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Envoy-External-Address",
    "X-NF-Client-Connection-IP",
    "X-Original-Forwarded-For",
    "X-Originating-IP",
    "X-Remote-Addr",
    "X-Remote-IP",
    "X-Sucuri-ClientIP",
    "X-Vercel-Forwarded-For",
)
_PARAMETER = re.compile(r"[A-Za-z0-9._~-]{1,64}\*?")

Parameter = Annotated[
    str, matching(_PARAMETER, "a query parameter's name such as page, or utm_* for all that begin so")
]


class Privacy(Section):
    """Page addresses (X-Client-Url and Referer) and Global Privacy Control (Sec-GPC)."""

    page_url: Shown = "full"
    referer: Shown = "full"
    keep_query: tuple[Parameter, ...] = ()
    gpc: Annotated[Literal["forward", "drop", "strip"], choice("forward", "drop", "strip")] = "forward"
