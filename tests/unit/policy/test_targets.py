"""Proves that targets come from the settings alone, and that connections are shared only between targets that are the
same in everything that makes a connection safe."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from proxy.model.verdict import Route
from proxy.policy.targets import Peer, Target, build_targets
from proxy.settings import Settings
from proxy.settings.upstreams import Upstream

URL = "https://vendor.example/t"


def upstream(url: str = URL, **more: Any) -> Upstream:
    return Upstream.model_validate({"url": url, **more})


@pytest.mark.parametrize(
    ("given", "host_line", "connect", "tls"),
    [
        (upstream(), b"Host: vendor.example", ("vendor.example", 443), True),
        (upstream("http://vendor.example/t"), b"Host: vendor.example", ("vendor.example", 80), False),
        (upstream("https://vendor.example:8443/t"), b"Host: vendor.example:8443", ("vendor.example", 8443), True),
        (upstream(connect="127.0.0.1:9443"), b"Host: vendor.example", ("127.0.0.1", 9443), True),
        (upstream("http://[::1]:81/t"), b"Host: [::1]:81", ("::1", 81), False),
        (upstream("https://VENDOR.example/t"), b"Host: vendor.example", ("vendor.example", 443), True),
    ],
)
def test_where_it_connects_and_which_host_it_names(
    given: Upstream, host_line: bytes, connect: tuple[str, int], tls: bool
) -> None:
    target = Target("us", Route.TRACK, given)
    assert target.host_line == host_line
    assert (target.peer.connect_host, target.peer.connect_port) == connect
    assert (target.peer.tls, target.peer.server_name) == (tls, given.host)


@pytest.mark.parametrize(
    ("url", "suffix", "expected"),
    [
        ("https://v.example/sessions/v2/track", b"", b"/sessions/v2/track"),
        ("https://v.example/config", b"/key", b"/config/key"),
        ("https://v.example/config/", b"/key", b"/config/key"),
        ("https://v.example", b"", b"/"),
        ("https://v.example/", b"", b"/"),
        ("https://v.example/", b"/key", b"/key"),
        ("https://v.example/a%20b", b"/%7e", b"/a%20b/%7e"),
    ],
)
def test_a_path_is_the_upstreams_own_and_the_suffix(url: str, suffix: bytes, expected: bytes) -> None:
    assert Target("us", Route.CONFIG, upstream(url)).path(suffix) == expected


DIFFERENT = [
    upstream(),
    upstream("https://other.example/t"),
    upstream("https://vendor.example:444/t"),
    upstream("http://vendor.example/t"),
    upstream("http://vendor.example:443/t"),
    upstream(connect="127.0.0.1:443"),
    upstream(connect="127.0.0.1:444"),
    upstream("https://other.example/t", connect="127.0.0.1:443"),
    upstream(ca_file="/ca.pem"),
    upstream(ca_file="/other.pem"),
]


@pytest.mark.parametrize(("one", "other"), list(combinations(DIFFERENT, 2)))
def test_what_differs_in_address_name_or_trust_shares_no_connection(one: Upstream, other: Upstream) -> None:
    assert Peer(one).identity != Peer(other).identity


def test_what_differs_in_the_path_alone_shares_connections() -> None:
    assert Peer(upstream()).identity == Peer(upstream("https://vendor.example/config")).identity
    assert Peer(upstream()).identity == Peer(upstream(connect="vendor.example:443")).identity


def test_the_name_of_a_peer_says_where_it_is() -> None:
    assert repr(Peer(upstream(connect="127.0.0.1:9443"))) == "https://vendor.example at 127.0.0.1:9443"


def test_every_region_has_both_targets_and_keeps_them_apart() -> None:
    targets = build_targets(Settings.model_validate({"upstreams": {"us": {"track": "http://127.0.0.1:81/t"}}}))
    assert set(targets) == {(region, route) for region in ("us", "eu") for route in Route}
    for (region, route), target in targets.items():
        assert (target.region, target.route) == (region, route)
    assert targets["us", Route.TRACK].path(b"") == b"/t"
    hosts = {target.host_line for target in targets.values()}
    assert len(hosts) == 4
