"""Proves that a search of a minute finds nothing, that what was found once stays mended, and that it could find."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from proxy.edge.connection import ClientConnection
from proxy.upstream.pool import Pool
from proxy.wire.body import BodyReader
from tests.fuzz import client, upstream
from tests.fuzz.__main__ import TARGETS, search
from tests.fuzz.seeds import seeds

SECONDS = 20.0  # for each target
LEAST = 500  # inputs; a busy machine does some thousand


@pytest.fixture
def fresh_worlds() -> Iterator[None]:
    yield
    for world in (client.world(False), client.world(True), upstream.world()):
        world.close()
    client.world.cache_clear()
    upstream.world.cache_clear()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", TARGETS)
def test_a_search_finds_nothing(target: str, tmp_path: Path) -> None:
    report = search(target, SECONDS, tmp_path)
    print(report)
    assert not report.problem, report.problem
    assert report.executions > LEAST
    assert report.edges > 100, "nothing was instrumented"


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_search_begins_with_is_sound(target: str) -> None:
    check = import_module(f"tests.fuzz.{target}").check
    inputs = seeds(target)
    assert len(inputs) > 150
    for each in inputs:
        check(each)


def finds(target: str) -> None:
    """One of the seeds shows it."""
    check = import_module(f"tests.fuzz.{target}").check

    def all_of_them() -> None:
        for each in seeds(target):
            check(each)

    with pytest.raises(AssertionError):
        all_of_them()


@pytest.mark.usefixtures("fresh_worlds")
class TestPlanted:
    """Faults put into the gateway; the seeds alone lead to each of them."""

    def test_a_connection_with_surplus_bytes_is_used_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Pool, "unsolicited", Pool.release)
        finds("upstream")

    def test_a_head_that_is_cut_in_its_line_end_loses_a_byte(self, monkeypatch: pytest.MonkeyPatch) -> None:
        incomplete = ClientConnection._incomplete_head

        def forgetful(self: ClientConnection, buffer: bytes) -> None:
            incomplete(self, buffer)
            if buffer.endswith(b"\r\n\r"):
                self._buffer = buffer[:-1]

        monkeypatch.setattr(ClientConnection, "_incomplete_head", forgetful)
        finds("client")

    def test_a_body_that_comes_in_pieces_ends_a_byte_too_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feed = BodyReader.feed

        def hasty(self: BodyReader, data: bytes) -> tuple[bytes, int]:
            fed: tuple[Any, ...] = feed(self, data)
            if self.counted and self.left == 1:
                self.left, self.complete = 0, True
            return fed[0], fed[1]

        monkeypatch.setattr(BodyReader, "feed", hasty)
        finds("client")

    def test_what_follows_a_refused_request_is_taken_for_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def trusting(self: ClientConnection) -> None:
            self._state, self._fed, self._buffer = 0, 0, self._buffer.partition(b"\r\n\r\n")[2]
            self._receiving = False
            self._receive()

        monkeypatch.setattr(ClientConnection, "_linger", trusting)
        finds("client")
