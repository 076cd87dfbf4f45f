"""The lines that point a page's SDK at the gateway, or at what took its place. Knows paths and address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.export.layout import comment, document
from proxy.export.plan import Plan, url_parts
from proxy.export.quoting import script
from proxy.settings.network import bracketed

_ANYWHERE = ("0.0.0.0", "::")


def sdk(plan: Plan) -> str:
    """JavaScript: the plugin for the analytics SDK, and the SDK for itself."""
    return document(re.sub("^( *)# ", r"\1// ", line) for line in _lines(plan))


def public_origin(plan: Plan) -> str:
    """Where pages find the gateway: what was asked for, or the first listener."""
    if plan.wishes.public_url:
        parts = url_parts(plan.wishes.public_url)
        return f"{parts.scheme}://{parts.authority}"
    listener = plan.settings.listen[0]
    address = listener.address
    host = "localhost" if address.host in _ANYWHERE else bracketed(address.host)
    scheme, usual = ("https", 443) if listener.tls else ("http", 80)
    return f"{scheme}://{host}" if address.port == usual else f"{scheme}://{host}:{address.port}"


def where_from(plan: Plan) -> str:
    """A sentence about the address; empty if it was given."""
    if plan.wishes.public_url:
        return ""
    return "The address is that of the first listener: give the one that browsers use with --public-url."


def _lines(plan: Plan) -> Iterator[str]:
    origin, paths = public_origin(plan), plan.settings.paths
    yield from comment(
        f"Points the session-replay SDK (1.19 or newer) at {origin}. {where_from(plan)} No slash at the end and no "
        "query: the SDK appends to both as they stand. Both are needed: a configuration that is fetched from "
        "the vendor's host is lost where that is blocked, and then nothing is recorded."
    )
    for region in plan.regions:
        if region.hosts:
            yield from comment(f"Projects of region {region.name} use the host {' or '.join(region.hosts)}.")
    addresses = (
        f"trackServerUrl: {script(origin + paths.track[0])},",
        f"configServerUrl: {script(origin + paths.config[0])},",
    )
    yield ""
    yield from _plugin(addresses, origin + paths.config[0])
    yield ""
    yield from _alone(addresses)


def _plugin(addresses: tuple[str, ...], config: str) -> Iterator[str]:
    yield from comment("Either: the plugin for the analytics SDK.")
    yield 'import * as amplitude from "@amplitude/analytics-browser";'
    yield 'import { sessionReplayPlugin } from "@amplitude/plugin-session-replay-browser";'
    yield ""
    yield "amplitude.add(sessionReplayPlugin({"
    yield from (f"  {line}" for line in addresses)
    yield "  sampleRate: 1,"
    yield "}));"
    yield "amplitude.init(API_KEY, {"
    yield from (f"  {line}" for line in comment("The analytics SDK fetches the same configuration for itself."))
    yield f"  remoteConfig: {{ serverUrl: {script(config)} }},"
    yield "});"


def _alone(addresses: tuple[str, ...]) -> Iterator[str]:
    yield from comment("Or: the SDK for itself.")
    yield 'import * as sessionReplay from "@amplitude/session-replay-browser";'
    yield ""
    yield "await sessionReplay.init(API_KEY, {"
    yield '  deviceId: "<device id>",'
    yield "  sessionId: Date.now(),"
    yield from (f"  {line}" for line in addresses)
    yield "  sampleRate: 1,"
    yield "}).promise;"
