"""Proves that what is put into a bucket is there whole, is found in order, and is read back exactly: on two real
servers, over http and https."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import open_client
from proxy.archive.store import Entry
from proxy.runtime.clock import wall
from tests.s3.servers.ceph import KMS_KEY
from tests.s3.servers.server import LISTED_AT_ONCE, S3Server
from tests.s3.site import Site, new_bucket, owner_options

MANY = 2 * LISTED_AT_ONCE + 3


def keys(entries: Iterable[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def test_what_is_put_is_there_and_is_read_back(site: Site) -> None:
    store = S3Store(site.options)
    store.put("a/one", b"0123456789")
    assert store.size("a/one") == 10
    assert store.read("a/one") == b"0123456789"


def test_parts_are_read_as_slices_are(site: Site) -> None:
    store = S3Store(site.options)
    data = bytes(range(10))
    store.put("a", data)
    for start, length in ((0, 1), (0, 10), (3, 4), (3, None), (9, 1), (0, 0), (5, 0), (8, 100), (10, 1), (99, None)):
        expected = data[start:] if length is None else data[start : start + length]
        assert store.read("a", start, length) == expected, (start, length)


def test_an_empty_object_is_an_object(site: Site) -> None:
    store = S3Store(site.options)
    store.put("empty", b"")
    assert store.size("empty") == 0
    assert store.read("empty") == b""
    assert store.read("empty", 0, 5) == b""
    assert keys(store.entries("")) == ["empty"]


def test_a_large_file_is_put_from_disk_and_downloaded(site: Site, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(8 * 1024 * 1024 + 17)
    file = tmp_path / "sealed"
    file.write_bytes(data)
    store = S3Store(site.options)
    store.put("large", file)
    assert store.size("large") == len(data)
    assert store.read("large", 8_000_000, 1000) == data[8_000_000:8_001_000]
    copy = io.BytesIO()
    store.download("large", copy)
    assert copy.getvalue() == data


def test_an_object_is_overwritten_whole(site: Site) -> None:
    store = S3Store(site.options)
    store.put("a", b"the first and longer one")
    store.put("a", b"the second")
    assert store.read("a") == b"the second"
    assert [entry.size for entry in store.entries("")] == [10]


def test_a_missing_object_is_told_from_an_empty_one(site: Site) -> None:
    store = S3Store(site.options)
    assert store.size("none") is None
    for start, length in ((0, None), (5, 10)):
        with pytest.raises(KeyError, match="none"):
            store.read("none", start, length)
    with pytest.raises(KeyError, match="none"):
        store.download("none", io.BytesIO())


def test_entries_come_in_order_over_many_answers(site: Site) -> None:
    store = S3Store(site.options, page=7)
    names = [f"hr={hour:02}/{number:08}" for hour in range(4) for number in range(8)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: store.put(name, name.encode()), reversed(names)))
    assert keys(store.entries("")) == names
    assert keys(store.entries("hr=01/")) == names[8:16]
    assert keys(store.entries("hr=0", after=names[9])) == names[10:]
    assert keys(store.entries("", after="hr=03/99999999")) == []


def test_an_entry_tells_size_and_time(site: Site) -> None:
    store = S3Store(site.options)
    before = wall()
    store.put("a", b"12345")
    (entry,) = store.entries("a")
    assert entry.size == 5
    # Whole seconds, by the server's clock, which is this machine's.
    assert before - 2 <= entry.modified_ms / 1000 <= wall() + 2


def test_two_prefixes_in_one_bucket_do_not_meet(site: Site) -> None:
    one, other = S3Store(site.with_options(prefix="one")), S3Store(site.with_options(prefix="/other/"))
    one.put("v1/a", b"of one")
    other.put("v1/a", b"of the other")
    other.put("v1/b", b"")
    assert one.read("v1/a") == b"of one"
    assert keys(one.entries("v1/")) == ["v1/a"]
    assert keys(other.entries("", after="v1/a")) == ["v1/b"]
    assert keys(S3Store(site.options).entries("")) == ["one/v1/a", "other/v1/a", "other/v1/b"]


def test_odd_characters_in_keys_stay_as_they_are(site: Site) -> None:
    store = S3Store(site.options)
    key = "dt=2026-11-21/node 1+1=2 & ü%2F~.x"
    store.put(key, b"odd")
    assert store.read(key) == b"odd"
    assert store.size(key) == 3
    assert keys(store.entries("dt=2026-11-21/node ")) == [key]


def test_threads_may_share_a_store(site: Site) -> None:
    store = S3Store(site.options)

    def there_and_back(number: int) -> bool:
        store.put(f"{number}", b"%d" % number * 1000)
        return store.read(f"{number}") == b"%d" % number * 1000

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(there_and_back, range(24)))


@pytest.fixture(scope="module")
def many(server: S3Server) -> Site:
    """A bucket with MANY objects, whose keys are their numbers."""
    bucket = new_bucket(server)
    store = S3Store(owner_options(server, "http", bucket))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.put(f"{number:08}", b""), range(MANY)))
    return Site(server, "http", bucket)


def test_more_objects_than_the_server_lists_at_once_are_all_listed(many: Site) -> None:
    answer = open_client(many.options).list_objects_v2(Bucket=many.bucket, MaxKeys=1000)
    assert len(answer["Contents"]) == LISTED_AT_ONCE
    expected = [f"{number:08}" for number in range(MANY)]
    store = S3Store(many.options)
    assert keys(store.entries("")) == expected
    assert keys(store.entries("", after=expected[0])) == expected[1:]


def test_tags_and_encryption_arrive(ceph_site: Site) -> None:
    tags = {"retention": "default", "made by": "gateway & co"}
    options = ceph_site.with_options(tags=tags, sse="aws:kms", kms_key_id=KMS_KEY)
    S3Store(options).put("a", b"secret")
    client = open_client(options)
    named = {"Bucket": ceph_site.bucket, "Key": "a"}
    assert {tag["Key"]: tag["Value"] for tag in client.get_object_tagging(**named)["TagSet"]} == tags
    head = client.head_object(**named)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)
    assert S3Store(options).read("a", 1, 3) == b"ecr"


def test_a_store_says_where_it_is(site: Site) -> None:
    store = S3Store(site.with_options(prefix="replay"))
    assert store.describe() == f"s3://{site.bucket}/replay/ at {site.server.endpoint(site.scheme)}"
