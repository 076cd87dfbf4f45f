"""Proves that the documents are those of the storage documentation, letter by letter, and that what a bucket has
already is recognised however a server writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.archive.bucket_documents import (
    PERMISSIONS,
    BucketNames,
    Retention,
    access_policy,
    cors,
    is_open_to_pages,
    is_same_rule,
    lifecycle,
    printed,
    public_access_block,
    public_read,
    with_public_read,
)

NAMES = BucketNames("openreplay-recordings", "openreplay-assets", "openreplay-sourcemaps")


def test_the_cors_rule_is_the_documented_one() -> None:
    documented = (
        """[{"AllowedHeaders": ["*"], "AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposeHeaders": []}]"""
    )
    assert cors()["CORSRules"] == json.loads(documented)


def test_the_policy_of_the_assets_is_the_documented_one() -> None:
    documented = """{"Version": "2012-10-17", "Statement": [{"Sid": "AddPerm", "Effect": "Allow", "Principal": "*",
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::openreplay-assets/*"}]}"""
    assert public_read("openreplay-assets") == json.loads(documented)


def test_access_keys_get_the_seven_permissions_on_these_buckets_only() -> None:
    statements = access_policy(NAMES)["Statement"]
    granted = [action for statement in statements for action in statement["Action"]]
    assert sorted(granted) == sorted(PERMISSIONS)
    assert len(granted) == 7
    objects, buckets = statements
    assert buckets["Action"] == ["s3:ListBucket", "s3:GetBucketLocation"]
    assert buckets["Resource"] == [f"arn:aws:s3:::{name}" for name in NAMES]
    assert objects["Resource"] == [f"arn:aws:s3:::{name}/*" for name in NAMES]


@pytest.mark.parametrize(
    ("region", "partition"),
    [("", "aws"), ("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov")],
)
def test_names_in_policies_are_those_of_the_region(region: str, partition: str) -> None:
    (statement,) = public_read("b", region)["Statement"]
    assert statement["Resource"] == f"arn:{partition}:s3:::b/*"


def test_only_the_assets_can_be_opened_by_a_policy() -> None:
    assert set(public_access_block().values()) == {True}
    opened = public_access_block(allows_policy=True)
    assert [name for name, value in opened.items() if not value] == ["BlockPublicPolicy", "RestrictPublicBuckets"]


def test_what_is_printed_is_complete_and_in_order() -> None:
    documents = printed(NAMES, retention=Retention(30))
    assert [(document.bucket, document.title) for document in documents] == [
        ("openreplay-recordings", "public access"),
        ("openreplay-recordings", "CORS"),
        ("openreplay-recordings", "retention"),
        ("openreplay-assets", "public access"),
        ("openreplay-assets", "CORS"),
        ("openreplay-assets", "public reading"),
        ("openreplay-sourcemaps", "public access"),
        ("openreplay-sourcemaps", "CORS"),
        ("", "permissions of the access keys"),
    ]
    assert [json.loads(document.text()) for document in documents] == [document.content for document in documents]


def test_without_retention_no_rule_is_printed() -> None:
    assert "retention" not in [document.title for document in printed(NAMES)]
    assert "retention" not in [document.title for document in printed(NAMES, retention=Retention(0))]


def test_a_bucket_that_holds_more_than_assets_is_not_public() -> None:
    assert NAMES.is_public("openreplay-assets")
    for shared in (BucketNames("one", "one"), BucketNames("r", "one", "one")):
        assert not shared.is_public("one")
        assert "public reading" not in [document.title for document in printed(shared)]
    assert not BucketNames("r").is_public("")


def test_buckets_that_are_the_same_or_missing_come_once() -> None:
    assert list(BucketNames("one", "", "one").given()) == ["one"]


@pytest.mark.parametrize(
    ("prefix", "tags", "condition"),
    [
        ("", {}, {"Prefix": ""}),
        ("replay/", {}, {"Prefix": "replay/"}),
        ("", {"a": "1"}, {"Tag": {"Key": "a", "Value": "1"}}),
        ("p/", {"a": "1"}, {"And": {"Prefix": "p/", "Tags": [{"Key": "a", "Value": "1"}]}}),
        ("", {"a": "1", "b": "2"}, {"And": {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}}),
    ],
)
def test_retention_covers_the_prefix_and_all_tags(prefix: str, tags: dict[str, str], condition: dict[str, Any]) -> None:
    (rule,) = lifecycle(Retention(30, prefix, tags))["Rules"]
    assert rule["Filter"] == condition
    assert rule["Expiration"] == {"Days": 30}


def test_a_rule_is_the_same_however_its_condition_is_written() -> None:
    (wanted,) = lifecycle(Retention(30, "p/", {"b": "2", "a": "1"}))["Rules"]
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert is_same_rule({**wanted, "ID": "another", "Filter": {"And": {"Tags": tags, "Prefix": "p/"}}}, wanted)
    (of_prefix,) = lifecycle(Retention(30, "p/"))["Rules"]
    old_style = {**{name: value for name, value in of_prefix.items() if name != "Filter"}, "Prefix": "p/"}
    assert is_same_rule(old_style, of_prefix)


@pytest.mark.parametrize(
    "change",
    [
        {"Status": "Disabled"},
        {"Expiration": {"Days": 31}},
        {"Expiration": {}},
        {"Filter": {"Prefix": "q/"}},
        {"Filter": {"Tag": {"Key": "a", "Value": "1"}}},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 100}},
    ],
)
def test_a_rule_that_does_something_else_is_not_the_same(change: dict[str, Any]) -> None:
    (wanted,) = lifecycle(Retention(30, "p/"))["Rules"]
    assert not is_same_rule({**wanted, **change}, wanted)


def test_a_cors_rule_must_let_every_page_read_with_all_fields() -> None:
    (rule,) = cors()["CORSRules"]
    assert is_open_to_pages({**rule, "AllowedMethods": ["HEAD", "GET"], "MaxAgeSeconds": 5})
    for change in (
        {"AllowedOrigins": ["https://replay.example.com"]},
        {"AllowedMethods": ["PUT"]},
        {"AllowedHeaders": ["authorization"]},
    ):
        assert not is_open_to_pages({**rule, **change})
    assert not is_open_to_pages({"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]})


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"},
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]},
        {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:*", "Resource": "*"},
    ],
)
def test_a_policy_that_opens_the_bucket_already_is_left_alone(statement: dict[str, Any]) -> None:
    assert with_public_read({"Statement": statement}, "b") is None
    assert with_public_read({"Version": "2008-10-17", "Statement": [statement]}, "b") is None


@pytest.mark.parametrize(
    "change",
    [
        {"Effect": "Deny"},
        {"Principal": {"AWS": ["arn:aws:iam::1:root"]}},
        {"Action": "s3:PutObject"},
        {"Resource": "arn:aws:s3:::other/*"},
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    ],
)
def test_a_statement_that_opens_less_is_kept_and_ours_added(change: dict[str, Any]) -> None:
    theirs = {**public_read("b")["Statement"][0], "Sid": "Theirs", **change}
    merged = with_public_read({"Version": "2012-10-17", "Id": "x", "Statement": [theirs]}, "b")
    assert merged == {"Version": "2012-10-17", "Id": "x", "Statement": [theirs, *public_read("b")["Statement"]]}


def test_a_statement_of_the_same_name_is_replaced_since_names_are_unique() -> None:
    other = {**public_read("other")["Statement"][0]}
    assert with_public_read({"Statement": [other]}, "b") == public_read("b")


def test_a_bucket_without_a_policy_gets_one() -> None:
    assert with_public_read({}, "b") == public_read("b")
