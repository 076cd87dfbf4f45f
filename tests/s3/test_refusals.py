"""Proves that every refusal says what is wrong and what to do, by the same code on each server, and never a secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import S3Options
from proxy.archive.store import StoreError
from tests.gateway import ROOT, free_port
from tests.s3.servers.fetch import ensure_ceph
from tests.s3.servers.server import certificates
from tests.s3.site import Site, new_name

WRONG_SECRET = "not-the-secret-but-as-long-as-one-of-forty-chars"
CALLS: dict[str, Callable[[S3Store], object]] = {
    "put": lambda store: store.put("a", b"data"),
    "size": lambda store: store.size("a"),
    "read": lambda store: store.read("a"),
    "entries": lambda store: list(store.entries("")),
}


def failure(options: S3Options, call: str = "put") -> StoreError:
    """What the call raises."""
    with pytest.raises(StoreError) as raised:
        CALLS[call](S3Store(options))
    text = str(raised.value)
    for secret in (options.secret_key, WRONG_SECRET):
        assert not secret or secret not in text
    assert not re.search(r"[0-9a-f]{64}|Signature=", text)
    return raised.value


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_secret_is_told(site: Site, call: str) -> None:
    error = failure(site.with_options(secret_key=WRONG_SECRET), call)
    assert (error.code, error.is_transient) == ("SignatureDoesNotMatch", False)
    assert "correct archive.s3.secretKey" in str(error)
    assert site.bucket in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_access_key_is_told(site: Site, call: str) -> None:
    """Swift does not say which of the two is wrong."""
    error = failure(site.with_options(access_key="nobody:atall", secret_key=WRONG_SECRET), call)
    assert error.code == ("SignatureDoesNotMatch" if site.server.name == "swift" else "InvalidAccessKeyId")
    assert "archive.s3.accessKey" in str(error)
    assert not error.is_transient


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_bucket_is_told(site: Site, call: str) -> None:
    name = new_name()
    error = failure(site.with_options(bucket=name), call)
    assert (error.code, error.is_transient) == ("NoSuchBucket", False)
    assert name in str(error)
    assert site.server.endpoint(site.scheme) in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_a_denied_call_names_the_permission(ceph_site: Site, call: str) -> None:
    access_key, secret_key = ceph_site.server.limited
    error = failure(ceph_site.with_options(access_key=access_key, secret_key=secret_key), call)
    needed = {"put": "s3:PutObject", "entries": "s3:ListBucket"}.get(call, "s3:GetObject")
    assert (error.code, error.is_transient) == ("AccessDenied", False)
    assert f"grant {needed} for {ceph_site.bucket}" in str(error)


def test_a_wrong_region_costs_nothing_or_is_told(site: Site) -> None:
    """Ceph's gateway does not look at the region; Swift says which is right, and boto3 asks again with that."""
    store = S3Store(site.with_options(region="eu-west-7"))
    store.put("a", b"data")
    assert store.read("a") == b"data"


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_authority_is_refused(plain_site: Site, call: str, tmp_path: Path) -> None:
    other = certificates(tmp_path).ca
    options = plain_site.with_options(endpoint=plain_site.server.https, ca_file=other)
    error = failure(options, call)
    assert (error.code, error.is_transient) == ("TlsFailed", False)
    assert f"set archive.s3.ca_file (now {other})" in str(error)


def test_a_private_authority_is_refused_without_its_certificate(plain_site: Site) -> None:
    error = failure(plain_site.with_options(endpoint=plain_site.server.https))
    assert error.code == "TlsFailed"
    assert "set archive.s3.ca_file (now not set)" in str(error)


def test_tls_spoken_to_a_plain_port_is_told(plain_site: Site) -> None:
    endpoint = plain_site.server.http.replace("http:", "https:")
    error = failure(plain_site.with_options(endpoint=endpoint, read_timeout=5.0))
    assert error.code in ("TlsFailed", "ConnectionLost")


def test_a_port_where_nobody_listens_is_told(plain_site: Site) -> None:
    error = failure(plain_site.with_options(endpoint=f"http://127.0.0.1:{free_port()}"))
    assert (error.code, error.is_transient) == ("ConnectionRefused", True)
    assert "correct archive.s3.endpoint" in str(error)


# The clock of a process is moved by libfaketime, under unaltered programs: what is signed, sent and refused is real.
WITH_WRONG_CLOCK = """
import sys
from pathlib import Path
from proxy.archive.s3 import S3Options, S3Store
from proxy.archive.store import StoreError
endpoint, access_key, bucket, ca_file = sys.argv[1:]
store = S3Store(S3Options(bucket=bucket, endpoint=endpoint, access_key=access_key, secret_key=sys.stdin.read(),
                          ca_file=Path(ca_file) if ca_file else None))
try:
    store.put("a", b"data")
except StoreError as error:
    print(error.code, error.is_transient, error, sep="|")
"""


@pytest.mark.parametrize(("offset", "told"), [("-20m", "behind"), ("+20m", "ahead of")])
def test_a_wrong_clock_is_told_with_the_difference(site: Site, offset: str, told: str) -> None:
    library = next((ensure_ceph() / "usr/lib").glob("*/faketime/libfaketime.so.1"))
    options = site.options
    done = subprocess.run(
        [
            *(sys.executable, "-c", WITH_WRONG_CLOCK),
            *(options.endpoint, options.access_key, options.bucket, str(options.ca_file or "")),
        ],
        cwd=ROOT,
        input=options.secret_key,
        env={**os.environ, "LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    code, is_transient, text = done.stdout.strip().split("|")
    assert (code, is_transient) == ("RequestTimeTooSkewed", "False")
    seconds = re.search(rf"this machine's clock is (\d+) s {told} the server's", text)
    assert seconds, text
    assert abs(int(seconds[1]) - 1200) < 60
