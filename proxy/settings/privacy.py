"""What is passed on of the page's address, and of visitors whose browser says that they object to it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from proxy.settings.section import Section
from proxy.settings.spelling import matching
from proxy.settings.units import choice

Shown = Annotated[Literal["full", "no_query", "origin", "none"], choice("full", "no_query", "origin", "none")]
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
