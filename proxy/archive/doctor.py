"""Looks an archive over: credentials, permissions, clock, exposure, TLS, retention, spool.

Changes nothing but one small object in each bucket. No exception leaves it. Must not know the
settings, or how findings are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from proxy.archive.bucket_documents import PROBE, PROBE_KEY, BucketNames
from proxy.archive.medium import check_spool
from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import S3Options, open_client, open_session
from proxy.archive.store import StoreError
from proxy.model.check import Check, State, never_raising
from proxy.runtime.clock import wall

__all__ = ["BucketNames", "Check", "State", "check_s3", "check_spool"]


def check_s3(
    options: S3Options, names: BucketNames, retention_days: int = 0, now: Callable[[], float] = wall
) -> Iterator[Check]:
    """All checks against S3, in the order in which a person would look. The bucket of `options` is the recordings'."""
    yield from never_raising("S3", lambda: _checks(options, names, retention_days, now))


def _checks(options: S3Options, names: BucketNames, retention_days: int, now: Callable[[], float]) -> Iterator[Check]:
    try:
        client = open_client(options)
    except StoreError as error:
        yield Check("S3", "fail", *_halves(error))
        return
    # They need botocore, which is there now.
    from proxy.archive.exposure import check_exposure, check_lifecycle, check_tls
    from proxy.archive.permissions import check_permissions

    yield from never_raising("credentials", lambda: [_credentials(options)])
    yield from never_raising("TLS", lambda: [check_tls(options, now())])
    yield from never_raising("permissions", lambda: check_permissions(client, options, now))
    yield from never_raising("round trip", lambda: [_round_trip(options, now)])
    yield from never_raising("exposure", lambda: check_exposure(client, options, names))
    yield from never_raising("retention", lambda: [check_lifecycle(client, options.bucket, retention_days)])


def _credentials(options: S3Options) -> Check:
    credentials: Any = open_session(options).get_credentials()
    if credentials is None:
        remedy = "set archive.s3.accessKey and archive.s3.secretKey, or give this machine a role"
        return Check("credentials", "fail", "none found, neither in the settings nor on this machine", remedy)
    source = "the settings" if credentials.method == "explicit" else f"this machine ({credentials.method})"
    return Check("credentials", "ok", f"from {source}")


def _round_trip(options: S3Options, now: Callable[[], float]) -> Check:
    """As the archive writes: with tags and encryption, and the size looked at afterwards."""
    try:
        store = S3Store(options, now=now)
        store.put(PROBE_KEY, PROBE)
        size, read = store.size(PROBE_KEY), store.read(PROBE_KEY)
    except StoreError as error:
        return Check("round trip", "fail", *_halves(error))
    except KeyError:
        size, read = None, b""
    if size != len(PROBE) or read != PROBE:
        what = f"{len(PROBE)} bytes were written, {size} are there and {len(read)} were read, other ones"
        return Check("round trip", "fail", what, "the server, or what is between here and there, alters objects")
    return Check("round trip", "ok", f"an object was written to {store.describe()} and read back")


def _halves(error: StoreError) -> tuple[str, str]:
    """What failed, and what to do, which every text ends with."""
    what, _, remedy = str(error).rpartition("; ")
    return (what, remedy) if what else (remedy, "")
