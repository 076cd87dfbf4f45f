"""One stand-in vendor for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """The vendor behind the systems."""
    with StandIn("--quiet") as running:
        yield running
