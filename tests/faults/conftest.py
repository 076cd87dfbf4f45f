"""One stand-in vendor for each file, well-behaved and forgetful at the start of each test."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def socket_memory() -> Iterator[None]:
    """For tests that fill the kernel's socket buffers: one after the other, also in several processes. There is one
    room for the whole machine (tcp_mem, a tenth of its memory); when it is used up, connections of any test are cut."""
    # Each user has a file: nobody may open another's in a folder for all.
    with Path(tempfile.gettempdir(), f"replay-gateway-tests.{os.getuid()}.socket-memory").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
