"""Sets up the buckets: made if missing, closed to the public or open for reading, CORS, retention.

Every step looks first and changes only what is not so yet; rules and statements of others stay. What a server does not
know, or these keys may not do, is told and does not keep the other steps from being done. Must not know the settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from proxy.archive.bucket_documents import (
    PROBE,
    PROBE_KEY,
    RETENTION_ID,
    BucketNames,
    Document,
    Retention,
    cors,
    is_open_to_pages,
    is_same_rule,
    lifecycle,
    printed,
    public_access_block,
    with_public_read,
)
from proxy.archive.s3_client import DEFAULT_REGION, S3Options, is_aws, open_client
from proxy.archive.store import StoreError
from proxy.runtime.clock import wall

__all__ = ["BucketNames", "Document", "Retention", "StepResult", "printed", "setup"]

State = Literal["done", "already", "unsupported", "denied", "failed"]
# Of a request without keys for what is there. Swift does not even take it for one of S3.
_REFUSALS: Final = frozenset((400, 401, 403, 404, 405, 412))
_STATES: Final[Mapping[str, State]] = {"NotImplemented": "unsupported", "AccessDenied": "denied"}


class StepResult(NamedTuple):
    """What became of a step: "done" now, "already" so, "unsupported" by the server, "denied" to these keys, "failed".
    `text` says what, or why not. `is_enough` says whether the archive is as it must be all the same: what a server
    can't do and what neither keeps recordings private nor replays whole must not be called for for ever."""

    bucket: str
    step: str
    state: State
    text: str
    is_enough: bool


class _UselessError(StoreError):
    """The server can do it, but not so that it is of use."""


class _Step(NamedTuple):
    """`run` says what it did; empty: nothing had to be done. `permission` is what it needs beyond reading. `without`
    says why a server that does not support it is good enough; empty, or None: it is not."""

    name: str
    permission: str
    run: Callable[[], str]
    without: Callable[[], str] | None = None


def setup(
    options: S3Options, names: BucketNames, retention_days: int = 0, now: Callable[[], float] = wall
) -> list[StepResult]:
    """Make the buckets as they must be. The keys of `options` may need more permissions than the archive's own; its
    bucket is not used. The rule for retention covers the objects with the options' prefix and tags; 0 days: no rule.
    Raises StoreError without boto3, or when the options are no good."""
    client = open_client(options)
    retention = Retention(retention_days, options.folder, options.tags)
    results: list[StepResult] = []
    for bucket in names.given():
        for step in _steps(client, replace(options, bucket=bucket), names, retention):
            results.append(_judged(_result(client, replace(options, bucket=bucket), step, now), step))
            if step.name == "bucket" and results[-1].state not in ("done", "already"):
                break
    return results


def _steps(client: Any, options: S3Options, names: BucketNames, retention: Retention) -> Iterator[_Step]:
    bucket = options.bucket
    is_public = names.is_public(bucket)
    yield _Step("bucket", "s3:CreateBucket", partial(_make, client, bucket))
    key = retention.prefix + PROBE_KEY
    block = partial(_open_for_policy, client, bucket) if is_public else partial(_close_to_public, client, bucket, key)
    refused = _nothing_blocks if is_public else partial(_refused_to_strangers, client, options, key)
    yield _Step("public access", "s3:PutBucketPublicAccessBlock", block, refused)
    # Pages of any site take styles and fonts from the assets while they replay; who reads the others is the owner.
    readers = None if bucket == names.assets else _no_page_needs_it
    yield _Step("CORS", "s3:PutBucketCORS", partial(_allow_pages, client, bucket), readers)
    if bucket == names.assets:
        reading = partial(_allow_reading if is_public else _refuse_reading, client, bucket)
        yield _Step("public reading", "s3:PutBucketPolicy", reading)
    if bucket == names.recordings and retention.days:
        yield _Step("retention", "s3:PutLifecycleConfiguration", partial(_limit_age, client, bucket, retention))


def _result(client: Any, options: S3Options, step: _Step, now: Callable[[], float]) -> StepResult:
    from proxy.archive.s3_errors import CALL_ERRORS, Call, Place, store_error

    try:
        text = step.run()
    except StoreError as error:
        state: State = "unsupported" if isinstance(error, _UselessError) else "failed"
        return StepResult(options.bucket, step.name, state, str(error), False)
    except CALL_ERRORS as error:
        place = Place(options.bucket, client.meta.endpoint_url, client.meta.region_name, str(options.ca_file or ""))
        failure = store_error(error, Call(place, f"set up {step.name} of", step.permission), now())
        return StepResult(options.bucket, step.name, _STATES.get(failure.code, "failed"), str(failure), False)
    return StepResult(options.bucket, step.name, "done" if text else "already", text or "is as it must be", True)


def _judged(result: StepResult, step: _Step) -> StepResult:
    """The result, with whether it is enough that the server can't do it."""
    why = step.without() if step.without is not None and result.state == "unsupported" else ""
    return result._replace(text=f"{result.text}; {why}", is_enough=True) if why else result


def _nothing_blocks() -> str:
    return "so nothing blocks a public policy either"


def _no_page_needs_it() -> str:
    return "the archive itself does without"


def _refused_to_strangers(client: Any, options: S3Options, key: str) -> str:
    """Asked as a stranger asks, for an object that is there: one that is not may be refused whoever may read."""
    from proxy.archive.s3_errors import CALL_ERRORS

    bucket = options.bucket
    stranger = open_client(options, is_anonymous=True)
    asks = partial(stranger.get_object, Bucket=bucket, Key=key), partial(stranger.list_objects_v2, Bucket=bucket)
    try:
        is_private = _can_write(client, bucket, key) and all(map(_is_refused, asks))
    except CALL_ERRORS:
        return ""
    return "without keys nobody may read it, as was tried" if is_private else ""


def _is_refused(ask: Callable[[], object]) -> bool:
    from botocore.exceptions import ClientError

    from proxy.archive.s3_errors import status_of

    try:
        ask()
    except ClientError as refusal:
        return status_of(refusal) in _REFUSALS
    return False


def _make(client: Any, bucket: str) -> str:
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as refusal:
        if refusal.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise _reason(client, bucket) or refusal from None
    else:
        return ""
    region = client.meta.region_name
    # Elsewhere the endpoint decides where a bucket is made, and a region that it does not know would be refused.
    elsewhere = is_aws(client.meta.endpoint_url) and region != DEFAULT_REGION
    more = {"CreateBucketConfiguration": {"LocationConstraint": region}} if elsewhere else {}
    client.create_bucket(Bucket=bucket, **more)
    return "made"


def _reason(client: Any, bucket: str) -> Exception | None:
    """Why a HEAD was refused, whose refusal has no body that would say so."""
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except client.exceptions.ClientError as refusal:
        reason: Exception = refusal
        return reason
    return None


def _close_to_public(client: Any, bucket: str, key: str) -> str:
    """Ceph's gateway up to version 16 refuses every upload to a bucket that is closed; there it is opened again."""
    wanted = public_access_block()
    if _current(client, "get_public_access_block", bucket, "PublicAccessBlockConfiguration") == wanted:
        return ""
    worked = _can_write(client, bucket, key)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
    if worked and not _can_write(client, bucket, key):
        client.delete_public_access_block(Bucket=bucket)
        raise _UselessError(
            f"blocking public access to {bucket} makes this server refuse all uploads, so it is left off"
        )
    return "closed to the public"


def _can_write(client: Any, bucket: str, key: str) -> bool:
    try:
        client.put_object(Bucket=bucket, Key=key, Body=PROBE)
    except client.exceptions.ClientError:
        return False
    return True


def _open_for_policy(client: Any, bucket: str) -> str:
    wanted = public_access_block(allows_policy=True)
    current = _current(client, "get_public_access_block", bucket, "PublicAccessBlockConfiguration") or {}
    if not current.get("BlockPublicPolicy") and not current.get("RestrictPublicBuckets"):
        return ""
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=wanted)
    return "may be opened by a bucket policy"


def _allow_pages(client: Any, bucket: str) -> str:
    rules = _current(client, "get_bucket_cors", bucket, "CORSRules") or []
    if any(map(is_open_to_pages, rules)):
        return ""
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [*rules, *cors()["CORSRules"]]})
    return "browsers may read from any page"


def _allow_reading(client: Any, bucket: str) -> str:
    policy = json.loads(_current(client, "get_bucket_policy", bucket, "Policy") or "{}")
    merged = with_public_read(policy, bucket, client.meta.region_name)
    if merged is None:
        return ""
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(merged))
    return "everybody may read its objects"


def _refuse_reading(client: Any, bucket: str) -> str:
    raise StoreError(f"bucket {bucket} holds more than assets and is not opened to everybody: use one for assets alone")


def _limit_age(client: Any, bucket: str, retention: Retention) -> str:
    (wanted,) = lifecycle(retention)["Rules"]
    rules = _current(client, "get_bucket_lifecycle_configuration", bucket, "Rules") or []
    if any(is_same_rule(rule, wanted) for rule in rules):
        return ""
    kept = [rule for rule in rules if rule.get("ID") != RETENTION_ID]
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [*kept, wanted]})
    return f"objects are removed after {retention.days} days"


def _current(client: Any, get: str, bucket: str, member: str) -> Any:
    """What the bucket has now; None: nothing of the kind."""
    try:
        return getattr(client, get)(Bucket=bucket).get(member)
    except client.exceptions.ClientError as refusal:
        answer = refusal.response
        if answer["ResponseMetadata"]["HTTPStatusCode"] == 404 and answer["Error"].get("Code") != "NoSuchBucket":
            return None
        raise
