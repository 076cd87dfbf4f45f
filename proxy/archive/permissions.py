"""What access keys may do in the recordings bucket, found out by doing it, and how far the clocks are apart.

One small object with a fixed key is written, and overwritten the next time. Must not know what others may do; that is
`proxy.archive.exposure`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from proxy.archive.bucket_documents import PROBE, PROBE_KEY
from proxy.archive.s3_client import S3Options, is_aws
from proxy.archive.s3_errors import CALL_ERRORS, SKEW_TOLD, Call, Place, clocks_text, seconds_ahead, store_error
from proxy.model.check import Check, State

SKEW_MAX: Final = 15 * 60.0  # seconds; S3 refuses what is signed with a clock that is further away
_NOT_ASKED: Final = "not asked, since the one before failed"


class Probe(NamedTuple):
    """A permission, whether the archive can't do without it, and a call that needs no other: of a client, with the
    bucket and the key, as keyword arguments."""

    permission: str
    is_needed: bool
    ask: Callable[[Any, dict[str, str], S3Options], Mapping[str, Any]]


def _put(client: Any, named: dict[str, str], options: S3Options) -> Any:
    return client.put_object(**named, Body=PROBE)


def _tag(client: Any, named: dict[str, str], options: S3Options) -> Any:
    tags = options.tags or {"replay-gateway": "doctor"}
    return client.put_object_tagging(**named, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]})


def _get(client: Any, named: dict[str, str], options: S3Options) -> Any:
    answer = client.get_object(**named)
    answer["Body"].close()
    return answer


def _list(client: Any, named: dict[str, str], options: S3Options) -> Any:
    return client.list_objects_v2(Bucket=named["Bucket"], Prefix=named["Key"], MaxKeys=1)


# In an order in which each can work if the ones before do. The storage documentation asks for all of them.
PROBES: Final = (
    Probe("s3:PutObject", True, _put),
    Probe("s3:GetObject", True, _get),
    Probe("s3:ListBucket", True, _list),
    Probe("s3:PutObjectTagging", False, _tag),
    Probe("s3:GetObjectTagging", False, lambda client, named, _: client.get_object_tagging(**named)),
    Probe("s3:GetObjectAcl", False, lambda client, named, _: client.get_object_acl(**named)),
    Probe("s3:GetBucketLocation", False, lambda client, named, _: client.get_bucket_location(Bucket=named["Bucket"])),
)


def check_permissions(client: Any, options: S3Options, now: Callable[[], float]) -> Iterator[Check]:
    """One check for each permission, then "clock" and "region". When something else than a permission is missing (the
    secret is wrong, nobody answers), the first says so and the others are not asked."""
    meta = client.meta
    place = Place(options.bucket, meta.endpoint_url, meta.region_name, str(options.ca_file or ""))
    answers: list[tuple[Mapping[str, Any], float]] = []
    stopped = False
    for probe in PROBES:
        if stopped:
            yield Check(probe.permission, "unknown", _NOT_ASKED)
            continue
        check, answer = _ask(probe, client, options, place, now)
        answers.append((answer, now()))
        yield check
        stopped = check.state == "fail" and _code(answer) != "AccessDenied"
    yield _clock(answers)
    yield _region(answers, meta.region_name, is_aws(meta.endpoint_url))


def _ask(
    probe: Probe, client: Any, options: S3Options, place: Place, now: Callable[[], float]
) -> tuple[Check, Mapping[str, Any]]:
    """The check, and the answer that it is from."""
    named = {"Bucket": options.bucket, "Key": options.folder + PROBE_KEY}
    try:
        answer = probe.ask(client, named, options)
    except CALL_ERRORS as error:
        failure = store_error(error, Call(place, "test", probe.permission, named["Key"]), now())
        refused = getattr(error, "response", {})
        return _refused(probe, options, failure.code, str(failure)), {**refused, "code": failure.code}
    return Check(probe.permission, "ok", f"granted for bucket {options.bucket}"), answer


def _refused(probe: Probe, options: S3Options, code: str, text: str) -> Check:
    if code == "NoSuchKey":
        return Check(probe.permission, "ok", f"granted for bucket {options.bucket}, though there was nothing to try on")
    what, _, remedy = text.rpartition("; ")
    state: State = "fail"
    if code == "NotImplemented":
        state, remedy = "unknown", "none: it is not needed" if not _is_needed(probe, options) else remedy
    elif code == "AccessDenied" and not _is_needed(probe, options):
        state, remedy = "warn", f"{remedy}; the archive works without it, the storage documentation asks for it"
    return Check(probe.permission, state, what, remedy)


def _is_needed(probe: Probe, options: S3Options) -> bool:
    return probe.is_needed or (probe.permission == "s3:PutObjectTagging" and bool(options.tags))


def _code(answer: Mapping[str, Any]) -> str:
    return str(answer.get("code", ""))


def _clock(answers: list[tuple[Mapping[str, Any], float]]) -> Check:
    """From the date of the first answer that has one. It is in whole seconds, and as old as the answer took."""
    for answer, asked in answers:
        ahead = seconds_ahead(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}), asked)
        if ahead is None:
            continue
        if abs(ahead) <= SKEW_TOLD:
            return Check("clock", "ok", f"within {SKEW_TOLD:.0f} s of the server's")
        state: State = "fail" if abs(ahead) >= SKEW_MAX else "warn"
        return Check("clock", state, clocks_text(ahead), f"set it (NTP); S3 refuses more than {SKEW_MAX:.0f} s")
    return Check("clock", "unknown", "no answer with a date came", "")


def _region(answers: list[tuple[Mapping[str, Any], float]], region: str, knows_regions: bool) -> Check:
    """From what the server says of the bucket. What others than AWS call its location need not be a region's name."""
    for answer, _ in answers:
        there = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
        there = there or (knows_regions and answer.get("LocationConstraint")) or ""
        if there and there != region:
            what = f"requests are signed for {region}, the bucket says that it is in {there}"
            return Check("region", "warn", what, f"set archive.s3.region: {there}")
    return Check("region", "ok", f"requests are signed for {region}")
