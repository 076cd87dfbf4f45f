"""Proves what counts as a change, which of them need a restart, and that no secret is told."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.settings import Settings, changes, needs_restart


def settings(**written: Any) -> Settings:
    return Settings.model_validate(written)


TLS = {"certificate": "a.pem", "key": "a.key"}
ON_TLS = {"address": ":8443", "tls": TLS}


def test_the_same_is_no_change_however_it_is_written() -> None:
    assert changes(settings(limits={"body": "16MiB"}), settings(limits={"body": 16 * 1024 * 1024})) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ({}, {"limits": {"body": "1MiB"}}, "limits.body"),
        ({}, {"cors": {"allow_origins": ["https://a.example"]}}, "cors.allow_origins"),
        ({"listen": ON_TLS}, {"listen": {**ON_TLS, "tls": {**TLS, "key": "b.key"}}}, "listen[0].tls.key"),
        ({}, {"upstreams": {"us": {"track": "https://other.example/t"}}}, "upstreams.us.track.url"),
        ({}, {"headers": {"upstream": {"set": {"X-Token": "secret"}}}}, "headers.upstream.set.X-Token"),
        ({}, {"log": {"level": "debug"}}, "log.level"),
    ],
)
def test_what_a_running_gateway_can_take_over(old: dict[str, Any], new: dict[str, Any], path: str) -> None:
    before, after = settings(**old), settings(**new)
    assert changes(before, after) == [path]
    assert changes(after, before) == [path]
    assert needs_restart(before, after) == []


@pytest.mark.parametrize(
    ("new", "path"),
    [
        ({"workers": 3}, "workers"),
        ({"admin": None}, "admin"),
        ({"admin": {"address": "127.0.0.1:9191"}}, "admin.address"),
        ({"listen": {"address": ":8081"}}, "listen[0].address"),
        ({"listen": [{"address": ":8080"}, {"address": ":8081"}]}, "listen"),
        ({"listen": {"address": ":8080", "tls": TLS}}, "listen[0].tls"),
        ({"upstreams": {"ap": {"track": "https://a.example/t", "config": "https://a.example/c"}}}, "upstreams.ap"),
        ({"archive": {"store": "directory"}}, "archive"),
    ],
)
def test_what_needs_a_restart(new: dict[str, Any], path: str) -> None:
    assert needs_restart(settings(), settings(**new)) == [path]
    assert needs_restart(settings(**new), settings()) == [path]


def test_a_part_of_the_archive_needs_one_too() -> None:
    before = settings(archive={"store": "directory"})
    assert needs_restart(before, settings(archive={"store": "directory", "codec": "gzip"})) == ["archive.codec"]


def test_the_order_of_regions_means_nothing() -> None:
    one, other = ({"track": f"https://{name}.example/t", "config": f"https://{name}.example/c"} for name in "ab")
    assert changes(settings(upstreams={"a": one, "b": other}), settings(upstreams={"b": other, "a": one})) == []


def test_neither_keys_nor_values_that_are_secret_are_told() -> None:
    before = settings(region={"api_keys": {"key-number-1": "us"}}, keys={"allow": ["key-number-1"]})
    after = settings(region={"api_keys": {"key-number-2": "us"}}, keys={"allow": ["key-number-2"]})
    assert changes(before, after) == ["region.api_keys", "keys"]
