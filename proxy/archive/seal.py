"""Makes a segment of the spool into an object of the archive and its index, on the local disk.

A segment is looked through once for where things are (`archive.survey`), then each body is read, decoded and compressed
by itself: memory holds one body, as it came and decoded, whatever the segment's size. The bytes that come out follow
from the segment's bytes, the options and what is to be left out alone, so a repeat makes the same. What is intact in a
damaged segment is archived, and what is not is told. Must not know stores, or when a segment is sealed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from proxy.archive import index
from proxy.archive.codec import BlockWriter
from proxy.archive.index import GapRow, Row
from proxy.archive.line import Payload, gap_line, gap_of, payload_line, session_of
from proxy.archive.naming import Codec, data_key, index_key
from proxy.archive.survey import Spot, Survey
from proxy.model.drop import Drop
from proxy.spool.name import SegmentName
from proxy.spool.segment import SEGMENT_HEAD, SEGMENT_MAGIC, NotASegment, decode_head

_NEVER: Final = 1 << 64  # later than every time
_BUFFER: Final = 1024 * 1024  # bytes written at once


@dataclass(frozen=True, slots=True)
class SealOptions:
    """`level` is the codec's own. `body`: whether lines hold decoded bodies where that is possible, or always the wire
    bytes. `inflate_max`: bytes; a body that is larger when decoded is kept as it came."""

    codec: Codec
    level: int
    body: Literal["decoded", "wire"]
    inflate_max: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a segment became. `data` and `index` are files for the objects with the keys. `wire_bytes` are those of the
    payloads' bodies; `gaps` are payloads that were dropped before the spool, by reason.

    `damaged_bytes` were no whole frames; `damaged_payloads` is how many payloads were lost by that, as far as sequences
    tell. `torn_bytes` are what a crash has left at the end of a frame that was never complete: no damage. `unreadable`
    is why nothing at all could be read, and then there are no keys and no files; "" where something could. `suppressed`
    payloads were left out because they are not to be archived.
    """

    data_key: str
    index_key: str
    data: Path
    index: Path
    payloads: int
    wire_bytes: int
    gaps: dict[str, int]
    damaged_bytes: int
    damaged_payloads: int
    torn_bytes: int
    sessions: int
    unreadable: str
    suppressed: int = 0
    suppressed_bytes: int = 0


def seal(
    segment: Path,
    name: SegmentName,
    options: SealOptions,
    scratch: Path,
    is_unwanted: Callable[[str, str, int], bool] = lambda device_id, session_id, time_ms: False,
) -> Sealed:
    """Seal the file `segment` into two files in the folder `scratch`, in place of what an earlier try has left there.
    `is_unwanted` says by device, session and time (Unix, ms) what is to be left out. Raises OSError
    when a file can't be read or written; then it leaves none."""
    data, rows = scratch / data_file(name), scratch / f"{name}.index"
    with segment.open("rb") as file:
        begins = file.read(SEGMENT_HEAD)
        try:
            head = decode_head(begins)
        except NotASegment as error:
            return _unreadable(data, rows, begins, segment.stat().st_size, str(error))
        survey = Survey(file, head.salt, session_of, is_unwanted)
        keys = data_key(name, head.opened_ms, options.codec), index_key(name, head.opened_ms, options.codec)
        with ExitStack() as undo:
            for path in (data, rows):
                undo.callback(path.unlink, missing_ok=True)
            gaps = _Sealing(file, survey, keys[0], options).write(data, rows, head.opened_ms)
            undo.pop_all()
    payloads = survey.payloads
    damage = survey.damaged_bytes, survey.damaged_payloads, survey.torn_bytes
    left_out = survey.suppressed.payloads, survey.suppressed.bytes
    return Sealed(
        *keys, data, rows, len(payloads), payloads.body_bytes(), gaps, *damage, survey.sessions, "", *left_out
    )


def data_file(name: SegmentName) -> str:
    """The file that a segment becomes, in the scratch folder."""
    return f"{name}.data"


def _unreadable(data: Path, rows: Path, begins: bytes, size: int, why: str) -> Sealed:
    # What a crash has left of a head was never followed by anything.
    is_torn = size < SEGMENT_HEAD and SEGMENT_MAGIC.startswith(begins[: len(SEGMENT_MAGIC)])
    damaged, torn = (0, size) if is_torn else (size, 0)
    return Sealed("", "", data, rows, 0, 0, {}, damaged, 0, torn, 0, why)


class _Sealing:
    """The second look into one segment."""

    def __init__(self, file: BinaryIO, survey: Survey, key: str, options: SealOptions) -> None:
        self._number = file.fileno()
        self._survey = survey
        self._key = key
        self._options = options
        self._offset = 0  # where the next block begins in the data object

    def write(self, data: Path, index_file: Path, opened_ms: int) -> dict[str, int]:
        """Write both files. Returns the payloads dropped by reason."""
        codec, level = self._options.codec, self._options.level
        with _created(data) as into, _created(index_file) as rows_into:
            blocks, rows = BlockWriter(into, codec, level), BlockWriter(rows_into, codec, level)
            for _, group in groupby(self._survey.by_session(), key=itemgetter(0)):
                rows.write(index.encode(self._session(blocks, map(itemgetter(1), group))))
            dropped = self._gaps(blocks, rows, [*self._damage(opened_ms), *self._left_out()])
            rows.end()
            if codec is Codec.ZSTD:
                rows_into.seek(0)
                into.writelines(index.trailer(rows_into.read()))
        return dropped

    def _session(self, blocks: BlockWriter, numbers: Iterator[int]) -> Row:
        """Write a session's block."""
        ids, count, first_ms, last_ms = ("", ""), 0, _NEVER, 0
        for number in numbers:
            spot = self._survey.payloads[number]
            if not count:
                ids = session_of(self._read(spot.meta_at, spot.meta_length))
            count, first_ms, last_ms = count + 1, min(first_ms, spot.time_ms), max(last_ms, spot.time_ms)
            for piece in self._line(spot):
                blocks.write(piece)
        return Row(self._key, *self._end(blocks), *ids, count, first_ms, last_ms)

    def _gaps(self, blocks: BlockWriter, rows: BlockWriter, more: list[tuple[int, dict[str, Any]]]) -> dict[str, int]:
        """Write the block of the gaps, if there are any, and their rows. Returns the payloads dropped by reason."""
        dropped: Counter[str] = Counter()
        if not self._survey.gaps and not more:
            return {}
        for time_ms, gap in chain(self._told(), more):
            blocks.write(gap_line(time_ms, gap))
        extent = self._end(blocks)
        for _, gap in self._told():
            dropped[str(gap.get("reason"))] += _payloads(gap)
        for _, gap in chain(self._told(), more):
            rows.write(index.encode(GapRow(self._key, *extent, gap)))
        return dict(dropped)

    def _told(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Time and content of each gap that the worker wrote."""
        for number in range(len(self._survey.gaps)):
            spot = self._survey.gaps[number]
            yield spot.time_ms, gap_of(self._read(spot.meta_at, spot.meta_length))

    def _damage(self, opened_ms: int) -> list[tuple[int, dict[str, Any]]]:
        """The gap that damage to the segment has made: the archive knows its own holes."""
        lost, size, to_ms = self._survey.damaged_payloads, self._survey.damaged_bytes, self._survey.last_ms
        if not lost:
            return []
        return [(to_ms, {"reason": "damaged", "payloads": lost, "bytes": size, "from": opened_ms, "to": to_ms})]

    def _left_out(self) -> list[tuple[int, dict[str, Any]]]:
        """The gap that leaving out what is not wanted has made; it names nobody."""
        count, size, from_ms, to_ms = self._survey.suppressed
        if not count:
            return []
        reason = Drop.SUPPRESSED.value
        return [(to_ms, {"reason": reason, "payloads": count, "bytes": size, "from": from_ms, "to": to_ms})]

    def _line(self, spot: Spot) -> tuple[bytes, ...]:
        options, outcome = self._options, self._survey.outcome_of(spot.sequence)
        payload = Payload(
            spot.sequence,
            spot.time_ms,
            self._read(spot.meta_at, spot.meta_length),
            self._read(outcome.meta_at, outcome.meta_length) if outcome else b"",
            self._read(spot.meta_at + spot.meta_length, spot.body_length),
            spot.is_cut,
        )
        return payload_line(payload, splice=options.body == "decoded", inflate_max=options.inflate_max)

    def _end(self, blocks: BlockWriter) -> tuple[int, int]:
        """Finish a block. Returns its offset and length."""
        offset, length = self._offset, blocks.end()
        self._offset += length
        return offset, length

    def _read(self, at: int, length: int) -> bytes:
        data = os.pread(self._number, length, at)
        if len(data) < length:
            raise OSError(
                f"the segment has shrunk while it was sealed: {length} bytes at {at} are not there any longer"
            )
        return data


def _created(path: Path) -> BinaryIO:
    """An empty file that nobody else may read: it is as private as what was uploaded."""
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b", buffering=_BUFFER)


def _payloads(gap: dict[str, Any]) -> int:
    count = gap.get("payloads")
    return count if isinstance(count, int) else 0
