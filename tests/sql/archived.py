"""An archive with all that the statements look for: sessions over two hours, a repeat, data that the vendor threw
away, a body that is no JSON, and a gap. Must not know SQL."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions
from proxy.archive.store import Store
from tests.unit.archive.segments import DELIVERED, NAME, OPENED, Lost, Outcome, Upload, Written, sealed, segment_of

HOUR_MS: Final = 3_600_000
DEVICE: Final = "3f1c9a52-7d0e-4b6f-9c1d-2a8e5b7f0c44"
SESSION: Final = "1795237513749"
OTHER: Final = ("other-device", "1795237599999")
# What JSON must escape within JSON, and what is more than one byte long.
EVENTS: Final = tuple(
    json.dumps({"type": number, "timestamp": OPENED + number, "data": {"text": 'a "quote", \\, ü and 日本'}})
    for number in (4, 2, 3, 5)
)


def body(*events: str) -> bytes:
    """As the SDK sends it."""
    return json.dumps({"version": 1, "events": events}, ensure_ascii=False).encode()


FIRST: Final = body(*EVENTS[:2])
REPEATED: Final = body(EVENTS[2])
LAST: Final = body(EVENTS[3])
REFUSED: Final = body('{"type":3}')
NO_JSON: Final = b"no JSON, \xff"
DIGEST: Final = sha256(REPEATED).hexdigest()
LATER_MS: Final = OPENED + HOUR_MS
GAP: Final = Lost(3)


def _query(device: str, session: str) -> str:
    return f"device_id={device}&session_id={session}&type=replay"


def _gzipped(content: bytes, sequence: int, time_ms: int, level: int = 9) -> Upload:
    wire = gzip.compress(content, level, mtime=0)
    return Upload(wire, sequence, "gzip", _query(DEVICE, SESSION), time_ms)


FRAMES: Final[tuple[Written, ...]] = (
    _gzipped(FIRST, 1, OPENED),
    _gzipped(REPEATED, 2, OPENED + 1000),
    _gzipped(REPEATED, 3, OPENED + 11_000, 1),
    Upload(REFUSED, 4, "", _query(*OTHER), OPENED + 2000),
    Upload(NO_JSON, 5, "", _query(*OTHER), OPENED + 3000),
    Outcome(1),
    Outcome(2, {"status": 502, "upstream": 0, "skip": None, "outcome": "unreachable", "ms": 9}),
    Outcome(3),
    Outcome(4, DELIVERED | {"skip": "429"}),
    GAP,
)
LATER: Final[tuple[Written, ...]] = (_gzipped(LAST, 6, LATER_MS), Outcome(6))


def fill(store: Store, folder: Path, codec: Codec) -> None:
    """Puts the archive into the store; `folder` is for files on the way."""
    options = SealOptions(codec, 3, "decoded", 1 << 26)
    for number, frames, opened_ms in ((7, FRAMES, OPENED), (8, LATER, LATER_MS)):
        one = sealed(folder, segment_of(frames, opened_ms), options, NAME._replace(number=number))
        store.put(one.data_key, one.data)
        store.put(one.index_key, one.index)
