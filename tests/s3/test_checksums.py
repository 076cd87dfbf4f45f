"""Proves that objects are sent in a way that older servers take, as boto3's own is not, and that it is still needed."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.session import Session
from botocore.exceptions import ClientError

from proxy.archive.s3 import S3Store
from tests.s3.chaos import Chaos
from tests.s3.servers.server import REGION, S3Server
from tests.s3.site import Site, new_bucket


def boto3_as_it_comes(site: Site) -> Any:
    session = Session(site.server.access_key, site.server.secret_key, region_name=REGION)
    return session.client("s3", endpoint_url=site.options.endpoint, verify=str(site.server.ca_file))


def test_over_tls_an_older_server_refuses_what_boto3_sends_by_default(ceph: S3Server) -> None:
    """When this fails, boto3 or the server has changed, and the store's own settings may have become needless."""
    site = Site(ceph, "https", new_bucket(ceph))
    with pytest.raises(ClientError, match="MissingContentLength"):
        boto3_as_it_comes(site).put_object(Bucket=site.bucket, Key="a", Body=b"data")
    S3Store(site.options).put("a", b"data")
    assert S3Store(site.options).read("a") == b"data"


def test_without_tls_the_difference_does_not_show(ceph: S3Server) -> None:
    """Which is why every test of the store is run over TLS as well."""
    site = Site(ceph, "http", new_bucket(ceph))
    boto3_as_it_comes(site).put_object(Bucket=site.bucket, Key="a", Body=b"data")
    assert S3Store(site.options).read("a") == b"data"


def test_an_object_is_one_request(plain_site: Site) -> None:
    with Chaos(int(plain_site.server.http.rpartition(":")[2])) as chaos:
        S3Store(plain_site.with_options(endpoint=chaos.endpoint)).put("a", bytes(20_000_000))
    assert chaos.seen == [f"PUT /{plain_site.bucket}/a"]
