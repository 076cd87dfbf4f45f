"""Proves that a connection is cut whatever stands in the way of a reset."""

from __future__ import annotations

import asyncio

import pytest

from proxy.runtime.reset import reset


class Exhausted(asyncio.Transport):
    """There is no memory to look at its socket with."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cut = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        raise MemoryError

    def abort(self) -> None:
        self.is_cut = True


def test_without_memory_it_is_cut_all_the_same() -> None:
    transport = Exhausted()
    with pytest.raises(MemoryError):
        reset(transport)
    assert transport.is_cut
