"""A store in an S3 bucket.

Needs three permissions, s3:PutObject, s3:GetObject and s3:ListBucket, and s3:PutObjectTagging if objects get tags. An
object is sent in one request, never in parts: parts of an upload that broke off can't be removed with these. Nothing is
tried more than twice here; waiting and trying again is for whoever calls. Must not know what is in an object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, urlencode

from proxy.archive.s3_client import S3Options, open_client
from proxy.archive.store import Entry, StoreError
from proxy.runtime.clock import wall

__all__ = ["S3Options", "S3Store"]

PUT_MAX: Final = 5 * 1024**3  # bytes; the largest object that S3 takes in one request
PAGE: Final = 1000  # entries asked for at once; the most that S3 gives
_CHUNK: Final = 1024 * 1024  # bytes written at once while downloading
_READ: Final = "s3:GetObject"


class S3Store:
    """A Store. Threads may share it. OSError of a source file that can't be read is passed on as it is."""

    def __init__(self, options: S3Options, *, page: int = PAGE, now: Callable[[], float] = wall) -> None:
        """Sends nothing yet. `page` entries are asked for at once. Raises StoreError without boto3, or when the options
        or this machine's own S3 settings are no good."""
        self._client = open_client(options)
        # After the client, which says what to install when boto3 is missing.
        from proxy.archive import s3_errors

        self._errors = s3_errors
        self._refusal = self._client.exceptions.ClientError
        self._now = now
        self._page = page
        self._folder = options.folder
        self._bucket = options.bucket
        self._extra = _extra(options)
        self._put_permission = "s3:PutObject" + (" (with s3:PutObjectTagging)" if options.tags else "")
        meta = self._client.meta
        ca_file = str(options.ca_file or "")
        self._place = s3_errors.Place(options.bucket, meta.endpoint_url, meta.region_name, ca_file)

    def describe(self) -> str:
        """Bucket, prefix and endpoint."""
        return f"s3://{self._bucket}/{self._folder} at {self._place.endpoint}"

    def put(self, key: str, source: Path | bytes) -> None:
        """Store a whole object of at most PUT_MAX bytes, in place of one that is there. A call that failed may have
        stored it all the same, or may do so later."""
        if isinstance(source, bytes):
            self._put(key, source, len(source))
            return
        with source.open("rb") as file:
            self._put(key, file, os.fstat(file.fileno()).st_size)

    def _put(self, key: str, body: BinaryIO | bytes, length: int) -> None:
        if length > PUT_MAX:
            raise StoreError(
                f"can't write {key} in {self.describe()}: it has {length} bytes, S3 takes {PUT_MAX} in one request;"
                " lower archive.rotate.bytes",
                code="TooLarge",
            )
        with self._call("write", self._put_permission, key):
            answer = self._client.put_object(**self._named(key), Body=body, ContentLength=length, **self._extra)
            self._check_genuine(answer, "ETag")

    def size(self, key: str) -> int | None:
        """Bytes of an object; None: there is none."""
        with self._call("look for", _READ, key):
            try:
                return int(self._client.head_object(**self._named(key))["ContentLength"])
            except self._refusal as refusal:
                if self._errors.status_of(refusal) != 404:
                    return self._size_or_reason(key)
            self._check_bucket()
            return None

    def _size_or_reason(self, key: str) -> int | None:
        """Asks again by a GET: the refusal of a HEAD has no body that would say why."""
        try:
            answer = self._get(key)
        except KeyError:
            return None
        answer["Body"].close()
        return int(answer["ContentLength"])

    def _check_bucket(self) -> None:
        """A HEAD does not tell a missing object from a missing bucket. Keys that may not ask don't need to know."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except self._refusal as refusal:
            if self._errors.status_of(refusal) == 404:
                raise

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """An object's bytes from `start`: `length` of them or fewer where it ends. Raises KeyError without one."""
        wanted = _range(start, length)
        with self._call("read", _READ, key):
            answer = self._get(key, **({"Range": wanted} if wanted else {}))
            if answer is None:
                return b""
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        if wanted and "ContentRange" not in answer:  # the server is free to send all of it
            data = data[start:]
        return data if length is None else data[:length]

    def download(self, key: str, to: BinaryIO) -> None:
        """Write an object's bytes into a file. Raises KeyError when there is none; after a StoreError a part of it may
        have been written."""
        with self._call("read", _READ, key):
            answer = self._get(key)
            assert answer is not None, "only a range can lie behind the end"
            with closing(answer["Body"]) as body:
                for chunk in body.iter_chunks(_CHUNK):
                    to.write(chunk)

    def _get(self, key: str, **more: str) -> Any:
        """The answer; None when the range lies behind the object's end."""
        try:
            return self._client.get_object(**self._named(key), **more)
        except self._refusal as refusal:
            status = self._errors.status_of(refusal)
            if status == 416:
                return None
            if status == 404 and self._errors.name_of(refusal) != "NoSuchBucket":
                raise KeyError(key) from None
            raise

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix` and come behind `after`, in the order of their keys as UTF-8."""
        asked = {"Bucket": self._bucket, "Prefix": self._folder + prefix}
        if after:
            asked["StartAfter"] = self._folder + after
        listing = self._client.get_paginator("list_objects_v2")
        pages = listing.paginate(**asked, PaginationConfig={"PageSize": self._page})
        with self._call("list", "s3:ListBucket"):
            for page in pages:
                self._check_genuine(page, "IsTruncated")
                for each in page.get("Contents", ()):
                    key = each["Key"].removeprefix(self._folder)
                    yield Entry(key, int(each["Size"]), round(each["LastModified"].timestamp() * 1000))

    def _check_genuine(self, answer: Any, member: str) -> None:
        """Some other server's page, as of a proxy that wants a login, must not pass for success or an empty listing."""
        if member not in answer:
            raise self._errors.ForeignAnswerError(f"there is no {member} in it")

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._folder + key}

    @contextmanager
    def _call(self, doing: str, permission: str, key: str = "") -> Iterator[None]:
        """Whatever boto3 raises within becomes a StoreError."""
        try:
            yield
        except self._errors.CALL_ERRORS as error:
            full = self._folder + key if key else ""
            call = self._errors.Call(self._place, doing, permission, full)
            # Without its cause: what a server says in full may repeat what it was sent, keys and signatures included.
            raise self._errors.store_error(error, call, self._now()) from None


def _range(start: int, length: int | None) -> str:
    """The Range field's value; empty for all of it. One byte at least: a range can't be empty."""
    if start == 0 and length is None:
        return ""
    return f"bytes={start}-" + ("" if length is None else str(start + max(length, 1) - 1))


def _extra(options: S3Options) -> dict[str, str]:
    """What every object is stored with."""
    extra: dict[str, str] = {}
    if options.sse != "none":
        extra["ServerSideEncryption"] = options.sse
    if options.sse == "aws:kms" and options.kms_key_id:
        extra["SSEKMSKeyId"] = options.kms_key_id
    if options.tags:
        extra["Tagging"] = urlencode(options.tags, quote_via=quote)  # some servers keep a plus sign for a blank
    return extra
