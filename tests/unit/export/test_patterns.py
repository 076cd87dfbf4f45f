"""Proves that the exported patterns decide as the gateway's own policies do, and that no quoting can change them."""

from __future__ import annotations

import re
import warnings
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.export import patterns
from proxy.model.verdict import Route
from proxy.policy.client_ip import ClientIpPolicy
from proxy.policy.origins import CorsPolicy
from proxy.policy.routing import Match, Router
from proxy.settings import ClientIp, Cors, Paths

ALLOWED = ("https://app.example.com", "https://*.example.org", "http://localhost:3000", "http://[::1]:3000")
KEY = "0123456789abcdef0123456789abcdef"


def compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a way to write classes that only Python plans
        return re.compile(pattern)


@pytest.mark.parametrize("allowed", [ALLOWED, ("*",)], ids=["listed", "any"])
@pytest.mark.parametrize(
    "origin",
    [
        *("https://app.example.com", "https://a.example.org", "https://a.b.example.org", "http://[::1]:3000"),
        *("http://localhost:3000", "http://localhost:30001", "http://localhost", "https://app.example.com:443"),
        *("https://example.org", "https://.example.org", "https://evil.example", "https://app-example.com", "null"),
        *("https://app.example.com.evil.example", "https://evil.example/.example.org", "HTTPS://app.example.com"),
        *("chrome-extension://abcdef", "capacitor://localhost", "file://", "", "https://", "https://a b"),
    ],
)
def test_origins_are_allowed_as_the_gateway_does(allowed: tuple[str, ...], origin: str) -> None:
    pattern = compiled(patterns.any_of(map(patterns.origin, allowed)))
    assert bool(pattern.match(origin)) == CorsPolicy(Cors(allow_origins=allowed)).allows(origin.encode())


@pytest.mark.parametrize(
    "path",
    [
        *("/config", "/config/", "/r/c", f"/config/{KEY}", f"/config//{KEY}", f"/r/c/{KEY}", "/config/a.b_c~d-e"),
        *("/configX", f"/configX/{KEY}", f"/config/{KEY}/", f"/config/{KEY}/x", "/config/..", "/config/.", "//config"),
        *("/sessions/v2/track", "/sessions/v2/trackX", "/sessions/v2/track/", "/sessions.v2/track", "/", ""),
    ],
)
def test_paths_are_routed_as_the_gateway_does(path: str) -> None:
    paths = Paths(config=("/config", "/r/c"))
    match = Router(paths).match(path.encode())
    assert bool(compiled(patterns.track(paths.track)).match(path)) == (
        isinstance(match, Match) and match.route is Route.TRACK
    )
    found = compiled(patterns.config(paths.config)).match(path)
    if isinstance(match, Match) and match.route is Route.CONFIG:
        assert found
        assert (found[2] or "") == match.suffix.decode()
    else:
        assert not found


def told(address: str) -> str:
    for pattern, (before, group, after) in patterns.NETWORKS:
        found = re.match(pattern, address)
        if found:
            return before + (found[group] if group else "") + after
    return ""


PUBLIC_IPV6 = st.lists(st.sampled_from([0, 0, 1, 0xDB8, 0xFFFF]), min_size=7, max_size=7).map(
    lambda groups: IPv6Address(":".join(f"{group:x}" for group in (0x2001, *groups)))
)


@given(st.one_of(st.ip_addresses(v=4), PUBLIC_IPV6))
def test_addresses_are_cut_as_the_gateway_does(address: IPv4Address | IPv6Address) -> None:
    own = ClientIpPolicy(ClientIp(forward="truncate")).forwarded(str(address))
    assert own is not None
    assert ip_address(told(str(address))) == ip_address(own.decode())


def test_an_ipv4_address_in_ipv6_is_cut_as_ipv4() -> None:
    assert told("::ffff:192.0.2.7") == "192.0.2.0"
    assert told("not an address") == ""


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\^"), min_size=1))
def test_a_literal_matches_itself_and_holds_nothing_that_quoting_could_change(text: str) -> None:
    pattern = patterns.literal(text)
    assert compiled(f"^{pattern}$").match(text)
    assert "\\" not in pattern
