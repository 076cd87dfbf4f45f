"""Proves what is warned about, and that sensible settings give no warning."""

from __future__ import annotations

import pytest

from proxy.settings import Settings, advices

from .told import settings


def warned(text: str) -> list[str]:
    return [str(advice) for advice in advices(settings(text))]


def test_the_defaults_give_no_warning() -> None:
    assert list(advices(Settings())) == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("admin: {address: '0.0.0.0:9090'}", "admin.address"),
        ("upstreams: {us: {track: 'http://a.example/t'}}", "upstreams.us.track.url"),
        ("upstreams: {eu: {track: 'http://localhost/t', config: 'http://10.0.0.1/c'}}", "upstreams.eu.config.url"),
        ("region: {header: {name: C, values: {DE: eu}}}", "region.header"),
        ("cors: {allow_origins: ['*', 'https://a.example']}", "cors.allow_origins"),
        ("privacy: {keep_query: [page], page_url: origin}", "privacy.keep_query"),
        ("config_cache: {stale_if_error: 2d}", "config_cache.stale_if_error"),
        ("archive: {s3: {endpoint: 'http://minio:9000', recordingsBucket: abc}}", "archive.s3.endpoint"),
        ("archive: {store: directory, s3: {region: r, recordingsBucket: abc}}", "archive.s3"),
        ("timeouts: {track_total: 10s}", "timeouts.track_total"),
        ("timeouts: {config_total: 1s}", "timeouts.config_total"),
    ],
)
def test_what_hardly_works_as_meant_is_warned_about(text: str, path: str) -> None:
    (line,) = warned(text)
    assert line.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "text",
    [
        "admin: null",
        "admin: {address: '[::1]:9090'}",
        "upstreams: {us: {track: 'http://127.0.0.1:8/t'}}",
        "upstreams: {us: {track: {url: 'http://a.example/t', connect: 'localhost:1'}}}",
        "{region: {header: {name: C, values: {DE: eu}}}, client_ip: {trusted_proxies: [10.0.0.0/8]}}",
        "cors: {allow_origins: ['https://a.example', 'https://b.example']}",
        "privacy: {keep_query: [page], referer: no_query}",
        "config_cache: {stale_if_error: 1d}",
        "archive: {}",
        "archive: {s3: {region: r, recordingsBucket: abc}}",
        "archive: {s3: {endpoint: 'https://minio:9000', recordingsBucket: abc}}",
        "archive: {s3: {endpoint: 'http://127.0.0.1:9000', recordingsBucket: abc}}",
        "timeouts: {track_total: 9.9s, config_total: 999ms}",
    ],
)
def test_what_works_is_not(text: str) -> None:
    assert warned(text) == []


def test_all_warnings_come_together() -> None:
    assert len(warned("{timeouts: {track_total: 20s, config_total: 2s}, admin: {address: '10.0.0.1:1'}}")) == 3
