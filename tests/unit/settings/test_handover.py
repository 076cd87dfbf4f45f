"""Proves that settings reach another process whole, secrets included, and that nothing else shows those."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings import Settings, dump, dump_for_worker, load, masked
from proxy.settings.limits import Timeouts
from proxy.settings.units import duration_text

from .told import settings

FULL = """
listen:
  - {address: "[::]:8443", tls: {certificate: a.pem, key: /b.pem, min_version: "1.3"}}
  - {address: ":0"}
admin: null
workers: 7
upstreams:
  us: {track: {url: "http://a.example:81/x/", connect: "[::1]:9", ca_file: c.pem}}
  asia: {track: "https://t.example", config: "https://c.example/c"}
region:
  default: asia
  hosts: {A.example: eu, "[::1]": us}
  api_keys: {SECRETKEY1: eu, SECRETKEY2: us}
  header: {name: C, values: {NO: eu}}
  strict: true
paths: {track: [/t], config: [/c, /d]}
cors:
  allow_origins: ["https://*.example.org:8443", "*"]
  foreign_origin: refuse
  max_age: 90s
  allow_headers: [X-A]
  expose_headers: [X-B]
headers: {upstream: {set: {X-T: "SECRET \\"'x"}, remove: [R]}, forward_cookies: [c]}
client_ip: {forward: none, trusted_proxies: [10.0.0.0/8, "::/0"]}
privacy: {page_url: no_query, referer: none, keep_query: ["utm_*"], gpc: strip}
keys: {allow: [SECRETKEY1, "12"]}
jwt: {algorithms: [HS256], secret: "SECRETSECRETSECRETSECRETSECRET 5", leeway: 0, mode: advisory, routes: [config]}
limits: {body: 12345, exchange_bytes: 1MiB, per_ip: {rate: 0.1, burst: 3}}
timeouts: {connect: 0.123456789s, first_byte: 100ms, lame_duck: 0}
breaker: {failures: 0, open: 1d}
config_cache: {stale_if_error: 0, entries: 3}
archive:
  directory: /a
  s3:
    endpoint: "http://[::1]:9000"
    accessKey: SECRETKEY3
    secretKey: "SECRET 4/+="
    recordingsBucket: r.example
    assetsBucket: a-b
    sourcemapsBucket: c-d
    prefix: x/y
    addressing: path
    ca_file: d.pem
    sse: aws:kms
    kms_key_id: alias/k
    tags: {retention: "30 days", Größe: ""}
  codec: gzip
  level: 9
  body: wire
  inflate_max: 1MB
  node: n.1
  client_ip: full
  headers: [X-A]
  spool: {directory: /s, max_bytes: 1GB, min_free_bytes: 0, queue_bytes: 12345, sync: none, sync_interval: 0.1s}
  rotate: {bytes: 1B, seconds: 0.25}
  upload: {parallel: 3, backoff: 1ms, backoff_max: 2ms, timeout: 1.5s}
log: {level: debug, access: off, format: json}
"""


def test_settings_survive_with_their_secrets() -> None:
    full = settings(FULL)
    copy = load(dump(full))
    assert copy == full
    assert copy.headers.upstream.set["X-T"].get_secret_value() == "SECRET \"'x"
    assert copy.keys.allow == ("SECRETKEY1", "12")
    assert list(copy.region.api_keys) == ["SECRETKEY1", "SECRETKEY2"]
    assert copy.timeouts.connect == 0.123456789
    assert copy.archive is not None
    assert copy.archive.s3 is not None
    assert copy.archive.s3.accessKey.get_secret_value() == "SECRETKEY3"
    assert copy.archive.s3.secretKey.get_secret_value() == "SECRET 4/+="


def test_a_worker_gets_all_but_the_keys_of_the_store() -> None:
    full = settings(FULL)
    data = dump_for_worker(full)
    assert b"SECRETKEY1" in data
    assert b"SECRETKEY3" not in data
    assert b"SECRET 4/+=" not in data
    copy = load(data)
    assert full.archive is not None
    assert full.archive.s3 is not None
    assert copy.archive == full.archive.model_copy(update={"s3": full.archive.s3.without_keys()})
    assert copy.model_copy(update={"archive": full.archive}) == full


@pytest.mark.parametrize("text", ["", "archive: {}"])
def test_without_keys_of_a_store_a_worker_gets_the_same(text: str) -> None:
    assert dump_for_worker(settings(text)) == dump(settings(text))


def test_the_example_changes_every_section() -> None:
    full, plain = settings(FULL), Settings()
    assert [name for name in Settings.model_fields if getattr(full, name) == getattr(plain, name)] == []


def test_default_settings_survive() -> None:
    assert load(dump(Settings())) == Settings()


def test_handing_over_twice_changes_nothing() -> None:
    once = dump(settings(FULL))
    assert dump(load(once)) == once


@given(st.dictionaries(st.sampled_from(["connect", "client_head", "keep_alive", "resolve"]), st.floats(1e-9, 86400.0)))
def test_times_survive_exactly(times: dict[str, float]) -> None:
    spelled = {name: duration_text(round(seconds, 9)) for name, seconds in times.items()}
    before = Settings.model_validate({"timeouts": {name: text for name, text in spelled.items() if text != "0s"}})
    assert load(dump(before)).timeouts == before.timeouts


@given(
    st.dictionaries(
        st.from_regex(r"X-[A-Za-z]{1,8}", fullmatch=True), st.from_regex(r"[!-~]{0,30}", fullmatch=True), max_size=4
    )
)
def test_secrets_survive_exactly(edits: dict[str, str]) -> None:
    distinct = {name.lower(): value for name, value in edits.items()}
    before = Settings.model_validate({"headers": {"upstream": {"set": distinct}}})
    after = load(dump(before)).headers.upstream.set
    assert {name: value.get_secret_value() for name, value in after.items()} == distinct


def test_what_people_see_holds_no_secret_and_every_key() -> None:
    shown: dict[str, Any] = masked(settings(FULL))
    assert "SECRET" not in str(shown)
    assert set(shown) == set(Settings.model_fields)
    assert set(shown["timeouts"]) == set(Timeouts.model_fields)


def test_what_people_see_is_a_valid_file_where_nothing_is_secret() -> None:
    assert settings(yaml.safe_dump(masked(Settings()))) == Settings()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"workers": 0}', b'{"nonsense": 1}'])
def test_what_dump_did_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        load(data)


@pytest.mark.parametrize(
    "written",
    [
        {"keys": {"SECRET": 1}},
        {"keys": {"allow": ["SECRET\n"]}},
        {"region": {"api_keys": {"SECRET": "mars"}}},
        {"headers": {"upstream": {"set": {"X-A": "SECRET\n"}}}},
        {"archive": {"s3": {"secretKey": ["SECRET"]}}},
        {"upstreams": {"us": {"track": "https://user:SECRET@example.com/?SECRET"}}},
    ],
)
def test_the_traceback_of_a_refusal_holds_no_secret(written: Any) -> None:
    with pytest.raises(ValueError, match="was the package replaced") as refusal:
        load(json.dumps(written).encode())
    assert "SECRET" not in "".join(traceback.format_exception(refusal.value))


def test_the_representation_holds_no_secret() -> None:
    assert "SECRET" not in f"{settings(FULL)!r} {settings(FULL)}"
