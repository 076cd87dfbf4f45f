"""A whole gateway in memory: one client's bytes in front of it, one vendor's behind it, and what became of them.

Holds after every visit, whatever the bytes: no exception has escaped, nothing is in hand, the client was sent nothing
but whole answers (or was cut off), the vendor got nothing that it could read in two ways, and no more than is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from proxy.edge.connection import ClientConnection
from proxy.edge.gateway import Gateway
from proxy.model.record import Outcome, Record
from proxy.observe.ledger import Ledger
from proxy.runtime.clock import monotonic
from proxy.settings import Settings
from tests.conformance.wire import Answer, AnswerReader
from tests.fuzz.memory import MemoryLoop, Wire
from tests.unit.edge.stage import VENDOR, Book
from tests.unit.upstream.vendor import Script, Seen, Vendor

# Small, so that a fuzzer's few hundred bytes reach them.
LIMITS = {"head": "2KiB", "target": "256B", "fields": 24, "body": "8KiB", "answer_head": "2KiB", "answer_fields": 24}
URL = {"connect": "127.0.0.1:1"}
UPSTREAM = {
    "track": {"url": "http://vendor.example/sessions/v2/track", **URL},
    "config": {"url": "http://vendor.example/config", **URL},
}
WHOLE = frozenset(
    (Outcome.DELIVERED, Outcome.SKIPPED, Outcome.REFUSED, Outcome.STALE, Outcome.PREFLIGHT, Outcome.REJECTED)
)
ROUNDS = 4  # a vendor that is silent is timed out; so often a request can be tried


@dataclass(frozen=True)
class Visit:
    """What one client's connection came to. `answers` are those that arrived whole, `later` those of the client who
    came after it; the first `so_far` records are the first one's."""

    answers: tuple[Answer, ...]
    requests: tuple[Seen, ...]
    records: tuple[Record, ...]
    so_far: int
    later: tuple[Answer, ...]


class World:
    """One gateway for many visits; `limits` beside those above."""

    def __init__(self, **limits: object) -> None:
        self._loop = MemoryLoop()
        self._vendor = Vendor(host=VENDOR)
        self._loop.visited = self._vendor._visited
        self._loop.run_until_complete(self._build({"limits": {**LIMITS, **limits}}))
        self.limits = self._gateway.limits

    async def _build(self, settings: dict[str, Any]) -> None:
        base = {"upstreams": {"us": UPSTREAM, "eu": UPSTREAM}, "log": {"access": "off"}, "breaker": {"failures": 0}}
        # An answer that is kept would make a visit depend on those before it.
        read = Settings.model_validate({**base, "config_cache": {"stale_if_error": "0s"}, **settings})
        self._book = Book()
        self._gateway = Gateway(read, Ledger(self._book.row), self._loop)
        self._gateway._access = self._book

    def visit(
        self, pieces: Sequence[bytes], script: Script | None, reply: Callable[[Seen], bytes], then: bytes = b""
    ) -> Visit:
        """Hand a client's bytes over as they are cut, then the end of what it sends, then the end of its patience.
        `then` is what another client sends afterwards, for whom the vendor's connections are as they were left."""
        self._vendor.script, self._vendor.reply = script, reply
        for kept in (self._vendor.requests, self._vendor.visits, self._vendor.violations, self._book.records):
            cast(list[Any], kept).clear()
        written = self._serve(pieces)
        so_far = len(self._book.records)
        answers = _read(written, self._book.records)
        written = self._serve([then]) if then else b""
        later = _read(written, self._book.records[so_far:])
        self._do(self._forget)
        self._look()
        return Visit(answers, tuple(self._vendor.requests), tuple(self._book.records), so_far, later)

    def close(self) -> None:
        """No further visits: after one that failed there may be something left in hand."""
        self._loop.run_until_complete(self._vendor.close())
        self._loop.run_until_complete(self._gateway.close())
        self._loop.close()

    def _serve(self, pieces: Sequence[bytes]) -> bytes:
        client = cast(ClientConnection, self._gateway.protocol_factory()())
        wire = Wire(self._loop, client)
        self._do(client.connection_made, wire)
        for piece in pieces:
            if wire.is_paused:  # until the vendor has answered, or was given up
                self._time_out()
            if wire.is_paused or wire.is_closing():
                break
            self._do(client.data_received, piece)
            assert len(client._buffer) <= self.limits.head + len(piece) + 4, "what is kept of a head has no bound"
        self._do(self._end, client, wire)
        self._time_out()
        self._do(wire.close)
        self._time_out()
        return bytes(wire.written)

    def _do(self, act: Callable[..., object], *values: object) -> None:
        self._loop.call_soon(act, *values)
        self._loop.settle(lambda: any(pool._next_step is not None for pool in self._gateway._pools.values()))

    def _end(self, client: ClientConnection, wire: Wire) -> None:
        if not wire.is_closing() and not client.eof_received():
            wire.close()

    def _time_out(self) -> None:
        for _ in range(ROUNDS):
            busy = [each for pool in self._gateway._pools.values() for each in pool._open if each.carrier is not None]
            for connection in busy:
                self._do(connection.expire, monotonic())

    def _forget(self) -> None:
        for pool in self._gateway._pools.values():
            for connection in list(pool._open):
                connection.abort()

    def _look(self) -> None:
        gateway, records = self._gateway, self._book.records
        assert not self._loop.escaped, self._loop.escaped
        assert not self._vendor.violations, self._vendor.violations
        in_hand = (*gateway.in_hand, gateway._inflight, self._vendor.open)
        assert in_hand == (0, 0, 0, 0), f"left in hand: {in_hand}"
        seen = tuple(self._vendor.requests)
        carried = [record for record in records if record.upstream_began]
        assert len(seen) <= len(carried), f"{len(seen)} requests arrived, {len(carried)} were carried"
        assert sum(each.complete for each in seen) <= len(carried)
        assert all(each.target.startswith((b"/sessions/v2/track", b"/config")) for each in seen)


def _read(written: bytes, records: Sequence[Record]) -> tuple[Answer, ...]:
    """The whole answers that a strict client finds. Only the last one may be cut off, and only where the record says
    that it broke."""
    told = [record for record in records if record.status]
    reader = AnswerReader()
    reader.expect(*(record.method or b"GET" for record in told))
    reader.feed(written)
    if reader.partial is not None and told and told[-1].outcome in WHOLE:
        reader.end()
    answers = tuple(reader.answers)
    assert [answer.status for answer in answers] == [record.status for record in told[: len(answers)]]
    if len(answers) < len(told):
        assert len(answers) == len(told) - 1, "an answer in the middle is not whole"
        assert told[-1].outcome not in WHOLE, "an answer that is recorded as whole is not"
    else:
        # Who was told to go on, and left.
        told_to_go_on = b"HTTP/1.1 100 Continue\r\n\r\n" if records and records[-1].status == 0 else b""
        assert reader.surplus in (b"", told_to_go_on), f"nobody asked for {reader.surplus[:80]!r}"
    return answers


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces, cut at these places (taken modulo its length)."""
    at = sorted({place % len(data) for place in places} - {0}) if data else []
    bounds = [0, *at, len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if end > start]
