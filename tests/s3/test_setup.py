"""Proves that buckets are set up as the storage documentation asks, by what everybody and browsers may do afterwards,
and that a second time changes nothing."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from proxy.archive.bucket_documents import RETENTION_ID, cors
from proxy.archive.buckets import BucketNames, setup
from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import S3Options, open_client
from proxy.archive.store import StoreError
from tests.s3.servers.server import S3Server
from tests.s3.site import Site, new_bucket, new_name, owner_options


@pytest.fixture
def names() -> BucketNames:
    """Buckets that are not there yet."""
    return BucketNames(new_name(), new_name(), new_name())


def states(options: S3Options, names: BucketNames, retention_days: int = 0) -> dict[tuple[str, str], str]:
    return {(result.bucket, result.step): result.state for result in setup(options, names, retention_days)}


def status(url: str, method: str = "GET", **fields: str) -> tuple[int, dict[str, str]]:
    """Of a request without keys; and the answer's fields, lower-case."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers, method=method), timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}


def test_all_is_done_once_and_found_so_afterwards(ceph: S3Server, names: BucketNames) -> None:
    options = owner_options(ceph, "https", names.recordings)
    assert states(options, names, 30) == {
        (names.recordings, "bucket"): "done",
        (names.recordings, "public access"): "unsupported",
        (names.recordings, "CORS"): "done",
        (names.recordings, "retention"): "done",
        (names.assets, "bucket"): "done",
        (names.assets, "public access"): "already",
        (names.assets, "CORS"): "done",
        (names.assets, "public reading"): "done",
        (names.sourcemaps, "bucket"): "done",
        (names.sourcemaps, "public access"): "unsupported",
        (names.sourcemaps, "CORS"): "done",
    }
    again = states(options, names, 30)
    assert {state for (_, step), state in again.items() if step != "public access"} == {"already"}


def test_a_block_that_would_refuse_uploads_is_taken_back(ceph: S3Server, names: BucketNames) -> None:
    """This version of Ceph's gateway takes every upload for a public one."""
    options = owner_options(ceph, "http", names.recordings)
    client = open_client(options)
    client.create_bucket(Bucket=names.recordings)
    client.put_public_access_block(
        Bucket=names.recordings, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "IgnorePublicAcls": True}
    )
    with pytest.raises(StoreError) as raised:
        S3Store(options).put("a", b"data")
    assert raised.value.code == "AccessDenied"
    client.delete_public_access_block(Bucket=names.recordings)

    (result,) = (each for each in setup(options, BucketNames(names.recordings)) if each.step == "public access")
    assert result.state == "unsupported"
    assert "refuse all uploads" in result.text
    S3Store(options).put("a", b"data")


def test_everybody_may_read_assets_and_nothing_else(ceph: S3Server, names: BucketNames) -> None:
    options = owner_options(ceph, "http", names.recordings)
    setup(options, names)
    client = open_client(options)
    for bucket in names:
        client.put_object(Bucket=bucket, Key="style.css", Body=b"p {}")
    read = {bucket: status(f"{ceph.http}/{bucket}/style.css")[0] for bucket in names}
    assert read == {names.recordings: 403, names.assets: 200, names.sourcemaps: 403}
    assert {status(f"{ceph.http}/{bucket}")[0] for bucket in names} == {403}


def test_pages_may_read_from_all_three(ceph: S3Server, names: BucketNames) -> None:
    setup(owner_options(ceph, "http", names.recordings), names)
    asked = {"Origin": "https://replay.example.com", "Access_Control_Request_Method": "GET"}
    for bucket in names:
        code, fields = status(f"{ceph.http}/{bucket}/any", "OPTIONS", **asked)
        assert code == 200
        assert fields["access-control-allow-origin"] in ("*", "https://replay.example.com")
        assert (
            status(f"{ceph.http}/{bucket}/any", "OPTIONS", **{**asked, "Access_Control_Request_Method": "PUT"})[0]
            == 403
        )


def test_what_others_have_set_up_stays(ceph: S3Server, names: BucketNames) -> None:
    options = owner_options(ceph, "http", names.recordings)
    client = open_client(options)
    for bucket in names:
        client.create_bucket(Bucket=bucket)
    theirs = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://upload.example.com"]}
    client.put_bucket_cors(Bucket=names.assets, CORSConfiguration={"CORSRules": [theirs]})
    statement = {
        "Sid": "TheirOwn",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/limited"]},
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{names.assets}"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket=names.assets, Policy=json.dumps(policy))
    rule = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=names.recordings, LifecycleConfiguration={"Rules": [rule]})

    setup(options, names, 30)
    assert [each["AllowedMethods"] for each in client.get_bucket_cors(Bucket=names.assets)["CORSRules"]] == [
        ["PUT"],
        ["GET"],
    ]
    kept = json.loads(client.get_bucket_policy(Bucket=names.assets)["Policy"])["Statement"]
    assert [each["Sid"] for each in kept] == ["TheirOwn", "AddPerm"]
    assert retention_rules(client, names.recordings) == {"theirs": 3, RETENTION_ID: 30}


def test_a_changed_retention_replaces_the_rule(ceph: S3Server, names: BucketNames) -> None:
    options = owner_options(ceph, "http", names.recordings)
    setup(options, names, 30)
    assert states(options, names, 90)[names.recordings, "retention"] == "done"
    assert retention_rules(open_client(options), names.recordings) == {RETENTION_ID: 90}


def test_without_the_permissions_each_step_says_which_is_missing(ceph: S3Server) -> None:
    site = Site(ceph, "http", new_bucket(ceph))
    access_key, secret_key = ceph.limited
    limited = site.with_options(access_key=access_key, secret_key=secret_key)
    (only,) = setup(limited, BucketNames(site.bucket))
    assert (only.step, only.state) == ("bucket", "denied")

    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/limited"]},
        "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{site.bucket}"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    open_client(site.options).put_bucket_policy(Bucket=site.bucket, Policy=policy)
    results = setup(limited, BucketNames(site.bucket), 30)
    assert [(result.step, result.state) for result in results] == [
        ("bucket", "already"),
        ("public access", "denied"),
        ("CORS", "denied"),
        ("retention", "denied"),
    ]
    permissions = ("s3:PutBucketPublicAccessBlock", "s3:PutBucketCORS", "s3:PutLifecycleConfiguration")
    for result, permission in zip(results[1:], permissions, strict=True):
        assert f"grant {permission}" in result.text


def test_recordings_in_the_bucket_of_the_assets_are_not_opened(ceph: S3Server) -> None:
    name = new_name()
    results = setup(owner_options(ceph, "http", name), BucketNames(name, name))
    assert [(result.step, result.state) for result in results] == [
        ("bucket", "done"),
        ("public access", "unsupported"),
        ("CORS", "done"),
        ("public reading", "failed"),
    ]
    assert status(f"{ceph.http}/{name}")[0] == 403


def test_a_server_that_knows_less_gets_its_buckets_and_says_the_rest(swift: S3Server, names: BucketNames) -> None:
    found = states(owner_options(swift, "https", names.recordings), names, 30)
    assert {state for (_, step), state in found.items() if step == "bucket"} == {"done"}
    assert {state for (_, step), state in found.items() if step != "bucket"} == {"unsupported"}


def retention_rules(client: Any, bucket: str) -> dict[str, int]:
    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return {rule["ID"]: rule["Expiration"]["Days"] for rule in rules}


def test_the_rules_are_those_that_are_printed(ceph: S3Server, names: BucketNames) -> None:
    options = owner_options(ceph, "http", names.recordings)
    setup(options, names)
    (rule,) = open_client(options).get_bucket_cors(Bucket=names.recordings)["CORSRules"]
    (printed,) = cors()["CORSRules"]
    assert {member: rule[member] for member in printed if printed[member]} == {
        member: value for member, value in printed.items() if value
    }
