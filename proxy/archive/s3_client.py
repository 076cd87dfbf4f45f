"""How an S3 server is reached: the options, and the boto3 client that follows from them.

boto3 is imported when the first client is made, so that a gateway without an S3 archive needs none. Must not know what
is stored, or what is done about an error.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from proxy.archive.store import StoreError

DEFAULT_REGION: Final = "us-east-1"  # servers that have no regions expect a signature for this one
# One repeat at once saves a call from a connection that was closed while idle; whoever calls waits and tries again.
ATTEMPTS: Final = 2
CONNECTIONS: Final = 4  # kept open to the server; uploads run two at a time by default

Addressing = Literal["auto", "path", "virtual"]
Encryption = Literal["none", "AES256", "aws:kms"]


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where objects are kept, and how the server is spoken to. Empty texts stand for what boto3 finds out by itself.

    Without both keys the credentials come from wherever boto3 finds them (environment, shared files, process, web
    identity, container, instance), and are renewed by it when they expire. `addressing` says whether the bucket is put
    into the path of the URL or before the host name. "auto": virtual for AWS; path for every other endpoint, which
    needs no wildcard DNS name and certificate, and for a bucket with a dot in its name. `ca_file` is a PEM file that
    replaces the trust anchors. `tags` are put on every object. The times are seconds. ValueError when the values don't
    go together.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    prefix: str = ""
    addressing: Addressing = "auto"
    ca_file: Path | None = None
    sse: Encryption = "none"
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: float = 5.0
    read_timeout: float = 60.0

    def __post_init__(self) -> None:
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("an S3 access key and its secret key go together: give both, or neither")
        parts = urlsplit(self.endpoint)
        if self.endpoint and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError(f"the S3 endpoint is a URL such as https://s3.example.com, not {parts.hostname or ''!r}")
        if parts.username is not None:
            raise ValueError("the S3 endpoint holds a user name: give the keys as access key and secret key")

    @property
    def folder(self) -> str:
        """The prefix as it stands before every key: empty, or with one slash at its end and none at its beginning."""
        stripped = self.prefix.strip("/")
        return stripped + "/" if stripped else ""


def is_aws(endpoint: str) -> bool:
    """Whether it is Amazon's own, which is also meant by no endpoint."""
    host = urlsplit(endpoint).hostname or ""
    return not endpoint or host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def is_loopback(endpoint: str) -> bool:
    """Whether what is sent there does not leave this machine."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def addressing_style(options: S3Options) -> Addressing:
    """What is meant by "auto". Without an endpoint it stays as it is: boto3 may find one in the environment, and
    decides by the same rule."""
    if options.addressing != "auto" or not options.endpoint:
        return options.addressing
    return "virtual" if is_aws(options.endpoint) and "." not in options.bucket else "path"


def open_session(options: S3Options) -> Any:
    """A boto3 session with the options' region and keys. Raises StoreError."""
    try:
        import botocore.session
        from boto3.session import Session
    except ImportError as error:
        raise StoreError("an archive in S3 needs boto3: pip install 'replay-gateway[s3]'") from error
    from proxy.archive.s3_errors import set_up_error

    # What goes wrong is told by whoever asked (see `s3_errors`); the library's warnings are the same with a traceback.
    logging.getLogger("botocore").setLevel(logging.ERROR)
    try:
        core = botocore.session.get_session()
        core.register_component("data_loader", _descriptions())
        return Session(
            botocore_session=core,
            aws_access_key_id=options.access_key or None,
            aws_secret_access_key=options.secret_key or None,
            region_name=options.region or None,
        )
    except Exception as error:
        raise set_up_error(error) from None


@cache
def _descriptions() -> Any:
    """What botocore has read of its description of S3: 0.1 s and some MB that every further client needs not spend."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")


def open_client(options: S3Options, *, is_anonymous: bool = False) -> Any:
    """A boto3 client; threads may share it. Nothing is sent yet. Raises StoreError."""
    session = open_session(options)
    from proxy.archive.s3_errors import set_up_error

    check_trust_anchors(options.ca_file)
    try:
        return session.client(
            "s3",
            region_name=session.region_name or DEFAULT_REGION,
            endpoint_url=options.endpoint or None,
            verify=str(options.ca_file) if options.ca_file else None,
            config=_config(options, is_anonymous),
        )
    except Exception as error:
        raise set_up_error(error) from None


class _LocatedError(Exception):
    """Ends a request in place of sending it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def url_of(options: S3Options, key: str) -> str:
    """Where a request for an object would go; `key` with the prefix. A presigned URL is not always that. Sends nothing.
    Raises StoreError."""
    client = open_client(options, is_anonymous=True)

    def stop(request: Any, **_: Any) -> None:
        raise _LocatedError(request.url)

    client.meta.events.register("before-send.s3.HeadObject", stop)
    try:
        client.head_object(Bucket=options.bucket, Key=key)
    except _LocatedError as located:
        return located.url
    raise AssertionError("boto3 has sent a request that was to be stopped")


def check_trust_anchors(ca_file: Path | None) -> None:
    """Raises StoreError unless the file can be read and holds certificates; boto3 would say so at the first call."""
    if ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise StoreError(
            f"archive.s3.ca_file: {ca_file} holds no certificate; it must be PEM", code="TlsFailed"
        ) from error
    except OSError as error:
        raise StoreError(f"archive.s3.ca_file: can't read {ca_file}: {error.strerror}", code="TlsFailed") from error


def _config(options: S3Options, is_anonymous: bool) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    return Config(
        signature_version=UNSIGNED if is_anonymous else "s3v4",
        connect_timeout=options.connect_timeout,
        read_timeout=options.read_timeout,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        # By default boto3 sends a body in signed pieces with a checksum behind it (aws-chunked), which many servers
        # other than Amazon's refuse or store as it is. The signature covers the body's SHA-256 instead.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": addressing_style(options), "payload_signing_enabled": True},
    )
