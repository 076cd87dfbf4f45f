"""Proves which texts pass as endpoints, regions, buckets, prefixes, keys and tags of a store, and which not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.storage import (
    PREFIX_MAX,
    bucket_name,
    endpoint_url,
    key_prefix,
    kms_key,
    store_region,
    tag_key,
    tag_value,
)
from proxy.settings.units import UnreadableError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com"),
        ("https://storage.googleapis.com/", "https://storage.googleapis.com"),
        ("HTTP://MinIO:9000", "http://minio:9000"),
        ("https://minio:443", "https://minio"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_an_endpoint_is_scheme_host_and_port(written: str, url: str) -> None:
    assert endpoint_url().parse(written) == url
    assert endpoint_url().parse(url) == url


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s3.example.com",
        "s3://bucket",
        "https://",
        "https://a/b",
        "https://a//b",
        "https://a?x=1",
        "https://a/?x",
        "https://a#x",
        "https://key:secret@a",
        "https://a:0",
        "https://a:70000",
        "https://a b",
        "https://a\n",
        None,
        3,
    ],
)
def test_what_is_no_endpoint_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="scheme, host and port, without user, path and query"):
        endpoint_url().parse(written)


@pytest.mark.parametrize("name", ["us-east-1", "auto", "fr-par", "RegionOne", "a_b", "x" * 64])
def test_a_region(name: str) -> None:
    assert store_region().parse(name) == name


@pytest.mark.parametrize("name", ["", "us east", "a/b", "a.b", "é", "a\n", "x" * 65, None, 1])
def test_what_is_no_region_is_refused(name: object) -> None:
    with pytest.raises(UnreadableError, match="a store's region such as us-east-1"):
        store_region().parse(name)


@pytest.mark.parametrize("name", ["abc", "openreplay-recordings", "a.b-c.d", "1.2.3", "1.2.3.4.5", "2024", "x" * 63])
def test_a_bucket(name: str) -> None:
    assert bucket_name().parse(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "x" * 64,
        "Abc",
        "a_b",
        "a/b",
        "a..b",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "192.168.5.4",
        "äbc",
        "a b",
        "abc\n",
        "s3://abc",
        None,
        123,
    ],
)
def test_what_is_no_bucket_is_refused(name: object) -> None:
    with pytest.raises(UnreadableError, match="a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens"):
        bucket_name().parse(name)


@pytest.mark.parametrize(
    ("written", "prefix"),
    [
        ("", ""),
        ("a", "a/"),
        ("a/", "a/"),
        ("a/b", "a/b/"),
        ("replays/env=prod/", "replays/env=prod/"),
        ("..a/b..", "..a/b../"),
        ("é x", "é x/"),
        ("x" * PREFIX_MAX, "x" * PREFIX_MAX + "/"),
    ],
)
def test_a_prefix_is_empty_or_ends_with_a_slash(written: str, prefix: str) -> None:
    assert key_prefix().parse(written) == prefix
    assert key_prefix().parse(prefix) == prefix


@pytest.mark.parametrize(
    "written",
    [
        "/",
        "/a",
        "//",
        "a//",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a/.",
        "a\n",
        "a\0b",
        "a\x7fb",
        "a\u2028b",
        "\ud800",
        "é" * (PREFIX_MAX // 2 + 1),
        None,
        3,
    ],
)
def test_a_prefix_that_would_not_do_as_a_path_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="the beginning of object names"):
        key_prefix().parse(written)


@given(st.text(max_size=20) | st.from_regex(r"[a./]{0,6}", fullmatch=True))
def test_a_prefix_that_is_accepted_is_accepted_again_and_the_same(text: str) -> None:
    with suppress(UnreadableError):
        once = key_prefix().parse(text)
        assert key_prefix().parse(once) == once
        assert once == "" or (once.endswith("/") and not once.startswith("/") and "//" not in once)


@pytest.mark.parametrize("key", ["alias/replays", "arn:aws:kms:eu-central-1:123:key/1234abcd-12ab", "1234abcd"])
def test_a_kms_key(key: str) -> None:
    assert kms_key().parse(key) == key


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é", "x" * 2049, None, 3])
def test_what_is_no_kms_key_is_refused(key: object) -> None:
    with pytest.raises(UnreadableError, match="the id, ARN or alias of a KMS key"):
        kms_key().parse(key)


@pytest.mark.parametrize("name", ["retention", "a b", "Größe", "a:b/c=d+e-f_g@h.i", "x" * 128, "é" * 128, "aws"])
def test_a_tag(name: str) -> None:
    assert tag_key().parse(name) == name
    assert tag_value().parse(name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, "aws:x", "Aws:x", "a&b", "a\n", "a\tb", None, 3])
def test_what_is_no_name_of_a_tag_is_refused(name: object) -> None:
    with pytest.raises(UnreadableError, match="a tag's name: 1 to 128 letters"):
        tag_key().parse(name)


@pytest.mark.parametrize("value", ["", "aws:x", "x" * 256])
def test_the_value_of_a_tag_may_be_empty_or_long(value: str) -> None:
    assert tag_value().parse(value) == value


@pytest.mark.parametrize("value", ["x" * 257, "a&b", "a\n", "a<b", 30, True, None])
def test_what_is_no_value_of_a_tag_is_refused(value: object) -> None:
    with pytest.raises(UnreadableError, match="a tag's value: at most 256 letters"):
        tag_value().parse(value)
