"""One stand-in vendor for each file, well-behaved and forgetful at the start of each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn


@pytest.fixture(scope="module")
def vendor() -> Iterator[StandIn]:
    """The process; for fixtures that start a gateway in front of it."""
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture
def standin(vendor: StandIn) -> StandIn:
    """The same for a test."""
    vendor.clear()
    return vendor
