"""Proves that nothing is silent: each setting is followed by a server, or said in its export not to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from proxy.export.gaps import GAPS, OWN_AFFAIR, Gap, Server
from proxy.settings import Settings
from tests.unit.export.plans import NAMED, exported, planned

FORMAT = {Server.NGINX: "nginx", Server.CADDY: "caddy", Server.HAPROXY: "haproxy", Server.CLOUDFRONT: "cloudfront"}
# Whatever a gap is about.
EVERYTHING = (
    "cors: {allow_origins: ['https://app.example.com']}\n"
    "keys: {allow: [key], origins: {key: ['https://app.example.com']}}\n"
    "limits: {per_ip: {rate: 5}, per_key: {rate: 5}}\n"
    "privacy: {page_url: origin, gpc: drop}\n"
    "region: {hosts: {a.example.com: eu}, api_keys: {key: eu}, header: {name: X-R, values: {DE: eu}}}\n"
    "client_ip: {forward: truncate, trusted_proxies: [10.0.0.0/8]}\n"
    "listen: {address: '127.0.0.1:443', tls: {certificate: /c.pem, key: /k.pem}}\n"
    "archive: {}\n"
    f"jwt: {{algorithms: [HS256], secret: {'s' * 32}}}\n"
)
# What the exports follow, tests/export and the other files here prove it; where a server can't, a gap says so.
FOLLOWED = {
    *("listen.address", "listen.tls.certificate", "listen.tls.key", "listen.tls.min_version"),
    *("upstreams", "paths.track", "paths.config", "region.default", "region.hosts", "region.strict"),
    *("cors.allow_origins", "cors.foreign_origin", "cors.max_age", "cors.allow_headers", "cors.expose_headers"),
    *("headers.upstream.set", "headers.upstream.remove", "headers.forward_cookies"),
    *("client_ip.forward", "client_ip.trusted_proxies", "limits.body", "limits.head", "limits.target"),
    *("limits.requests_per_connection", "limits.upstream_idle", "timeouts.connect", "timeouts.first_byte"),
    *("timeouts.config_total", "timeouts.client_head", "timeouts.client_body_idle", "timeouts.client_write"),
    *("timeouts.keep_alive", "timeouts.linger", "timeouts.upstream_idle", "timeouts.upstream_stall"),
    *("timeouts.resolve", "timeouts.tls_handshake"),
}


def name_of(gap: Gap) -> str:
    """The same in each process of a test run."""
    return f"{gap.settings[0]} {gap.servers[0].value}"


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The keys of the settings; a table and the archive are one."""
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        below = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
        is_whole = below is None or name in ("upstreams", "archive", "header", "jwt")
        yield from [f"{path}{name}"] if is_whole or below is None else leaves(below, f"{path}{name}.")


def test_every_setting_is_followed_or_told() -> None:
    settings = set(leaves(Settings))
    told = {setting for gap in GAPS for setting in gap.settings}
    assert settings - FOLLOWED - told == set(OWN_AFFAIR)
    assert told - settings == set()
    assert FOLLOWED - settings == set()


@pytest.mark.parametrize("server", Server)
@pytest.mark.parametrize("gap", GAPS, ids=name_of)
def test_an_export_says_what_its_server_can_not_do(gap: Gap, server: Server) -> None:
    lines = exported(FORMAT[server], EVERYTHING).splitlines()
    comments = " ".join(line.strip().removeprefix("#").strip() for line in lines if line.strip().startswith("#"))
    assert comments.count(f"({', '.join(gap.settings)}): {gap.meaning}.") == (server in gap.servers)


@pytest.mark.parametrize("gap", [gap for gap in GAPS if not gap.matters(planned(NAMED).settings)], ids=name_of)
def test_what_is_not_set_is_not_talked_about(gap: Gap) -> None:
    for server in gap.servers:
        text = " ".join(exported(FORMAT[server], NAMED).replace("#", " ").split())
        assert gap.meaning not in text
        assert gap.matters(planned(EVERYTHING).settings)
