"""Proves of the text what a running server on loopback can't show: names that are resolved, values that could break
out, addresses to listen on. That the servers take it and do it is proved in tests/export.
"""

from __future__ import annotations

import re

import pytest
import yaml

from proxy.export import FORMATS, ExportError, Wishes, plan
from proxy.export.nginx_location import SYSTEM_AUTHORITIES
from proxy.settings import Settings
from proxy.settings.source import from_text
from tests.unit.export.plans import NAMED, SERVERS, exported

OURS = ("nginx", "caddy", "haproxy")
REFUSED = {"nginx": "$", "caddy": "{}\\`", "haproxy": ""}
FIELD = re.compile(r"(proxy_set_header|header_up|http-request set-header) X-A (['\"]).*\2;?")
INJECTIONS = ('a"; evil;', "a' evil", "a} evil {", "$host", "%[src]", "`id`", "${env}", "{$HOME}", "a\\", "{env.HOME}")


def directives(text: str) -> list[str]:
    """The lines that are no comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def edited(value: str) -> Settings:
    """Settings with a header of this value."""
    escaped = value.replace("${", "$${")
    settings = from_text(yaml.safe_dump({"headers": {"upstream": {"set": {"X-A": escaped}}}}), {})
    assert isinstance(settings, Settings)
    return settings


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("name", OURS)
def test_a_header_value_stays_one_word_or_is_refused(name: str, value: str) -> None:
    if set(value) & set(REFUSED[name]):
        with pytest.raises(ExportError) as caught:
            FORMATS[name](plan(edited(value)))
        assert caught.value.path == "headers.upstream.set.X-A"
        assert value not in str(caught.value)
    else:
        plain = directives(exported(name))
        added = [line for line in directives(FORMATS[name](plan(edited(value)))) if line not in plain]
        assert added
        assert all(FIELD.fullmatch(line) for line in added)


@pytest.mark.parametrize("file", ["/ca\nevil", "/ca\revil", "/ca\x1b"])
@pytest.mark.parametrize("name", OURS)
def test_a_file_name_with_a_line_break_is_refused(name: str, file: str) -> None:
    settings = from_text(
        yaml.safe_dump({"upstreams": {"us": {"track": {"url": "https://a.example/x", "ca_file": file}}}}), {}
    )
    assert isinstance(settings, Settings)
    with pytest.raises(ExportError, match=r"upstreams\.us\.track\.ca_file: line breaks"):
        FORMATS[name](plan(settings))


@pytest.mark.parametrize("name", OURS)
def test_a_certificate_with_a_line_break_is_refused_and_not_in_a_comment(name: str) -> None:
    tls = {"certificate": "/c\nevil", "key": "/k\nevil"}
    settings = from_text(yaml.safe_dump({"listen": {"address": "127.0.0.1:443", "tls": tls}}), {})
    assert isinstance(settings, Settings)
    with pytest.raises(ExportError, match=r"listen\.tls\.certificate: line breaks"):
        FORMATS[name](plan(settings))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("upstreams: {us: {track: {url: 'https://a.example', ca_file: ca.pem}}}", "upstreams.us.track.ca_file"),
        ("listen: {address: ':443', tls: {certificate: c.pem, key: /k.pem}}", "listen.tls.certificate"),
    ],
)
@pytest.mark.parametrize("name", OURS)
def test_a_file_that_would_be_looked_for_elsewhere_is_refused(name: str, text: str, path: str) -> None:
    with pytest.raises(ExportError) as caught:
        exported(name, text)
    assert caught.value.path == path


@pytest.mark.parametrize("name", OURS)
def test_an_address_that_must_not_be_told_is_not(name: str) -> None:
    lines = directives(exported(name, "client_ip: {forward: none}"))
    told = [line for line in lines if re.search("X-Forwarded-For|X-Real-IP", line)]
    removed = {
        "nginx": "proxy_set_header \\S+ [$]replay_client;",
        "caddy": "header_up -.*",
        "haproxy": ".*del-header .*",
    }
    assert len(told) >= 2
    assert all(re.fullmatch(removed[name], line) for line in told)
    if name == "nginx":
        assert lines[lines.index("map $remote_addr $replay_client {") + 1] == 'default "";'


def test_an_upstreams_path_with_a_dollar_sign_is_refused_by_nginx() -> None:
    with pytest.raises(ExportError, match=r"upstreams\.us\.track\.url: nginx"):
        exported("nginx", "upstreams: {us: {track: 'https://a.example/$host/x'}}")


def test_nginx_resolves_names_again_when_it_is_told_a_name_server() -> None:
    text = exported("nginx", "timeouts: {resolve: 20s}", Wishes(resolver="192.0.2.53"))
    assert 'resolver "192.0.2.53" valid=20s;' in text
    assert "zone replay_us_track 64k;" in text
    assert "server api-sr.amplitude.com:443 resolve;" in text
    without = exported("nginx")
    assert "server api-sr.amplitude.com:443;" in without
    assert "(timeouts.resolve): nginx resolves these names when it starts" in without


def test_haproxy_resolves_names_and_only_names_again() -> None:
    assert "'api-sr.amplitude.com:443' ssl" in exported("haproxy")
    assert exported("haproxy").count("resolvers replay init-addr") == 2
    fixed = "upstreams: {us: {track: {url: 'https://a.example/x', connect: '192.0.2.7:443'}}}"
    assert exported("haproxy", fixed).count("resolvers replay init-addr") == 1


def test_the_systems_authorities_are_trusted_where_no_others_are_named() -> None:
    assert exported("nginx").count(f'proxy_ssl_trusted_certificate "{SYSTEM_AUTHORITIES}";') == 2
    assert exported("haproxy").count("verify required verifyhost") == 2
    assert exported("haproxy").count("ca-file @system-ca") == 2
    assert "tls_trusted_ca_certs" not in exported("caddy")


@pytest.mark.parametrize("name", OURS)
def test_a_plain_upstream_is_spoken_to_without_tls(name: str) -> None:
    both = {route: {"url": f"http://127.0.0.1:8000/{route}"} for route in ("track", "config")}
    text = "\n".join(directives(exported(name, yaml.safe_dump({"upstreams": {"us": both}}))))
    assert "127.0.0.1:8000" in text
    assert "https://" not in text.replace("https://replay", "").replace("[a-z][a-z0-9+.-]*://", "")
    assert "tls_server_name" not in text
    assert "proxy_ssl" not in text
    assert "verify required" not in text


def test_every_address_is_listened_on() -> None:
    text = "listen: [{address: '[::]:8080'}, {address: '127.0.0.1:8081'}]"
    assert "listen [::]:8080 default_server ipv6only=off;" in exported("nginx", text)
    assert "bind '[::]:8080' v4v6" in exported("haproxy", text)
    assert "bind '127.0.0.1:8081'" in exported("haproxy", text)
    assert "http://:8081 {\n    bind 127.0.0.1\n" in exported("caddy", text)


def test_an_ipv6_wildcard_leaves_ipv4_to_an_ipv4_wildcard() -> None:
    text = "listen: [{address: '[::]:8080'}, {address: '0.0.0.0:8080'}]"
    assert "listen [::]:8080 default_server ipv6only=on;" in exported("nginx", text)
    assert "v4v6" not in exported("haproxy", text)
    assert "http://:8080 {\n    bind :: 0.0.0.0\n" in exported("caddy", text)


@pytest.mark.parametrize("name", SERVERS)
def test_no_upstream_connection_is_kept_when_none_may_be(name: str) -> None:
    text = exported(name, NAMED + "limits: {upstream_idle: 0}")
    assert "keepalive 0" not in text
    assert "keepalive_idle_conns 0" not in text


@pytest.mark.parametrize("name", OURS)
def test_no_value_but_that_of_an_edited_header_is_a_secret_in_the_output(name: str) -> None:
    text = "keys: {allow: [TOPSECRET]}\nregion: {api_keys: {TOPSECRET: eu}}\n"
    text += "archive: {s3: {region: r, recordingsBucket: abc, accessKey: TOPSECRET, secretKey: TOPSECRET}}\n"
    assert "TOPSECRET" not in exported(name, text)
    edited = exported(name, "headers: {upstream: {set: {X-A: TOPSECRET}}}")
    assert "keep it from others' eyes" in edited.split("\n\n")[0]
