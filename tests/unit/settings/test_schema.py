"""Proves the top of the tree: defaults, workers, logging, and what a whole configuration looks like."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from proxy import settings as package
from proxy.settings import Address, Settings, Upstream, schema

from .told import only_problem, problems, settings

DESIGN = """
listen:
  - address: 0.0.0.0:8080
  - address: 0.0.0.0:8443
    tls: {certificate: fullchain.pem, key: key.pem, min_version: "1.2"}
admin: {address: 127.0.0.1:9090}
workers: auto
region:
  default: us
  hosts: {replay-eu.example.com: eu}
  api_keys: {0123abcd: eu}
  header: {name: CloudFront-Viewer-Country, values: {DE: eu, FR: eu}}
  strict: false
upstreams:
  us:
    track:  {url: "https://api-sr.amplitude.com/sessions/v2/track"}
    config: {url: "https://sr-client-cfg.amplitude.com/config", connect: "127.0.0.1:9443", ca_file: ca.pem}
paths:
  track: [/sessions/v2/track]
  config: [/config]
cors:
  allow_origins: ["https://app.example.com", "https://*.example.org"]
  max_age: 2h
headers:
  upstream: {set: {X-Proxy-Token: "${env:TOKEN}"}, remove: [referer]}
  forward_cookies: []
client_ip: {forward: full, trusted_proxies: [10.0.0.0/8]}
keys: {allow: []}
limits: {body: 16MiB, head: 32KiB, connections: 10000, per_ip: {rate: 0, burst: 200}, per_key: {rate: 0, burst: 4000}}
timeouts: {connect: 3s, first_byte: 7s, track_total: 9s, config_total: 700ms, lame_duck: 0s, drain: 20s}
config_cache: {stale_if_error: 1h, max_age: 24h}
archive:
  store: s3
  directory: ./archive
  s3: {endpoint: "https://s3.example.com", accessKey: K, secretKey: "${env:TOKEN}", recordingsBucket: recordings}
  spool: {directory: ./spool, max_bytes: 1GiB, min_free_bytes: 512MiB, sync: interval, on_full: drop-newest}
  rotate: {bytes: 64MiB, seconds: 300}
log: {level: info, access: errors}
"""


def test_a_whole_configuration() -> None:
    whole = settings(DESIGN, {"TOKEN": "t"})
    assert [listener.address.port for listener in whole.listen] == [8080, 8443]
    assert whole.upstreams["us"].config.connect == Address("127.0.0.1", 9443)
    assert whole.headers.upstream.set["X-Proxy-Token"].get_secret_value() == "t"
    assert whole.limits == Settings().limits
    assert whole.timeouts == Settings().timeouts


def test_an_empty_file_means_the_defaults() -> None:
    for text in ("", "# nothing\n", "{}", "---\n", "null", "limits:\nlog:\ncors:\n"):
        assert settings(text) == Settings()


def test_settings_are_frozen_and_picklable() -> None:
    whole = settings(DESIGN, {"TOKEN": "t"})
    with pytest.raises(ValidationError, match="frozen"):
        whole.workers = 3
    copy = pickle.loads(pickle.dumps(whole))
    assert copy == whole
    assert copy.headers.upstream.set["X-Proxy-Token"].get_secret_value() == "t"
    assert copy.archive is not None
    assert copy.archive.s3 is not None
    assert copy.archive.s3.secretKey.get_secret_value() == "t"


@pytest.mark.parametrize(("written", "workers"), [("auto", "auto"), ("1", 1), ("256", 256), ("'4'", 4)])
def test_workers(written: str, workers: object) -> None:
    assert settings(f"workers: {written}").workers == workers


@pytest.mark.parametrize("written", ["0", "257", "many", "1.5", "true", "null", "Auto", "[1]"])
def test_another_number_of_workers_is_refused(written: str) -> None:
    assert only_problem(f"workers: {written}").endswith("expected auto, or a whole number from 1 to 256")


def test_off_is_a_word_and_not_false() -> None:
    assert settings("log: {access: off}").log.access == "off"


@pytest.mark.parametrize("log", ["{level: warn}", "{access: no}", "{format: xml}", "{access: false}", "{level: 3}"])
def test_an_unknown_word_is_refused(log: str) -> None:
    assert only_problem(f"log: {log}").startswith("log.")


def test_an_unknown_section_is_told_with_all_that_there_are() -> None:
    assert only_problem("zzz: {a: 1}").startswith("zzz: found an unknown key; expected one of listen, ")


@pytest.mark.parametrize("text", ["3", "[]", "hello", "true", "- listen: x"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert only_problem(text).startswith("(top level): found ")


def test_every_section_is_told_at_once() -> None:
    names = [name for name in Settings.model_fields if name not in ("admin", "workers")]
    told = problems("\n".join(f"{name}: {{nonsense: 1}}" for name in names))
    assert {line.partition(".")[0].partition("[")[0] for line in told} == set(names)


def test_the_package_offers_every_section() -> None:
    assert set(schema.__all__) <= set(package.__all__)
    assert all(getattr(package, name) is getattr(schema, name) for name in schema.__all__)


def test_reading_the_settings_of_an_upstream_costs_no_validation() -> None:
    upstream = Settings().upstreams["us"].track
    assert isinstance(upstream, Upstream)
    assert vars(upstream)["url"] == upstream.url
    assert upstream.host is upstream.host
