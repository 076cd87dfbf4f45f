"""Proves that erasing works on real servers, with no more than the permissions that an archive has, and that it says
where a bucket keeps what was overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.audit import verify
from proxy.archive.bucket_documents import BucketNames
from proxy.archive.erase import Erased, Unwanted, erase
from proxy.archive.naming import DATA, Codec
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.archive.s3 import S3Options, S3Store
from proxy.archive.s3_client import open_client
from proxy.archive.seal import Sealed
from proxy.archive.suppression import Suppressions, suppress
from proxy.archive.versions import old_versions
from tests.s3.site import Site
from tests.s3.test_commands import Commands
from tests.unit.archive.segments import OPENED, OPTIONS, SPAN, sealed, segment_of, visits

UNWANTED = Unwanted("device-1", None, 0, 2**42)
NEEDED = ("s3:PutObject", "s3:GetObject", "s3:ListBucket")


def filled(options: S3Options, folder: Path, codec: Codec = Codec.ZSTD) -> tuple[S3Store, Sealed]:
    """A bucket with an object of three devices."""
    store = S3Store(options)
    one = sealed(folder, segment_of(visits(12)), replace(OPTIONS, codec=codec))
    store.put(one.data_key, one.data)
    store.put(one.index_key, one.index)
    return store, one


def devices(store: S3Store) -> dict[str, list[list[str]]]:
    """What is wrong with each payload, by device."""
    found: dict[str, list[list[str]]] = {}
    for line in Reader(store).export(**SPAN):
        assert not isinstance(line, Problem), line
        found.setdefault(line.head["device_id"], []).append(line.problems())
    return found


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.NONE])
def test_a_device_is_erased_and_the_others_stay_whole(plain_site: Site, tmp_path: Path, codec: Codec) -> None:
    store, one = filled(plain_site.options, tmp_path, codec)
    others = {name: lines for name, lines in devices(store).items() if name != "device-1"}
    assert list(erase(store, UNWANTED, tmp_path, is_dry=False)) == [Erased(one.data_key, 1, 4, 2)]
    assert devices(store) == others
    assert not [each for each in verify(store, OPENED, OPENED + 1, tmp_path) if isinstance(each, Problem)]
    assert list(erase(store, UNWANTED, tmp_path, is_dry=False)) == []


def test_an_object_of_which_nothing_is_left_is_an_empty_one(plain_site: Site, tmp_path: Path) -> None:
    store, one = filled(plain_site.options, tmp_path, Codec.NONE)
    everybody = UNWANTED._replace(device_id=None)
    assert list(erase(store, everybody, tmp_path, is_dry=False)) == [Erased(one.data_key, 3, 12, 0)]
    assert store.size(one.data_key) == 0
    assert not [each for each in verify(store, OPENED, OPENED + 1, tmp_path) if isinstance(each, Problem)]


def test_three_permissions_are_enough(ceph_site: Site, tmp_path: Path) -> None:
    filled(ceph_site.options, tmp_path)
    access_key, secret_key = ceph_site.server.limited
    bucket = f"arn:aws:s3:::{ceph_site.bucket}"
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/limited"]},
        "Action": list(NEEDED),
        "Resource": [bucket, f"{bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    open_client(ceph_site.options).put_bucket_policy(Bucket=ceph_site.bucket, Policy=policy)
    limited = ceph_site.with_options(access_key=access_key, secret_key=secret_key)
    store = S3Store(limited)
    suppress(store, UNWANTED, OPENED)
    assert len(list(erase(store, UNWANTED, tmp_path, is_dry=False))) == 1
    assert sorted(devices(store)) == ["device-0", "device-2"]
    assert Suppressions(store).look().cover("device-1", "1", OPENED)
    # Whether old versions are kept can be told by the object where the bucket's settings can't be seen.
    key = next(store.entries(DATA)).key
    assert old_versions(limited, key) == "none"
    version(ceph_site, "Enabled")
    store.put(key, store.read(key))
    assert old_versions(limited, key) == "kept"


def version(site: Site, status: str) -> None:
    versioning: Any = {"Status": status}
    open_client(site.options).put_bucket_versioning(Bucket=site.bucket, VersioningConfiguration=versioning)


def test_a_bucket_that_keeps_old_versions_is_told(ceph_site: Site, tmp_path: Path) -> None:
    version(ceph_site, "Enabled")
    _, one = filled(ceph_site.options, tmp_path)
    commands = Commands(tmp_path, ceph_site.server, BucketNames(ceph_site.bucket))
    result = commands.run("erase", "--device", "device-1", "--yes", "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [each["key"] for each in told["erased"]] == [one.data_key]
    assert told["old_versions"] == "kept"
    assert "the bucket keeps old versions of objects" in result.stderr
    listed = open_client(ceph_site.options).list_object_versions(Bucket=ceph_site.bucket, Prefix=one.data_key)
    assert len(listed["Versions"]) == 2
    version(ceph_site, "Suspended")
    assert old_versions(ceph_site.options, one.data_key) == "kept"


def test_a_bucket_that_keeps_nothing_needs_no_warning(plain_site: Site, tmp_path: Path) -> None:
    _, one = filled(plain_site.options, tmp_path)
    assert old_versions(plain_site.options, one.data_key) == "none"
    assert old_versions(plain_site.with_options(secret_key="wrong"), one.data_key) == "unknown"
