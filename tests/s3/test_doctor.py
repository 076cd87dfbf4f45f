"""Proves that the doctor finds what is there and names what is missing, and never breaks off."""

from __future__ import annotations

import json
import ssl

import pytest

from proxy.archive.bucket_documents import PERMISSIONS, BucketNames
from proxy.archive.buckets import setup
from proxy.archive.doctor import Check, check_s3
from proxy.archive.s3_client import S3Options, open_client
from tests.gateway import free_port
from tests.s3.servers.ceph import LIMITED_USER
from tests.s3.servers.server import S3Server
from tests.s3.site import Site, new_name, owner_options

RETENTION_DAYS = 30
# What the archive can't do without.
NEEDED = ("s3:PutObject", "s3:GetObject", "s3:ListBucket")


@pytest.fixture(scope="module")
def names(ceph: S3Server) -> BucketNames:
    """Three buckets that are set up."""
    made = BucketNames(new_name(), new_name(), new_name())
    setup(owner_options(ceph, "http", made.recordings), made, RETENTION_DAYS)
    return made


def found(options: S3Options, names: BucketNames, retention_days: int = RETENTION_DAYS) -> dict[str, Check]:
    """The checks by name, each once."""
    checks = list(check_s3(options, names, retention_days))
    by_name = {check.name: check for check in checks}
    assert len(by_name) == len(checks)
    secrets = (options.secret_key,)
    assert not [check for check in checks if any(secret and secret in str(check) for secret in secrets)]
    return by_name


def states(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.state for name, check in checks.items()}


def grant(ceph: S3Server, bucket: str, denied: str = "") -> None:
    """A policy that lets the limited user do what is documented, but for one permission. Nothing less than forbidding
    it takes that away: objects belong to who wrote them, who may do with them what they like."""
    of_user = {
        "Principal": {"AWS": [f"arn:aws:iam:::user/{LIMITED_USER}"]},
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    statements = [{"Effect": "Allow", "Action": list(PERMISSIONS), **of_user}]
    if denied:
        statements.append({"Effect": "Deny", "Action": [denied], **of_user})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    open_client(owner_options(ceph, "http", bucket)).put_bucket_policy(Bucket=bucket, Policy=policy)


def limited(ceph: S3Server, bucket: str) -> S3Options:
    access_key, secret_key = ceph.limited
    return Site(ceph, "http", bucket).with_options(access_key=access_key, secret_key=secret_key)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_was_set_up_is_all_well(ceph: S3Server, names: BucketNames, scheme: str) -> None:
    checks = found(owner_options(ceph, scheme, names.recordings), names)
    assert {state for name, state in states(checks).items()} == {"ok"}, checks
    expected = {"credentials", "TLS", *PERMISSIONS, "clock", "region", "round trip", f"retention of {names.recordings}"}
    exposure = {f"privacy of {names.recordings}", f"public reading of {names.assets}", f"privacy of {names.sourcemaps}"}
    assert set(checks) == expected | exposure | {f"CORS of {bucket}" for bucket in names}


def test_with_the_seven_permissions_nothing_is_missing(ceph: S3Server) -> None:
    bucket = new_name()
    setup(owner_options(ceph, "http", bucket), BucketNames(bucket))
    grant(ceph, bucket)
    checks = states(found(limited(ceph, bucket), BucketNames(bucket), 0))
    assert checks.pop(f"retention of {bucket}") == "unknown"
    assert set(checks.values()) == {"ok"}, checks


@pytest.mark.parametrize("missing", PERMISSIONS)
def test_a_missing_permission_is_named(ceph: S3Server, missing: str) -> None:
    bucket = new_name()
    setup(owner_options(ceph, "http", bucket), BucketNames(bucket))
    grant(ceph, bucket, missing)
    checks = found(limited(ceph, bucket), BucketNames(bucket), 0)
    asked = {name: check.state for name, check in checks.items() if name in PERMISSIONS}
    expected = dict.fromkeys(PERMISSIONS, "ok") | {missing: "fail" if missing in NEEDED else "warn"}
    assert asked == expected, checks
    assert f"grant {missing} for {bucket}" in checks[missing].remedy


def test_tags_make_the_permission_to_tag_a_needed_one(ceph: S3Server) -> None:
    bucket = new_name()
    setup(owner_options(ceph, "http", bucket), BucketNames(bucket))
    grant(ceph, bucket, "s3:PutObjectTagging")
    options = limited(ceph, bucket)
    tagged = Site(ceph, "http", bucket).with_options(
        access_key=options.access_key, secret_key=options.secret_key, tags={"retention": "default"}
    )
    assert found(tagged, BucketNames(bucket), 0)["s3:PutObjectTagging"].state == "fail"


def test_a_wrong_secret_is_told_once(ceph: S3Server, names: BucketNames) -> None:
    site = Site(ceph, "https", names.recordings)
    checks = found(site.with_options(secret_key="not-the-owners"), names)
    first = checks["s3:PutObject"]
    assert first.state == "fail"
    assert "archive.s3.secretKey" in first.remedy
    assert {checks[each].state for each in PERMISSIONS if each != "s3:PutObject"} == {"unknown"}
    assert checks["clock"].state == "ok"


def test_a_server_that_is_not_there_breaks_nothing_off(ceph: S3Server, names: BucketNames) -> None:
    for endpoint in (f"http://127.0.0.1:{free_port()}", f"https://127.0.0.1:{free_port()}"):
        checks = found(Site(ceph, "http", names.recordings).with_endpoint(endpoint), names)
        assert checks["s3:PutObject"].state == "fail"
        assert "start the server" in checks["s3:PutObject"].remedy
        assert {checks[f"CORS of {bucket}"].state for bucket in names} == {"unknown"}
        assert checks[f"privacy of {names.recordings}"].state == "unknown"


def test_an_authority_that_is_not_trusted_is_told(ceph: S3Server, names: BucketNames) -> None:
    checks = found(Site(ceph, "https", names.recordings).with_options(ca_file=None), names)
    assert checks["TLS"].state == "fail"
    assert "archive.s3.ca_file" in checks["TLS"].remedy


def test_a_certificate_that_expires_soon_is_told(ceph: S3Server, names: BucketNames) -> None:
    """The certificate of the test's server is good until the year 3000: the question is asked five days before."""
    options = owner_options(ceph, "https", names.recordings)
    asked = ssl.cert_time_to_seconds("Dec 27 00:00:00 2999 GMT")
    late = {check.name: check for check in check_s3(options, names, now=lambda: asked)}
    assert late["TLS"].state == "warn"
    assert late["clock"].state == "fail"


def test_recordings_that_everybody_may_read_are_told(ceph: S3Server) -> None:
    bucket = new_name()
    owner = owner_options(ceph, "http", bucket)
    setup(owner, BucketNames(recordings="", assets=bucket))
    check = found(owner, BucketNames(bucket), 0)[f"privacy of {bucket}"]
    assert (check.state, "EVERYBODY may read" in check.what) == ("fail", True)
    assert "block public access" in check.remedy


def test_recordings_that_everybody_may_list_are_told(ceph: S3Server) -> None:
    bucket = new_name()
    owner = owner_options(ceph, "http", bucket)
    setup(owner, BucketNames(bucket))
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    client = open_client(owner)
    client.delete_public_access_block(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    check = found(owner, BucketNames(bucket), 0)[f"privacy of {bucket}"]
    assert (check.state, "see the names" in check.what) == ("fail", True)


def test_buckets_that_nobody_set_up_are_told(ceph: S3Server) -> None:
    names = BucketNames(new_name(), new_name())
    owner = owner_options(ceph, "http", names.recordings)
    for bucket in names.given():
        open_client(owner).create_bucket(Bucket=bucket)
    checks = found(owner, names)
    assert checks[f"public reading of {names.assets}"].state == "fail"
    assert checks[f"CORS of {names.recordings}"].state == "warn"
    assert checks[f"retention of {names.recordings}"].state == "warn"


def test_a_server_that_knows_less_is_not_called_broken(swift: S3Server) -> None:
    bucket = new_name()
    owner = owner_options(swift, "https", bucket)
    setup(owner, BucketNames(bucket))
    checks = found(owner, BucketNames(bucket), 0)
    assert [name for name, check in checks.items() if check.state == "fail"] == []
    assert {checks[each].state for each in NEEDED} == {"ok"}
    assert checks["round trip"].state == "ok"


def test_no_credentials_are_told(ceph: S3Server, names: BucketNames) -> None:
    checks = found(Site(ceph, "http", names.recordings).with_options(access_key="", secret_key=""), names)
    assert checks["credentials"].state == "fail"
    assert checks["s3:PutObject"].state == "fail"


def test_credentials_of_the_machine_are_told(
    ceph: S3Server, names: BucketNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ceph.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ceph.secret_key)
    options = Site(ceph, "http", names.recordings).with_options(access_key="", secret_key="")
    check = found(options, names)["credentials"]
    assert (check.state, check.what) == ("ok", "from this machine (env)")
