"""Proves that a server which hangs or goes away costs a bounded time and nothing else: the call fails as something that
may pass, and the same store works when the server does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.store import StoreError
from tests.gateway import eventually
from tests.s3.site import Site

READ_SECONDS = 1.0
# Two attempts, each until it times out, the wait between them of a second at most, and room for a busy machine.
BOUND_SECONDS = 2 * READ_SECONDS + 1.0 + 5.0


@contextmanager
def hanging(site: Site) -> Iterator[None]:
    front = "radosgw" if site.server.name == "ceph" else site.scheme
    site.server.pause(front)
    try:
        yield
    finally:
        site.server.resume(front)


def test_a_server_that_hangs_times_out_and_is_used_again(site: Site) -> None:
    store = S3Store(site.with_options(read_timeout=READ_SECONDS, connect_timeout=READ_SECONDS))
    store.put("before", b"data")
    with hanging(site):
        began = time.monotonic()
        with pytest.raises(StoreError) as raised:
            store.put("during", b"data")
        assert time.monotonic() - began < BOUND_SECONDS
    assert (raised.value.code, raised.value.is_transient) == ("Timeout", True)

    patient = S3Store(site.options)
    patient.put("during", b"data again")
    # What was sent to the hanging server may land now, and it is the same key.
    assert patient.read("during") in (b"data", b"data again")
    assert store.read("before") == b"data"


def test_a_gateway_that_was_killed_and_started_has_all_objects(ceph_site: Site) -> None:
    store = S3Store(ceph_site.options)
    store.put("before", b"data")
    ceph_site.server.kill("radosgw")
    try:
        with pytest.raises(StoreError) as raised:
            store.put("during", b"data")
    finally:
        ceph_site.server.start_front("radosgw")
    assert raised.value.code in ("ConnectionRefused", "ConnectionLost")
    assert raised.value.is_transient
    store.put("after", b"more")
    entries = eventually(lambda: list(store.entries("")), what="the gateway lists again")
    assert [entry.key for entry in entries] == ["after", "before"]
