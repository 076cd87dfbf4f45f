"""The archive: what is kept of each upload, in which store, and how much the spool on the way there may take.

The first keys of `S3` are spelled as OpenReplay's storage settings spell them, so that those can be carried over.
"""
# ruff: noqa: N815

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os.path import normpath
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, SerializationInfo, field_serializer, model_validator

from proxy.settings.masking import masked_text
from proxy.settings.network import is_loopback
from proxy.settings.privacy import ADDRESS_FIELDS
from proxy.settings.problem import value_text
from proxy.settings.section import Fault, Section
from proxy.settings.spelling import field_value, file_path, matching, token
from proxy.settings.storage import bucket_name, endpoint_url, key_prefix, kms_key, store_region, tag_key, tag_value
from proxy.settings.units import (
    GIB,
    MIB,
    Parsed,
    UnreadableError,
    choice,
    duration,
    flag,
    or_empty,
    plain_seconds,
    size,
    size_text,
    whole,
)
from proxy.settings.upstreams import split_url

# What stores without regions accept in a signature.
ANY_REGION = "us-east-1"

# Decoded and not compressed, an object is several times its segment, and S3 takes at most 5 GiB at once.
SEGMENT_MAX = 512 * MIB
ZSTD_LEVEL_MAX = 22
GZIP_LEVEL_MAX = 9
TAGS_MAX = 10  # of one object, as S3 has it

# Names of machines are parts of file and object names.
_NODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# Credentials, and the address in full, which `client_ip` decides about.
NEVER_KEPT = frozenset(
    ("authorization", "cookie", "forwarded", "proxy-authorization", "x-forwarded-for", "x-real-ip")
) | {name.lower() for name in ADDRESS_FIELDS}
# What the SDK says of itself. A payload can't be sent again without most of them.
KEPT = (
    "content-type",
    "user-agent",
    "x-client-version",
    "x-client-library",
    "x-client-url",
    "x-client-sample-rate",
    "x-sampling-hash-alg",
)


def kept_header() -> Parsed:
    """The name of a header that is kept, lower-case."""
    name = token("a header name", "x-client-version")

    def parse(value: object) -> str:
        text = str(name.parse(value)).lower()
        if text in NEVER_KEPT:
            raise UnreadableError("a header without credentials and client addresses (those: archive.client_ip)")
        return text

    return Parsed(parse, name.schema)


class S3(Section):
    """A bucket of an S3-compatible store. Without accessKey and secretKey, the SDK looks for credentials itself.

    A `prefix` that is not empty ends with a slash.
    """

    endpoint: Annotated[str, or_empty(endpoint_url())] = ""
    region: Annotated[str, or_empty(store_region())] = ""
    accessKey: Annotated[SecretStr, field_value()] = SecretStr("")
    secretKey: Annotated[SecretStr, field_value()] = SecretStr("")
    recordingsBucket: Annotated[str, bucket_name()]
    assetsBucket: Annotated[str, or_empty(bucket_name())] = ""
    sourcemapsBucket: Annotated[str, or_empty(bucket_name())] = ""
    prefix: Annotated[str, key_prefix()] = ""
    addressing: Annotated[Literal["auto", "path", "virtual"], choice("auto", "path", "virtual")] = "auto"
    ca_file: Annotated[Path, file_path()] | None = None
    sse: Annotated[Literal["none", "AES256", "aws:kms"], choice("none", "AES256", "aws:kms")] = "none"
    kms_key_id: Annotated[str, or_empty(kms_key())] = ""
    tags: dict[Annotated[str, tag_key()], Annotated[str, tag_value()]] = Field(
        default={"retention": "default"}, max_length=TAGS_MAX
    )

    @property
    def has_keys(self) -> bool:
        """Whether credentials are given here; otherwise the SDK's own chain finds them."""
        return bool(self.accessKey.get_secret_value())

    @property
    def signing_region(self) -> str:
        """The region that requests are signed for."""
        return self.region or ANY_REGION

    @property
    def is_exposed(self) -> bool:
        """Whether replays would cross a network in the clear."""
        parts = split_url(self.endpoint)
        return parts is not None and parts.scheme == "http" and not is_loopback(parts.host)

    def without_keys(self) -> S3:
        """The same for a process that never speaks to the store."""
        return self.model_copy(update={"accessKey": SecretStr(""), "secretKey": SecretStr("")})

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if not self.endpoint and not self.region:
            expected = "the bucket's region, such as us-east-1; only with archive.s3.endpoint may it be left out"
            yield Fault(("region",), "nothing", expected, frozenset(("endpoint", "region")))
        yield from self._half_a_credential()
        yield from self._public_by_mistake()
        if self.kms_key_id and self.sse != "aws:kms":
            about = frozenset(("kms_key_id", "sse"))
            yield Fault(("kms_key_id",), value_text(self.kms_key_id), "none unless archive.s3.sse is aws:kms", about)

    def _half_a_credential(self) -> Iterator[Fault]:
        given = {name: bool(getattr(self, name).get_secret_value()) for name in ("accessKey", "secretKey")}
        for name, other in (("accessKey", "secretKey"), ("secretKey", "accessKey")):
            if given[other] and not given[name]:
                expected = f"a value that goes with archive.s3.{other}, or neither: then the SDK looks for credentials"
                yield Fault((name,), "nothing", expected, frozenset(given))

    def _public_by_mistake(self) -> Iterator[Fault]:
        # Assets are served to anybody.
        for name in ("recordingsBucket", "sourcemapsBucket"):
            if self.assetsBucket and self.assetsBucket == getattr(self, name):
                expected = f"another bucket than archive.s3.{name}: that of the assets is public"
                about = frozenset(("assetsBucket", name))
                yield Fault(("assetsBucket",), value_text(self.assetsBucket), expected, about)

    @field_serializer("accessKey", "secretKey")
    def _mask(self, secret: SecretStr, info: SerializationInfo) -> str:
        return masked_text(secret, info)


class Spool(Section):
    """Where payloads wait for the store. `queue_bytes` is per worker, the other sizes are for the whole machine."""

    directory: Annotated[Path, file_path("a folder")] = Path("spool")
    max_bytes: Annotated[int, size(1)] = GIB
    min_free_bytes: Annotated[int, size()] = 512 * MIB
    queue_bytes: Annotated[int, size(1)] = 32 * MIB
    sync: Annotated[Literal["interval", "durable", "none"], choice("interval", "durable", "none")] = "interval"
    sync_interval: Annotated[float, duration()] = 1.0
    answer_wait: Annotated[float, duration()] = 2.0
    on_full: Annotated[Literal["drop-newest", "drop-oldest"], choice("drop-newest", "drop-oldest")] = "drop-newest"
    ready_when_full: Annotated[bool, flag()] = True


class Rotate(Section):
    """When a segment of the spool is closed, to become one object: at so many bytes, or so many seconds old."""

    bytes: Annotated[int, size(1, SEGMENT_MAX)] = 64 * MIB
    seconds: Annotated[float, plain_seconds()] = 300.0


class Upload(Section):
    """How segments go to the store: so many at once; after a failure it waits `backoff` seconds, then ever longer."""

    parallel: Annotated[int, whole(1, 64)] = 2
    backoff: Annotated[float, duration()] = 1.0
    backoff_max: Annotated[float, duration()] = 300.0
    timeout: Annotated[float, duration()] = 60.0

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if self.backoff > self.backoff_max:
            about = frozenset(("backoff", "backoff_max"))
            most = f"at most archive.upload.backoff_max, {self.backoff_max:g}s"
            yield Fault(("backoff",), f"{self.backoff:g}s", most, about)


class Archive(Section):
    """A copy of every upload in a bucket or a folder. An empty `node` stands for the host's name."""

    store: Annotated[Literal["s3", "directory"], choice("s3", "directory")] = "directory"
    directory: Annotated[Path, file_path("a folder")] = Path("archive")
    s3: S3 | None = None
    codec: Annotated[Literal["zstd", "gzip", "none"], choice("zstd", "gzip", "none")] = "zstd"
    level: Annotated[int, whole(1, ZSTD_LEVEL_MAX)] = 3
    body: Annotated[Literal["decoded", "wire"], choice("decoded", "wire")] = "decoded"
    inflate_max: Annotated[int, size(1, GIB)] = 48 * MIB
    node: Annotated[str, or_empty(matching(_NODE, "a machine's name: at most 64 letters, digits, ., - and _"))] = ""
    client_ip: Annotated[Literal["off", "truncate", "full"], choice("off", "truncate", "full")] = "off"
    headers: tuple[Annotated[str, kept_header()], ...] = KEPT
    spool: Spool = Spool()
    rotate: Rotate = Rotate()
    upload: Upload = Upload()

    @model_validator(mode="before")
    @classmethod
    def _store_that_is_described(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "store" in data:
            return data
        return {**data, "store": "directory" if data.get("s3") is None else "s3"}

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if self.store == "s3" and self.s3 is None:
            expected = "a mapping with recordingsBucket at least, since archive.store is s3"
            yield Fault(("s3",), "nothing", expected, frozenset(("store", "s3")))
        if self.codec == "gzip" and self.level > GZIP_LEVEL_MAX:
            most = f"at most {GZIP_LEVEL_MAX}, gzip's highest"
            yield Fault(("level",), f"{self.level}", most, frozenset(("codec", "level")))
        if self.rotate.bytes > self.spool.max_bytes // 2:
            most = f"at most {size_text(self.spool.max_bytes // 2)}: half of archive.spool.max_bytes"
            yield Fault(("rotate", "bytes"), size_text(self.rotate.bytes), most, frozenset(("rotate", "spool")))
        if self.store == "directory" and _overlap(self.spool.directory, self.directory):
            expected = f"a folder apart from archive.directory, {value_text(str(self.directory))}"
            about = frozenset(("store", "s3", "directory", "spool"))
            yield Fault(("spool", "directory"), value_text(str(self.spool.directory)), expected, about)


def _overlap(one: Path, other: Path) -> bool:
    """Whether one folder is the other, or lies in it, as far as their spelling tells."""
    first, second = Path(normpath(one)), Path(normpath(other))
    return first.is_relative_to(second) or second.is_relative_to(first)
