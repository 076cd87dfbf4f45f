"""Proves that lack of memory at any one step of an exchange leaves nothing behind: no request, no share of the memory
that bodies may have, no connection; also where the loop itself had no memory to tell of a connection's end.

Connections are in memory, and each test is repeated with the fault at the first thing that is asked of one, at the
second, and so on until there is none that could fail.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, cast

import pytest

from proxy.edge.connection import ClientConnection
from proxy.edge.gateway import Gateway
from proxy.observe.ledger import Ledger
from proxy.runtime.timers import FAR, Timed
from proxy.settings import Settings
from tests.fuzz.client import in_chunks, silent, until_close
from tests.fuzz.memory import MemoryLoop, VendorsEnd, Wire
from tests.fuzz.world import UPSTREAM
from tests.unit.edge.stage import VENDOR, Book, chunked, get, ok, post
from tests.unit.upstream.vendor import Script, Seen, Vendor

# Deadlines that follow upon one another at most: a request is tried twice, its connections are closed, then cut.
ROUNDS: Final = 8
FALLIBLE: Final = ("write", "writelines", "write_eof", "pause_reading", "resume_reading", "get_extra_info")

STREAMS: Final[dict[str, list[bytes]]] = {
    "an upload": [post(b"x" * 3000)],
    "an upload in two": [post(b"x" * 1000, declared=3000), b"x" * 2000],
    "an upload in chunks": [chunked(b"x" * 2000), b"3\r\nabc\r\n0\r\n\r\n"],
    "two uploads at once": [post() + post()],
    "a configuration": [get()],
    "a refused one": [post(target=b"/elsewhere")],
}
VENDORS: Final[dict[str, tuple[Script | None, Callable[[Seen], bytes]]]] = {
    "one that answers": (None, lambda _: ok()),
    "one that answers in chunks": (None, in_chunks),
    "one that closes": (until_close, lambda _: ok()),
    "one that is silent": (silent, lambda _: ok()),
}


class Shortage:
    """Lets the `at`-th of all that is asked of transports fail."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = False

    def pass_or_fail(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.came = True
            raise MemoryError


class World:
    """A gateway whose connections meet a shortage. `mute`: the ends of those that met it are not told by the loop."""

    def __init__(self, shortage: Shortage, mute: bool, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = MemoryLoop()
        self.vendor = Vendor(host=VENDOR)
        self.loop.visited = cast("Callable[..., Awaitable[None]]", self.vendor._visited)
        self._mute = mute
        self._patch(shortage, monkeypatch)
        self.loop.run_until_complete(self._build(limits))

    async def _build(self, limits: dict[str, Any]) -> None:
        base = {"upstreams": {"us": UPSTREAM, "eu": UPSTREAM}, "log": {"access": "off"}, "limits": limits}
        self.gateway = Gateway(Settings.model_validate(base), Ledger(Book().row), self.loop)

    def _patch(self, shortage: Shortage, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in FALLIBLE:
            monkeypatch.setattr(Wire, name, _fallible(getattr(Wire, name), shortage))
        if self._mute:
            for name in ("close", "abort"):
                monkeypatch.setattr(Wire, name, _untold(getattr(Wire, name), shortage))
        monkeypatch.setattr(VendorsEnd, "write", lambda end, data: self._hand(end._upstream, data))

    def _hand(self, wire: Wire, data: bytes) -> None:
        if data and not wire.is_closing():
            self._call(wire, wire.protocol.data_received, data)

    def _call(self, wire: Wire, method: Callable[..., object], *values: object) -> None:
        """As loops do: what a protocol raises ends its connection."""
        try:
            method(*values)
        except MemoryError:
            if self._mute:
                wire._is_closing = True
            else:
                wire.abort()

    def serve(self, pieces: list[bytes]) -> None:
        """One client, who leaves at the end."""
        client = cast(ClientConnection, self.gateway.protocol_factory()())
        wire = Wire(self.loop, client)
        self._do(self._call, wire, client.connection_made, wire)
        for piece in pieces:
            self._do(self._hand, wire, piece)
        self._do(wire.close)

    def _do(self, act: Callable[..., object], *values: object) -> None:
        self.loop.call_soon(act, *values)
        self.loop.settle(lambda: any(pool._next_step is not None for pool in self._pools))

    @property
    def _pools(self) -> list[Any]:
        return list(self.gateway._pools.values())

    def let_time_pass(self) -> None:
        """Everything that has a deadline meets it."""
        for _ in range(ROUNDS):
            for entry in [each for slot in self.gateway.wheel._slots for each in slot if each.deadline < FAR]:
                self._do(self._expire, entry)
            for pool in self._pools:
                for carrier in pool._waiting:
                    pool._waiting[carrier] = -FAR
                self._do(pool.tick)

    def _expire(self, entry: Timed) -> None:
        entry.deadline = FAR
        self.gateway.wheel._expire(entry, FAR)

    def assert_nothing_left(self) -> None:
        gateway = self.gateway
        assert (gateway.in_hand, gateway._inflight) == ((0, 0), 0)
        assert [(len(pool._open), len(pool._waiting), pool._connecting) for pool in self._pools] == [(0, 0, 0)] * len(
            self._pools
        )
        unknown = [each for each in self.loop.escaped if not isinstance(each.get("exception"), MemoryError)]
        assert not unknown, unknown

    def close(self) -> None:
        self.loop.run_until_complete(self.vendor.close())
        self.loop.run_until_complete(self.gateway.close())
        self.loop.close()


def _fallible(method: Callable[..., Any], shortage: Shortage) -> Callable[..., Any]:
    def fails_perhaps(*values: Any, **more: Any) -> Any:
        shortage.pass_or_fail()
        return method(*values, **more)

    return fails_perhaps


def _untold(method: Callable[[Wire], None], shortage: Shortage) -> Callable[[Wire], None]:
    """As TLS transports do: what there is no memory for happens later, and is not told."""

    def ends_perhaps(wire: Wire) -> None:
        try:
            shortage.pass_or_fail()
        except MemoryError:
            wire._is_closing = True
        else:
            method(wire)

    return ends_perhaps


@pytest.fixture(params=(False, True), ids=("told", "not told"))
def mute(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def no_loop_left() -> Iterator[None]:
    yield
    asyncio.set_event_loop(None)


@pytest.mark.usefixtures("no_loop_left")
@pytest.mark.parametrize("limits", [{}, {"retry_body": 0}], ids=("kept", "at once"))
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("stream", STREAMS)
def test_lack_of_memory_at_any_step_leaves_nothing(
    stream: str, vendor: str, limits: dict[str, Any], mute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    for at in itertools.count(1):
        shortage = Shortage(at)
        with monkeypatch.context() as patch:
            world = World(shortage, mute, limits, patch)
            world.vendor.script, world.vendor.reply = VENDORS[vendor]
            world.serve(STREAMS[stream])
            world.let_time_pass()
            world.assert_nothing_left()
        world.close()
        if not shortage.came:
            break
        steps = at
    assert steps >= 2
