"""A server as seen by one test: over one scheme, with a bucket of its own. Must not know which server it is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from proxy.archive.s3_client import S3Options, open_client
from tests.s3.servers.server import REGION, S3Server

# So that a test which waits for a time-out does not wait for long, and none fails on a busy machine.
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0


@dataclass(frozen=True)
class Site:
    """`options` are right for `server`; `bucket` exists and is empty."""

    server: S3Server
    scheme: str
    bucket: str

    @property
    def options(self) -> S3Options:
        """As an owner would write them."""
        return owner_options(self.server, self.scheme, self.bucket)

    def with_options(self, **changes: Any) -> S3Options:
        """The right ones but for what is given."""
        return replace(self.options, **changes)

    def with_endpoint(self, endpoint: str) -> S3Options:
        """Those for another way to the server."""
        is_tls = endpoint.startswith("https")
        return replace(self.options, endpoint=endpoint, ca_file=self.server.ca_file if is_tls else None)


def owner_options(server: S3Server, scheme: str, bucket: str) -> S3Options:
    """With the keys of who may do everything."""
    return S3Options(
        bucket=bucket,
        endpoint=server.endpoint(scheme),
        region=REGION,
        access_key=server.access_key,
        secret_key=server.secret_key,
        ca_file=server.ca_file if scheme == "https" else None,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )


def new_name() -> str:
    """A bucket's, that nobody has."""
    return f"test-{secrets.token_hex(6)}"


def new_bucket(server: S3Server) -> str:
    """A bucket that exists."""
    bucket = new_name()
    open_client(owner_options(server, "http", bucket)).create_bucket(Bucket=bucket)
    return bucket
