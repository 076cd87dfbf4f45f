"""The gateway's settings as configurations for other servers, and for the page itself.

    plan(settings, wishes)   what all of them need of the settings, with every refusal; raises ExportError
    FORMATS                  name -> function from the plan to the text

A format that can't follow a setting says so in a comment where it matters (`gaps`). Everything is pure: text from
values. Must not know sockets, clocks or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.export.caddy import caddy
from proxy.export.cloudfront import cloudfront
from proxy.export.csp import csp
from proxy.export.haproxy import haproxy
from proxy.export.nginx import nginx
from proxy.export.plan import ExportError, Plan, Wishes, plan
from proxy.export.sdk import sdk

__all__ = ["FORMATS", "ExportError", "Plan", "Wishes", "plan"]

FORMATS: Mapping[str, Callable[[Plan], str]] = {
    "nginx": nginx,
    "caddy": caddy,
    "haproxy": haproxy,
    "cloudfront": cloudfront,
    "sdk": sdk,
    "csp": csp,
}
