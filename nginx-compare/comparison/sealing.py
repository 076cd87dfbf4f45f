"""What it costs the archiver to make an object of a segment, per megabyte as it came over the wire, and beside it what
the libraries alone take for the same bytes: figures of two machines can be compared by that.

The uploads are put together from events that a real SDK has recorded, with other numbers in them, and are compressed as
the browser does it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Final

import orjson
from backports import zstd
from isal import isal_zlib

from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions, seal
from proxy.settings import Archive
from proxy.spool.segment import SegmentHead, encode_head
from tests.processes.test_archive_captures import CAPTURES, captured
from tests.unit.archive.segments import NAME, OPENED, SALT, Outcome, Upload

RUNS: Final = 5
BYTES_OF_A_BODY: Final = (2_000, 6_000, 20_000, 60_000, 150_000)  # not compressed
UPLOADS_OF_A_SESSION: Final = 10
GZIP: Final = 16 + 15  # zlib's way to say so
_NUMBER: Final = re.compile(r"\d{2,}")


@dataclass(frozen=True)
class Load:
    """Uploads by session, as they came and decoded, and the segment that holds them."""

    segment: Path
    sessions: dict[int, list[tuple[bytes, bytes]]]
    wire: int
    raw: int


def load(megabytes: float, folder: Path) -> Load:
    """A segment with so many megabytes of bodies as they came over the wire."""
    chance = random.Random(1)
    events = [event for path in sorted(CAPTURES.glob("*.req")) for event in json.loads(captured(path).body)["events"]]
    texts = [event for event in events if isinstance(event, str)]
    sessions: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    wire = raw = sequence = 0
    with (segment := folder / f"{NAME}.sealed").open("wb") as file:
        file.write(encode_head(SegmentHead(SALT, OPENED)))
        while wire < megabytes * 1e6:
            sequence += 1
            session = sequence // UPLOADS_OF_A_SESSION
            body = _body(texts, chance)
            sent = gzip.compress(body, 6, mtime=0)
            sessions[session].append((sent, body))
            wire, raw = wire + len(sent), raw + len(body)
            query = f"device_id=device-{session}&session_id={session}&type=replay"
            for frame in (Upload(sent, sequence, "gzip", query, OPENED + sequence), Outcome(sequence)):
                file.write(frame.frame())
    return Load(segment, dict(sessions), wire, raw)


def _body(texts: list[str], chance: random.Random) -> bytes:
    """A batch of events in the SDK's form, with numbers that no other batch has."""
    events: list[str] = []
    left = chance.choice(BYTES_OF_A_BODY)
    while left > 0:
        event = _NUMBER.sub(lambda found: str(chance.randrange(10 ** len(found[0]))), chance.choice(texts))
        events.append(event)
        left -= len(event)
    return json.dumps({"version": 1, "events": events}, separators=(",", ":")).encode()


def measure(given: Load, scratch: Path, level: int, runs: int = RUNS) -> dict[str, float]:
    """Milliseconds of processor time per megabyte on the wire: the median of the runs, each thing by itself."""
    options = SealOptions(Codec.ZSTD, level, "decoded", Archive().inflate_max)
    uploads = [upload for group in given.sessions.values() for upload in group]
    blocks = [b"".join(body for _, body in group) for group in given.sessions.values()]
    parts: dict[str, Callable[[], object]] = {
        "sealing": lambda: seal(given.segment, NAME, options, scratch),
        "inflating": lambda: [isal_zlib.decompressobj(GZIP).decompress(sent, 1 << 24) for sent, _ in uploads],
        "hashing": lambda: [(sha256(sent).digest(), sha256(body).digest()) for sent, body in uploads],
        "parsing": lambda: [orjson.loads(body) for _, body in uploads],
        "compressing": lambda: [zstd.compress(block, level) for block in blocks],
    }
    return {name: median(_seconds(part) for _ in range(runs)) / given.wire * 1e9 for name, part in parts.items()}


def _seconds(part: Callable[[], object]) -> float:
    began = time.process_time()
    part()
    return time.process_time() - began


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--megabytes", type=float, default=64.0, help="of bodies as they came over the wire")
    parser.add_argument("--level", type=int, default=Archive().level, help="of zstd")


def run(options: argparse.Namespace) -> int:
    """Print it."""
    with tempfile.TemporaryDirectory(prefix="sealing-") as name:
        given = load(options.megabytes, Path(name))
        found = measure(given, Path(name), options.level)
        stored = os.stat(Path(name) / f"{NAME}.data").st_size
    uploads = sum(map(len, given.sessions.values()))
    print(f"{uploads} uploads of {len(given.sessions)} sessions: {given.wire / 1e6:.1f} MB on the wire,", end=" ")
    print(f"{given.raw / 1e6:.1f} MB decoded, {stored / 1e6:.1f} MB stored (zstd {options.level})")
    alone = sum(found.values()) - found["sealing"]
    print(
        "ms of processor time per MB on the wire:",
        *(f"  {name:12} {cost:6.1f}" for name, cost in found.items()),
        sep="\n",
    )
    print(f"  {'libraries':12} {alone:6.1f}, all but sealing: sealing takes {found['sealing'] / alone:.2f} times that")
    return 0
