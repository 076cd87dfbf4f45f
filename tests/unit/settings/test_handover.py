"""Proves that settings reach another process whole, secrets included, and that nothing else shows those."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings import Settings, dump, load, masked
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
keys: {allow: [SECRETKEY1, "12"]}
limits: {body: 12345, exchange_bytes: 1MiB, per_ip: {rate: 0.1, burst: 3}}
timeouts: {connect: 0.123456789s, first_byte: 100ms, lame_duck: 0}
breaker: {failures: 0, open: 1d}
config_cache: {stale_if_error: 0, entries: 3}
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
