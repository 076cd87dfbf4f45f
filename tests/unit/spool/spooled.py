"""What lies in a spool's folder, read back for the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from proxy.observe.ledger import Ledger, LedgerMemory
from proxy.spool.entries import Upload
from proxy.spool.folder import Found, State, found_in
from proxy.spool.rules import SpoolRules
from proxy.spool.segment import SEGMENT_HEAD, Damage, Frame, Kind, decode_head, frames

BOOT = "0123456789abcdef"
OTHER_BOOT = "7edcba9876543210"
T0 = 1_764_000_000_000  # some hour's beginning, Unix time in ms
HOUR_MS = 3_600_000


class Kept(NamedTuple):
    """A frame that is whole."""

    kind: Kind
    sequence: int
    meta: Any
    body: bytes


def rules(folder: Path, **changed: Any) -> SpoolRules:
    """Rules with room for everything, unless said otherwise."""
    usual: dict[str, Any] = {
        "folder": folder,
        "node": "node",
        "max_bytes": 1 << 30,
        "min_free_bytes": 0,
        "queue_bytes": 1 << 24,
        "sync": "interval",
        "sync_interval": 1.0,
        "drop_oldest": False,
        "rotate_bytes": 1 << 20,
        "rotate_seconds": 300.0,
        "answer_wait": 2.0,
    }
    return SpoolRules(**(usual | changed))


def ledger() -> Ledger:
    """One row that nobody else has."""
    return Ledger(LedgerMemory.create(1).rows[0])


def upload(sequence: int, body: bytes, time_ms: int = T0) -> Upload:
    """An upload as the writer gets it."""
    one = Upload()
    one.sequence = sequence
    one.time_ms = time_ms
    one.meta = b'{"id":"%d"}' % sequence
    one.body = [body]
    one.size = one.held = len(body)
    return one


def files(folder: Path, *states: State) -> list[Found]:
    """The spool's files in these states, in any if none is given."""
    return [each for each in found_in(folder) if not states or each.state in states]


def read(path: Path) -> Iterator[Kept | Damage]:
    """All that is in one file."""
    with path.open("rb") as file:
        head = decode_head(file.read(SEGMENT_HEAD))
        for each in frames(file, head.salt):
            if isinstance(each, Frame):
                file.seek(each.body_at)
                yield Kept(each.kind, each.sequence, json.loads(each.meta), file.read(each.body_length))
            else:
                yield each


def kept(folder: Path, kind: Kind = Kind.PAYLOAD) -> list[Kept]:
    """The frames of a kind in all files."""
    found = [each for file in files(folder) for each in read(file.path)]
    return [each for each in found if isinstance(each, Kept) and each.kind is kind]
