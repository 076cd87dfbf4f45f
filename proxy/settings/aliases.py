"""Environment variables that stand in for keys of `archive.s3`: those that OpenReplay's older storage page names.

They count where the file has the section `archive.s3` and leaves the key out, as if it said `${env:NAME}` there.
Reads nothing itself: the environment is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The first that is set and not empty counts: what is about recordings goes before what is about everything.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "endpoint": ("AWS_ENDPOINT", "S3_HOST"),
    "region": ("AWS_REGION_WEB", "sessions_region", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "accessKey": ("minio_access_key",),
    "secretKey": ("minio_secret_key",),
    "recordingsBucket": ("S3_BUCKET_WEB", "sessions_bucket"),
    "assetsBucket": ("S3_BUCKET_ASSETS", "js_cache_bucket"),
    "sourcemapsBucket": ("sourcemaps_bucket",),
}


def with_aliases(document: Any, environment: Mapping[str, str]) -> Any:
    """The document with a placeholder for each key that is left out and has a variable; anything else as it came."""
    archive = _below(document, "archive")
    given = _below(archive, "s3")
    if not isinstance(given, dict):
        return document
    found = {key: _first_set(names, environment) for key, names in ALIASES.items() if key not in given}
    added = {key: f"${{env:{name}}}" for key, name in found.items() if name}
    return {**document, "archive": {**archive, "s3": {**given, **added}}}


def _below(value: Any, key: str) -> Any:
    """What a mapping has there; None for anything else."""
    return value.get(key) if isinstance(value, dict) else None


def _first_set(names: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
    return next((name for name in names if environment.get(name)), None)
