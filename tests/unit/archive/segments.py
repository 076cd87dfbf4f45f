"""Segments as a worker writes them, and bodies as the SDK makes them, for the tests of sealing and reading."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import orjson

from proxy.archive.directory import DirectoryStore
from proxy.archive.line import Line
from proxy.archive.naming import Codec
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.archive.seal import Sealed, SealOptions, seal
from proxy.spool.name import SegmentName
from proxy.spool.segment import TRUNCATED, Kind, SegmentHead, encode, encode_head


class Span(TypedDict):
    """From when to when to read."""

    from_ms: int
    to_ms: int


SALT = b"saltsalt"
OPENED = 1_795_239_913_000  # 2026-11-21, 05:05:13 UTC
HOUR = "dt=2026-11-21/hr=05"
NAME = SegmentName("node-1", "00112233445566ff", 7)
SPAN: Span = {"from_ms": OPENED - 1, "to_ms": OPENED + 3_600_000}
OPTIONS = SealOptions(Codec.ZSTD, 3, "decoded", 64 * 1024 * 1024)
DELIVERED = {"status": 200, "upstream": 200, "skip": None, "outcome": "delivered", "ms": 12}


class Upload(NamedTuple):
    """A PAYLOAD frame."""

    wire: bytes = b'{"version":1,"events":[]}'
    sequence: int = 1
    encoding: str = ""
    query: str = "device_id=device-1&session_id=session-1&type=replay"
    time_ms: int = OPENED
    flags: int = 0

    def frame(self) -> bytes:
        return _frame(Kind.PAYLOAD, self.sequence, self.time_ms, self.meta(), self.wire, self.flags)

    def meta(self) -> dict[str, Any]:
        """What the worker says of it."""
        return {
            "id": f"request-{self.sequence}",
            "path": "/sessions/v2/track",
            "query": self.query,
            "key": "0123456789abcdef",
            "headers": {"content-type": "application/json", "user-agent": "Mozilla/5.0"},
            "encoding": self.encoding,
            "ip": "203.0.113.0",
            "region": "us",
        }


class Outcome(NamedTuple):
    """An OUTCOME frame."""

    sequence: int = 1
    meta: dict[str, Any] = DELIVERED

    def frame(self) -> bytes:
        return _frame(Kind.OUTCOME, self.sequence, OPENED + 20, self.meta)


class Lost(NamedTuple):
    """A GAP frame."""

    payloads: int = 3
    reason: str = "queue-full"

    def frame(self) -> bytes:
        return _frame(Kind.GAP, 0, OPENED + 30, self.meta())

    def meta(self) -> dict[str, Any]:
        """What the worker says of it."""
        return {"reason": self.reason, "payloads": self.payloads, "bytes": 12345, "from": OPENED, "to": OPENED + 9}


Written = Upload | Outcome | Lost


def _frame(
    kind: Kind, sequence: int, time_ms: int, meta: dict[str, Any] | bytes, body: bytes = b"", flags: int = 0
) -> bytes:
    told = meta if isinstance(meta, bytes) else orjson.dumps(meta)
    return encode(SALT, kind, sequence, time_ms, told, (body,), flags) + body


def segment_of(frames: Iterable[Written], opened_ms: int = OPENED) -> bytes:
    """A whole segment."""
    return encode_head(SegmentHead(SALT, opened_ms)) + b"".join(each.frame() for each in frames)


def cut(upload: Upload) -> Upload:
    """The same, of a client that left before its body was complete."""
    return upload._replace(flags=TRUNCATED)


def sealed(folder: Path, content: bytes, options: SealOptions = OPTIONS, name: SegmentName = NAME) -> Sealed:
    """A segment's content, sealed in a folder."""
    path = folder / f"{name}.sealed"
    path.write_bytes(content)
    return seal(path, name, options, folder)


def stored(
    folder: Path, content: bytes, options: SealOptions = OPTIONS, name: SegmentName = NAME
) -> tuple[DirectoryStore, Sealed]:
    """The same, uploaded into a store in that folder."""
    one = sealed(folder, content, options, name)
    store = DirectoryStore(folder / "store")
    store.put(one.data_key, one.data)
    store.put(one.index_key, one.index)
    return store, one


def lines_of(store: DirectoryStore) -> list[Line]:
    """Every payload in a store, found by the index; nothing may be wrong."""
    reader, found = Reader(store), []
    for row in reader.find(**SPAN):
        assert not isinstance(row, Problem), row
        found += [line for line in reader.read_block(row) if isinstance(line, Line)]
    assert [line.problems() for line in found] == [[]] * len(found)
    return found


def body_of(size: int, chance: random.Random) -> bytes:
    """About `size` bytes as the SDK sends them: events of rrweb, each a JSON text within the JSON."""
    events, length = [], 0
    while length < size:
        events.append(orjson.dumps({"type": 3, "timestamp": OPENED + length, "data": _node(chance, 3)}).decode())
        length += len(events[-1])
    return orjson.dumps({"version": 1, "events": events})


WORDS = (
    *("about", "account", "article", "button", "cart", "close", "discount", "events", "für", "header", "menu", "order"),
    *("price", "señor", "日本", "😀"),
)


def _node(chance: random.Random, depth: int) -> dict[str, Any]:
    return {
        "type": 2,
        "tagName": chance.choice(("div", "span", "a", "li", "section")),
        "attributes": {"class": " ".join(chance.choices(WORDS, k=3)), "href": f"/{chance.randrange(10**6)}"},
        "childNodes": [_node(chance, depth - 1) for _ in range(depth)] or [{"type": 3, "text": _text(chance)}],
        "id": chance.randrange(10**5),
    }


def _text(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, 12)))


def visits(number: int, sessions: int = 3, size: int = 4000) -> Iterator[Upload | Outcome]:
    """Uploads of several sessions, gzipped and not, each with its outcome some frames later."""
    chance = random.Random(1)
    for each in range(1, number + 1):
        body, is_plain = body_of(size, chance), each % 5 == 0
        session = f"device_id=device-{each % sessions}&session_id={each % sessions}&type=replay"
        wire = body if is_plain else gzip.compress(body, mtime=0)
        yield Upload(wire, each, "" if is_plain else "gzip", session, OPENED + each * 100)
        if each > 2:
            yield Outcome(each - 2)
