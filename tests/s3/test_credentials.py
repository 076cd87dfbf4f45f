"""Proves that without keys in the settings the credentials come from the machine, and that renewed ones are used."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.store import StoreError
from tests.s3.servers.server import S3Server
from tests.s3.site import Site, new_bucket

# In an hour that is near enough for botocore to ask again before each call, and not yet over.
ASKED_AGAIN_SECONDS = 120
PROVIDER = """
import datetime, json, sys
keys = json.load(open(sys.argv[1]))
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(sys.argv[2]))
print(json.dumps({"Version": 1, "Expiration": ends.isoformat(), **keys}))
"""


@pytest.fixture
def keyless(ceph: S3Server) -> Site:
    return Site(ceph, "http", new_bucket(ceph))


def test_keys_of_the_environment_are_found(keyless: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keyless.server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keyless.server.secret_key)
    store = S3Store(keyless.with_options(access_key="", secret_key=""))
    store.put("a", b"data")
    assert store.read("a") == b"data"


def test_keys_of_the_settings_come_before_those_of_the_environment(
    keyless: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "expired")
    S3Store(keyless.options).put("a", b"data")


def test_no_credentials_at_all_are_told(keyless: Site) -> None:
    store = S3Store(keyless.with_options(access_key="", secret_key=""))
    with pytest.raises(StoreError, match=r"set archive\.s3\.accessKey") as raised:
        store.put("a", b"data")
    assert raised.value.code == "NoCredentials"


def test_credentials_that_were_renewed_are_used_at_once(
    keyless: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, program, config = tmp_path / "keys.json", tmp_path / "provider.py", tmp_path / "config"
    program.write_text(PROVIDER)
    command = shlex.join([sys.executable, str(program), str(keys), str(ASKED_AGAIN_SECONDS)])
    config.write_text(f"[default]\ncredential_process = {command}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    owner = keyless.server
    keys.write_text(json.dumps({"AccessKeyId": owner.access_key, "SecretAccessKey": owner.secret_key}))
    store = S3Store(keyless.with_options(access_key="", secret_key=""))
    store.put("a", b"by the first keys")
    keys.write_text(json.dumps({"AccessKeyId": owner.access_key, "SecretAccessKey": "revoked"}))
    with pytest.raises(StoreError) as raised:
        store.put("a", b"by keys that were revoked")
    assert raised.value.code == "SignatureDoesNotMatch"
    keys.write_text(json.dumps({"AccessKeyId": owner.access_key, "SecretAccessKey": owner.secret_key}))
    store.put("a", b"by the last keys")
    assert store.read("a") == b"by the last keys"


def test_a_profile_that_does_not_exist_is_told(keyless: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-nobody")
    with pytest.raises(StoreError, match="of-nobody") as raised:
        S3Store(keyless.with_options(access_key="", secret_key=""))
    assert raised.value.code == "NoCredentials"
