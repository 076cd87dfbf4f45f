"""One stand-in process for all tests of this folder (one per test worker), well-behaved before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.standin import StandIn


@pytest.fixture(scope="session")
def process() -> Iterator[StandIn]:
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture
def vendor(process: StandIn) -> StandIn:
    process.clear()
    process.keep_bodies(0)
    return process
