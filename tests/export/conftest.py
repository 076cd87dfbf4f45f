"""Two servers of each kind: `exported` with settings near the defaults, `edited` with whatever can be set otherwise.

Both stand before the stand-in's TLS sites, by `connect` and `ca_file`; further regions have nobody, or nobody to
trust, behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.export.server import Exported, NotStartedError, running
from tests.gateway import free_port, vendor_upstreams
from tests.standin import StandIn

SERVERS = ("nginx", "caddy", "haproxy")
BODY_LIMIT = 2_000_000
START_ATTEMPTS = 3
# Hosts whose regions have the vendor behind them, but under another name, or with a certificate of another authority.
UNTRUSTED = {"replay-misnamed.example.com": "misnamed", "replay-stranger.example.com": "stranger"}
PLAIN: dict[str, Any] = {
    "paths": {"track": ["/sessions/v2/track", "/r/t"], "config": ["/config", "/r/c"]},
    "cors": {"allow_origins": ["https://app.example.com", "https://*.example.org", "http://[::1]:3000"]},
    "region": {"hosts": {"replay-eu.example.com": "eu", "replay-down.example.com": "down", **UNTRUSTED}},
    "limits": {"body": BODY_LIMIT},
    "timeouts": {"first_byte": "1s", "config_total": "1s"},
}
EDITED: dict[str, Any] = {
    "paths": {"track": ["/in"], "config": ["/cfg"]},
    "cors": {
        "allow_origins": ["*"],
        "foreign_origin": "refuse",
        "max_age": "10m",
        "allow_headers": ["X-Session-Token"],
        "expose_headers": ["X-Trace-Id"],
    },
    "region": {"strict": True, "hosts": {"replay.example.com": "us", "replay-eu.example.com": "eu"}},
    "headers": {
        "upstream": {"set": {"X-Proxy-Token": "a 'b' \"c\" %d #e; f", "X-Request-Id": "mine"}, "remove": ["X-Gone"]},
        "forward_cookies": ["consent", "theme-2"],
    },
    "privacy": {"referer": "origin", "page_url": "none"},
    "client_ip": {"forward": "truncate", "trusted_proxies": ["127.0.0.0/8", "fd00::/8"]},
}


@pytest.fixture(scope="session")
def vendor() -> Iterator[StandIn]:
    with StandIn("--quiet") as standin:
        yield standin


@pytest.fixture
def standin(vendor: StandIn) -> StandIn:
    """The vendor, well-behaved and without memory of other tests."""
    vendor.clear()
    return vendor


def settings(vendor: StandIn, folder: Path, more: dict[str, Any]) -> dict[str, Any]:
    """Complete settings with a plain and a TLS listener."""
    certificate = vendor.ca_file.parent / "server.pem"
    both = folder / "both.pem"  # HAProxy wants chain and key in one file, the others don't mind
    both.write_bytes(certificate.read_bytes() + certificate.with_suffix(".key").read_bytes())
    nobody = {"connect": f"127.0.0.1:{free_port()}", "ca_file": str(vendor.ca_file)}
    down = {route: {"url": f"https://{route}.down.example/x", **nobody} for route in ("track", "config")}
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    site = f"127.0.0.1:{vendor.ports['us-tls']}"
    misnamed = {"url": "https://replay.internal.example/x", "connect": site, "ca_file": str(vendor.ca_file)}
    stranger = {"url": "https://api-sr.amplitude.com/x", "connect": site, "ca_file": str(folder / "stranger.pem")}
    others = {"down": down} | {
        name: dict.fromkeys(("track", "config"), one) for name, one in (("misnamed", misnamed), ("stranger", stranger))
    }
    tls = {"certificate": str(both), "key": str(certificate.with_suffix(".key"))}
    return {
        "listen": [{"address": f"127.0.0.1:{free_port()}"}, {"address": f"127.0.0.1:{free_port()}", "tls": tls}],
        "upstreams": {**vendor_upstreams(vendor), **others},
        **more,
    }


def started(name: str, vendor: StandIn, folder: Path, more: dict[str, Any], stack: ExitStack) -> Exported:
    """The server with these settings, on other ports when somebody else took one of them meanwhile."""
    for _ in range(START_ATTEMPTS - 1):
        with suppress(NotStartedError):
            return stack.enter_context(running(name, settings(vendor, folder, more), folder))
    return stack.enter_context(running(name, settings(vendor, folder, more), folder))


@pytest.fixture(scope="session", params=SERVERS)
def exported(
    request: pytest.FixtureRequest, vendor: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    with ExitStack() as stack:
        yield started(request.param, vendor, tmp_path_factory.mktemp("exported"), PLAIN, stack)


@pytest.fixture(scope="session", params=SERVERS)
def edited(
    request: pytest.FixtureRequest, vendor: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    with ExitStack() as stack:
        yield started(request.param, vendor, tmp_path_factory.mktemp("edited"), EDITED, stack)
