"""The JSON documents that buckets are set up with: CORS, public reading, retention, and what access keys may do.

They are what OpenReplay's storage documentation asks for, so that three buckets set up for it serve this archive, and
the other way round. Pure: names in, documents out, in the form of the S3 API. Must not know how they are applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

Json = dict[str, Any]

# What access keys need, in the order of the storage documentation. The archive itself needs the first, the third, the
# fifth and, if objects get tags, the sixth.
PERMISSIONS: Final = (
    "s3:PutObject",
    "s3:GetObjectAcl",
    "s3:GetObject",
    "s3:GetObjectTagging",
    "s3:ListBucket",
    "s3:PutObjectTagging",
    "s3:GetBucketLocation",
)
_OF_BUCKETS: Final = ("s3:ListBucket", "s3:GetBucketLocation")  # the others are of objects

POLICY_VERSION: Final = "2012-10-17"
PUBLIC_READ_SID: Final = "AddPerm"
RETENTION_ID: Final = "replay-gateway-retention"
# A small object that shows what can be done with a bucket. It stays there: removing it may not be permitted.
PROBE_KEY: Final = "v1/doctor/probe"
PROBE: Final = b"Written by the archive's doctor.\n"
# In a versioned bucket, what was overwritten stays as an old version: without this, what was erased would stay as well.
OLD_VERSION_DAYS: Final = 1


class BucketNames(NamedTuple):
    """The three buckets; empty: not used."""

    recordings: str
    assets: str = ""
    sourcemaps: str = ""

    def given(self) -> Iterator[str]:
        """Those that are used, each once."""
        return iter(dict.fromkeys(filter(None, self)))

    def is_public(self, bucket: str) -> bool:
        """Whether everybody may read it: the one for assets, unless something else is kept there as well."""
        return bucket == self.assets and bucket not in (self.recordings, self.sourcemaps)


class Retention(NamedTuple):
    """How long objects are kept, and which: those with this prefix and all of these tags. 0 days: for ever."""

    days: int = 0
    prefix: str = ""
    tags: Mapping[str, str] = {}


class Document(NamedTuple):
    """A document for a person: the bucket that it belongs to (none for that of the access keys), what it is for, where
    it goes, and the document itself."""

    bucket: str
    title: str
    where: str
    content: Any

    def text(self) -> str:
        """As JSON, indented."""
        return json.dumps(self.content, indent=4)


def cors() -> Json:
    """A browser may read from any page."""
    rule = {"AllowedHeaders": ["*"], "AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposeHeaders": []}
    return {"CORSRules": [rule]}


def public_read(bucket: str, region: str = "") -> Json:
    """Everybody may read the objects of this bucket, but not list them."""
    statement = {
        "Sid": PUBLIC_READ_SID,
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"{arn(bucket, region)}/*",
    }
    return {"Version": POLICY_VERSION, "Statement": [statement]}


def public_access_block(*, allows_policy: bool = False) -> dict[str, bool]:
    """Nobody can make anything in the bucket public; with `allows_policy`, a bucket policy still can."""
    return {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": not allows_policy,
        "RestrictPublicBuckets": not allows_policy,
    }


def lifecycle(retention: Retention) -> Json:
    """Objects are removed after that many days, which are at least 1."""
    rule = {
        "ID": RETENTION_ID,
        "Status": "Enabled",
        "Filter": _filter(retention),
        "Expiration": {"Days": retention.days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSION_DAYS},
    }
    return {"Rules": [rule]}


def access_policy(names: BucketNames, region: str = "") -> Json:
    """What the access keys of these buckets may do: the seven permissions, on these buckets only."""
    arns = [arn(bucket, region) for bucket in names.given()]
    objects = [each for each in PERMISSIONS if each not in _OF_BUCKETS]
    statements = [
        {"Effect": "Allow", "Action": objects, "Resource": [f"{each}/*" for each in arns]},
        {"Effect": "Allow", "Action": list(_OF_BUCKETS), "Resource": arns},
    ]
    return {"Version": POLICY_VERSION, "Statement": statements}


def arn(bucket: str, region: str = "") -> str:
    """The bucket's name in policies; Amazon's regions in China and those for governments are worlds of their own."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:s3:::{bucket}"


def printed(names: BucketNames, region: str = "", retention: Retention | None = None) -> list[Document]:
    """All documents, for who sets up the buckets by hand: bucket by bucket, then that of the access keys."""
    documents = [document for bucket in names.given() for document in _of_bucket(bucket, names, region, retention)]
    where = "IAM > Policies > Create policy > JSON; attach it to the user or role that the gateway has"
    return [*documents, Document("", "permissions of the access keys", where, access_policy(names, region))]


def is_open_to_pages(rule: Json) -> bool:
    """Whether a CORS rule lets any page read, with any header fields."""
    return all(
        wanted in rule.get(member, ())
        for member, wanted in (("AllowedMethods", "GET"), ("AllowedOrigins", "*"), ("AllowedHeaders", "*"))
    )


def with_public_read(policy: Json, bucket: str, region: str = "") -> Json | None:
    """The policy with the statement that lets everybody read, in place of one of the same name; None: it has one."""
    statements = _listed(policy.get("Statement"))
    resource = f"{arn(bucket, region)}/*"
    if any(_lets_everybody_read(statement, resource) for statement in statements):
        return None
    kept = [statement for statement in statements if statement.get("Sid") != PUBLIC_READ_SID]
    added = public_read(bucket, region)["Statement"]
    return {"Version": POLICY_VERSION, **policy, "Statement": [*kept, *added]}


def is_same_rule(rule: Json, wanted: Json) -> bool:
    """Whether a lifecycle rule does what is wanted. Servers write the condition of a rule in different ways."""
    return (
        rule.get("Status") == "Enabled"
        and rule.get("Expiration", {}).get("Days") == wanted["Expiration"]["Days"]
        and rule.get("NoncurrentVersionExpiration") == wanted["NoncurrentVersionExpiration"]
        and _condition(rule) == _condition(wanted)
    )


def _of_bucket(bucket: str, names: BucketNames, region: str, retention: Retention | None) -> Iterator[Document]:
    is_public = names.is_public(bucket)
    where = "Permissions > Block public access (bucket settings)"
    yield Document(bucket, "public access", where, public_access_block(allows_policy=is_public))
    where = "Permissions > Cross-origin resource sharing (CORS)"
    yield Document(bucket, "CORS", where, cors()["CORSRules"])
    if is_public:
        yield Document(bucket, "public reading", "Permissions > Bucket policy", public_read(bucket, region))
    if bucket == names.recordings and retention is not None and retention.days:
        where = "Management > Lifecycle rules, or: aws s3api put-bucket-lifecycle-configuration"
        yield Document(bucket, "retention", where, lifecycle(retention))


def _filter(retention: Retention) -> Json:
    """The condition in the form that S3 asks for: alone, or joined by And."""
    tags = [{"Key": key, "Value": value} for key, value in retention.tags.items()]
    if len(tags) + bool(retention.prefix) > 1:
        return {"And": {**({"Prefix": retention.prefix} if retention.prefix else {}), "Tags": tags}}
    return {"Tag": tags[0]} if tags else {"Prefix": retention.prefix}


def _lets_everybody_read(statement: Json, resource: str) -> bool:
    principal = statement.get("Principal")
    everybody = principal == "*" or (isinstance(principal, dict) and "*" in _listed(principal.get("AWS")))
    return (
        statement.get("Effect") == "Allow"
        and everybody
        and "Condition" not in statement
        and bool({"s3:GetObject", "s3:Get*", "s3:*", "*"} & set(_listed(statement.get("Action"))))
        and bool({resource, "*"} & set(_listed(statement.get("Resource"))))
    )


def _condition(rule: Json) -> tuple[str, frozenset[tuple[str, str]]]:
    given = rule.get("Filter", {})
    joined = given.get("And", given)
    tags = [*joined.get("Tags", ()), *([joined["Tag"]] if "Tag" in joined else ())]
    return joined.get("Prefix") or rule.get("Prefix") or "", frozenset((tag["Key"], tag["Value"]) for tag in tags)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
