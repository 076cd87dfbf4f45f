"""One stand-in vendor for a whole file; each test begins with a well-behaved one that has seen nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn


@pytest.fixture(scope="module")
def running_vendor() -> Iterator[StandIn]:
    with StandIn() as vendor:
        yield vendor


@pytest.fixture
def vendor(running_vendor: StandIn) -> StandIn:
    running_vendor.clear()
    return running_vendor
