"""The store that the settings name. Must not know what is kept in it."""

from __future__ import annotations

from proxy.archive.directory import DirectoryStore
from proxy.archive.s3_client import S3Options
from proxy.archive.store import Store
from proxy.settings.schema import Archive


def open_store(archive: Archive) -> Store:
    """The store for recordings. Raises StoreError if it can't be had as it is described."""
    options = s3_options(archive)
    if options is None:
        return DirectoryStore(archive.directory)
    from proxy.archive.s3 import S3Store  # here: nobody else needs boto3

    return S3Store(options)


def s3_options(archive: Archive, bucket: str = "") -> S3Options | None:
    """How the S3 server is reached, for the bucket of recordings or another one; None: the store is a folder."""
    s3 = archive.s3
    if archive.store == "directory" or s3 is None:
        return None
    return S3Options(
        bucket=bucket or s3.recordingsBucket,
        endpoint=s3.endpoint,
        region=s3.signing_region,
        access_key=s3.accessKey.get_secret_value(),
        secret_key=s3.secretKey.get_secret_value(),
        prefix=s3.prefix,
        addressing=s3.addressing,
        ca_file=s3.ca_file,
        sse=s3.sse,
        kms_key_id=s3.kms_key_id,
        tags=s3.tags,
        read_timeout=archive.upload.timeout,
    )
