"""The keys of objects. They follow from the segment alone, so that a repeat overwrites what it repeats.

    v1/data/dt=2026-11-21/hr=05/<segment name>.ndjson.zst    the lines of all sessions
    v1/index/dt=2026-11-21/hr=05/<segment name>.ndjson.zst   where in it which session is

The hour is the one, in UTC, in which the segment was opened. Pure. Must not know stores or what is in an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from proxy.spool.name import SegmentName

DATA: Final = "v1/data/"
INDEX: Final = "v1/index/"
HOUR_MS: Final = 3_600_000
_EPOCH: Final = datetime(1970, 1, 1)
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999


class Codec(Enum):
    """How objects are compressed; a closed list, also the setting's values."""

    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


# The longest first: each other one is the end of none, but the beginning of all.
SUFFIXES: Final = {Codec.ZSTD: ".ndjson.zst", Codec.GZIP: ".ndjson.gz", Codec.NONE: ".ndjson"}


def data_key(name: SegmentName, opened_ms: int, codec: Codec) -> str:
    """The key of a segment's data object. `opened_ms` is Unix time in ms."""
    return f"{DATA}{hour_of(opened_ms)}/{name}{SUFFIXES[codec]}"


def index_key(name: SegmentName, opened_ms: int, codec: Codec) -> str:
    """The key of a segment's index object."""
    return index_key_of(data_key(name, opened_ms, codec))


def index_key_of(data_key: str) -> str:
    """The index object's key that belongs to a data object's. Raises ValueError when that is none."""
    if not data_key.startswith(DATA):
        raise ValueError(f"{data_key!r} is no key of a data object, which begins with {DATA}")
    return INDEX + data_key.removeprefix(DATA)


def codec_of(key: str) -> Codec | None:
    """How the object of that key is compressed; None: it is no object of the archive."""
    return next((codec for codec, suffix in SUFFIXES.items() if key.endswith(suffix)), None)


def hour_of(at_ms: int) -> str:
    """The partition of a moment: "dt=2026-11-21/hr=05". Those of later hours sort behind it."""
    moment = _EPOCH + timedelta(milliseconds=_within_years(at_ms))
    return f"dt={moment:%Y-%m-%d}/hr={moment:%H}"


def hours(from_ms: int, to_ms: int) -> Iterator[str]:
    """The partitions of all hours from `from_ms` until before `to_ms`, in order."""
    first, end = _within_years(from_ms), min(to_ms, _LAST_MS + 1)
    if from_ms < to_ms:
        yield from map(hour_of, range(first - first % HOUR_MS, end, HOUR_MS))


def _within_years(at_ms: int) -> int:
    """The nearest moment that has a name: a clock that was set wrongly must not make a segment unarchivable."""
    return min(max(at_ms, 0), _LAST_MS)
