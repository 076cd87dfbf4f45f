"""The Content-Security-Policy that a page needs which records through the gateway. Knows the public address alone."""

from __future__ import annotations

from proxy.export.layout import comment, document
from proxy.export.plan import Plan
from proxy.export.sdk import public_origin, where_from


def csp(plan: Plan) -> str:
    """The field, with a comment."""
    others = " Regions have hosts of their own: list those that your page uses." if plan.settings.region.hosts else ""
    text = (
        f"Add these to your page's policy. {where_from(plan)}{others} worker-src is for the worker in which the SDK "
        "compresses and sends; the vendor's hosts are not needed for replays."
    )
    field = f"Content-Security-Policy: connect-src 'self' {public_origin(plan)}; worker-src 'self' blob:;"
    return document([*comment(text), field])
