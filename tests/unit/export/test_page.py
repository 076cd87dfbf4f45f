"""Proves what a page is given: the SDK's addresses and the policy, for the address that browsers use."""

from __future__ import annotations

import pytest

from proxy.export import Wishes
from tests.unit.export.plans import exported

GIVEN = Wishes(public_url="https://replay.example.com/")


def test_the_sdk_gets_both_addresses_twice_and_the_analytics_sdk_its_own() -> None:
    text = exported("sdk", "paths: {track: [/in, /sessions/v2/track], config: [/cfg]}", GIVEN)
    assert text.count('trackServerUrl: "https://replay.example.com/in",') == 2
    assert text.count('configServerUrl: "https://replay.example.com/cfg",') == 2
    assert 'remoteConfig: { serverUrl: "https://replay.example.com/cfg" },' in text
    assert "--public-url" not in text


@pytest.mark.parametrize(
    ("listen", "origin"),
    [
        ("{address: '0.0.0.0:8080'}", "http://localhost:8080"),
        ("{address: '[::]:80'}", "http://localhost"),
        ("{address: '192.0.2.7:8080'}", "http://192.0.2.7:8080"),
        ("{address: '[2001:db8::1]:443', tls: {certificate: c, key: k}}", "https://[2001:db8::1]"),
    ],
)
def test_the_address_is_otherwise_that_of_the_first_listener(listen: str, origin: str) -> None:
    for name in ("sdk", "csp"):
        text = exported(name, f"listen: [{listen}, {{address: '127.0.0.1:9999'}}]")
        assert origin in text
        assert "--public-url" in text


def test_every_comment_of_the_script_is_one() -> None:
    lines = exported("sdk", "region: {hosts: {replay-eu.example.com: eu}}").splitlines()
    assert not any(line.lstrip().startswith("#") for line in lines)
    assert "// Projects of region eu use the host replay-eu.example.com." in lines


def test_the_policy_allows_the_address_and_the_worker() -> None:
    last = exported("csp", "", GIVEN).splitlines()[-1]
    assert last == ("Content-Security-Policy: connect-src 'self' https://replay.example.com; worker-src 'self' blob:;")
