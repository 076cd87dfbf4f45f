"""Fixtures: two real servers for the session, started when the first test needs them; per test a bucket with nothing in
it, on each server and over each scheme."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.s3.servers.ceph import ceph as running_ceph
from tests.s3.servers.server import S3Server, started
from tests.s3.servers.swift import swift as running_swift
from tests.s3.site import Site, new_bucket


@pytest.fixture(autouse=True, scope="session")
def no_credentials_of_this_machine() -> Iterator[None]:
    """What the machine has for S3 must neither be used nor change a result; nothing asks the cloud around it."""
    changes = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        changes.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        changes.setenv(name, os.devnull)
    changes.setenv("AWS_EC2_METADATA_DISABLED", "true")
    yield
    changes.undo()


@pytest.fixture(scope="session")
def ceph() -> Iterator[S3Server]:
    """The Ceph object gateway."""
    with started(running_ceph) as server:
        yield server


@pytest.fixture(scope="session")
def swift() -> Iterator[S3Server]:
    """OpenStack Swift."""
    with started(running_swift) as server:
        yield server


@pytest.fixture(scope="session", params=["ceph", "swift"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each of them."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, server: S3Server) -> Site:
    """Each of them, over each scheme."""
    return Site(server, request.param, new_bucket(server))


@pytest.fixture
def plain_site(server: S3Server) -> Site:
    """Each of them, over http."""
    return Site(server, "http", new_bucket(server))


@pytest.fixture(params=["http", "https"])
def ceph_site(request: pytest.FixtureRequest, ceph: S3Server) -> Site:
    """Ceph's gateway, over each scheme."""
    return Site(ceph, request.param, new_bucket(ceph))
