"""Proves that the JSON Schema accepts what the gateway accepts, and refuses what an editor can know to be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from proxy.settings import Settings, masked
from proxy.settings.document import parse
from proxy.settings.editor import json_schema

from .told import problems, settings

CONFIG = Path(__file__).resolve().parents[3] / "config"
CHECKER = Draft202012Validator(json_schema())

ACCEPTED = [
    "{}",
    "listen: {address: ':8080'}",
    "listen: [{address: '[::]:1', tls: {certificate: a, key: b, min_version: '1.3'}}]",
    "admin: null",
    "workers: 4",
    "workers: auto",
    "upstreams: {us: {track: 'https://a/t'}}",
    "upstreams: {us: {track: {url: 'https://a/t', connect: 'b:1', ca_file: c}}}",
    "upstreams: {x: {track: 'https://a/t', config: {url: 'https://a/c'}}}",
    "region: {default: eu, hosts: {a.example: eu}, api_keys: {k: eu}, strict: true}",
    "region: {header: {name: C, values: {NO: eu}}}",
    "cors: {allow_origins: ['*', 'https://*.example.org:8443'], max_age: 0}",
    "headers: {upstream: {set: {X-A: 'a b'}, remove: [R]}, forward_cookies: [c]}",
    "client_ip: {forward: none, trusted_proxies: [10.0.0.0/8, '::1']}",
    "privacy: {page_url: no_query, referer: origin, keep_query: [page, 'utm_*'], gpc: drop}",
    "limits: {body: 16MiB, head: 32768, per_ip: {rate: 0.5, burst: 3}}",
    "timeouts: {connect: 700ms, drain: 0, linger: 1.5s}",
    "config_cache: {stale_if_error: 0s}",
    "archive: null",
    "archive: {}",
    "archive: {store: directory, codec: none, client_ip: off, headers: [X-A], node: '', rotate: {seconds: 1.5}}",
    "archive: {s3: {endpoint: 'HTTPS://A:1/', recordingsBucket: abc, assetsBucket: '', prefix: a/b, tags: {É: ''}}}",
    "archive: {s3: {region: r, recordingsBucket: abc, accessKey: a, secretKey: b, sse: 'aws:kms', ca_file: c}}",
    "archive: {rotate: {bytes: 1, seconds: 5m}, spool: {sync_interval: 10ms, min_free_bytes: 0}}",
    "archive: {upload: {parallel: 1, backoff: 100ms}}",
    "{limits: null, log: null, headers: {upstream: null}}",
]
WITH_PLACEHOLDERS = """
workers: ${env:W}
limits: {body: "${env:B}"}
log: {level: "${file:/l}"}
region: {strict: "${env:S}", api_keys: {"${env:K}": "${env:R}"}}
timeouts: {drain: "${env:D}"}
archive: {store: "${env:S}", s3: {prefix: "${env:P}", tags: {"${env:T}": "${env:V}"}}, rotate: {seconds: "${env:D}"}}
"""
REFUSED = [
    "nonsense: 1",
    "limits: {bdy: 1}",
    "limits: {body: 12 parsecs}",
    "limits: {fields: many}",
    "timeouts: {connect: 3}",
    "timeouts: {connect: 3 parsecs}",
    "timeouts: {drain: 5}",
    "workers: many",
    "workers: 0",
    "listen: ':8080'",
    "listen: []",
    "listen: [{tls: null}]",
    "listen: [{address: ':1', tls: {certificate: a}}]",
    "listen: [{address: ':1', tls: {certificate: a, key: b, min_version: 1.2}}]",
    "log: {level: loud}",
    "privacy: {page_url: some}",
    "privacy: {gpc: true}",
    "privacy: {keep_query: ['*']}",
    "cors: {allow_origins: ['null']}",
    "cors: {allow_origins: '*'}",
    "cors: {foreign_origin: maybe}",
    "paths: {track: [/t/]}",
    "paths: {track: []}",
    "upstreams: {x: {track: 'https://a/t'}}",
    "upstreams: {us: {track: 'ftp://a/t'}}",
    "upstreams: {us: {trak: 'https://a/t'}}",
    "region: {strict: maybe}",
    "region: {header: {name: C}}",
    "client_ip: {trusted_proxies: [example.com]}",
    "headers: {upstream: {remove: ['a b']}}",
    "keys: {allow: ['a b']}",
    "archive: 3",
    "archive: {store: swift}",
    "archive: {codec: null}",
    "archive: {node: a b}",
    "archive: {rotate: {seconds: 0}}",
    "archive: {rotate: {seconds: 5 parsecs}}",
    "archive: {upload: {backoff: 3}}",
    "archive: {s3: {region: r, recordingsBucket: A_B}}",
    "archive: {s3: {region: r, recordingsBucket: ''}}",
    "archive: {s3: {endpoint: 'https://a/b', recordingsBucket: abc}}",
    "archive: {s3: {region: r, recordingsBucket: abc, prefix: /a}}",
    "archive: {s3: {region: r, recordingsBucket: abc, tags: [a]}}",
    "archive: {s3: {region: r, recordingsBucket: abc, access_key: a}}",
]


def faults(text: str) -> list[Any]:
    document, _ = parse(text)
    return list(CHECKER.iter_errors(document))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIG.glob("*.yaml")))
def test_the_files_we_ship_are_accepted(name: str) -> None:
    assert faults((CONFIG / name).read_text()) == []


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_the_gateway_accepts_is_accepted(text: str) -> None:
    settings(text)
    assert faults(text) == []


def test_placeholders_are_accepted_for_any_value() -> None:
    assert faults(WITH_PLACEHOLDERS) == []


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_schema_refuses_the_gateway_refuses_too(text: str) -> None:
    assert faults(text)
    assert problems(text)


def test_what_is_shown_of_the_defaults_is_accepted() -> None:
    assert list(CHECKER.iter_errors(masked(Settings()))) == []


def test_defaults_are_spelled_as_in_the_file() -> None:
    schema = json_schema()
    assert schema["properties"]["workers"]["default"] == "auto"
    assert schema["$defs"]["Timeouts"]["properties"]["config_total"]["default"] == "700ms"
    assert schema["$defs"]["Limits"]["properties"]["body"]["default"] == "16MiB"
    assert schema["$defs"]["Admin"]["properties"]["address"]["default"] == "127.0.0.1:9090"
    assert schema["$defs"]["KeyRate"]["properties"]["burst"]["default"] == 4000
    assert schema["properties"]["archive"]["default"] is None
    assert schema["$defs"]["Archive"]["properties"]["inflate_max"]["default"] == "48MiB"
    assert schema["$defs"]["Rotate"]["properties"]["seconds"]["default"] == "5m"


def test_variables_may_complete_the_bucket_so_an_editor_asks_for_no_key_of_it() -> None:
    text = "archive: {s3: {accessKey: a, secretKey: b}}"
    settings(text, {"AWS_REGION": "r", "S3_BUCKET_WEB": "abc"})
    assert faults(text) == []


def test_what_is_shown_of_an_archive_is_accepted() -> None:
    text = "archive: {s3: {endpoint: 'https://a', recordingsBucket: abc, accessKey: a, secretKey: b}}"
    assert list(CHECKER.iter_errors(masked(settings(text)))) == []


def test_every_section_has_a_description() -> None:
    assert [name for name, part in json_schema()["$defs"].items() if not part.get("description")] == []
