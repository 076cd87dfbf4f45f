"""Whether a bucket keeps what is overwritten. Must not know what is in it, or why that matters."""

from __future__ import annotations

from typing import Any, Literal

from proxy.archive.s3_client import S3Options, open_client

Versions = Literal["none", "kept", "unknown"]


def old_versions(options: S3Options, key: str) -> Versions:
    """What becomes of an object's old bytes when the bucket's object `key`, or another, is overwritten. These keys may
    not be allowed to ask for the bucket's settings; then the object itself says it. Raises StoreError without boto3."""
    client = open_client(options)
    from proxy.archive.s3_errors import CALL_ERRORS  # after the client, which says what to install

    try:
        # "Suspended" keeps what was overwritten before.
        return "kept" if client.get_bucket_versioning(Bucket=options.bucket).get("Status") else "none"
    except CALL_ERRORS:
        pass
    try:
        head: dict[str, Any] = client.head_object(Bucket=options.bucket, Key=options.folder + key)
    except CALL_ERRORS:
        return "unknown"
    return "kept" if head.get("VersionId") else "none"
