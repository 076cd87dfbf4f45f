"""What lies in the spool, by a look at its folder from outside: nothing is locked, claimed or changed.

Must not know settings, or how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from proxy.spool.folder import Found, State, found_in
from proxy.spool.segment import SEGMENT_HEAD, Frame, Kind, NotASegment, decode_head, frames

STATES: Final = (State.OPEN, State.SEALED, State.DAMAGED)


class Lying(NamedTuple):
    """The segments in one state: how many, their bytes, the age of the oldest in seconds. `payloads` are those in
    them that can be read; None: they were not counted."""

    segments: int
    bytes: int
    oldest_seconds: float
    payloads: int | None


def look(folder: Path, now: float, is_counted: bool) -> dict[State, Lying]:
    """The segments by state; `now` is Unix time. With `is_counted` every file is read. Raises OSError."""
    try:
        found = list(found_in(folder))
    except FileNotFoundError:
        found = []  # the gateway makes it
    return {state: _lying((each for each in found if each.state is state), now, is_counted) for state in STATES}


def _lying(found: Iterable[Found], now: float, is_counted: bool) -> Lying:
    segments = size = payloads = 0
    oldest = now
    for each in found:
        try:
            status = each.path.stat()
            payloads += _payloads(each.path) if is_counted else 0
        except FileNotFoundError:
            continue  # uploaded, or in its next state, since the folder was read
        segments += 1
        size += status.st_size
        # When it was last written to, by which it also waits for its turn.
        oldest = min(oldest, status.st_mtime)
    return Lying(segments, size, now - oldest, payloads if is_counted else None)


def _payloads(path: Path) -> int:
    with path.open("rb") as file:
        try:
            head = decode_head(file.read(SEGMENT_HEAD))
        except NotASegment:
            return 0
        return sum(isinstance(each, Frame) and each.kind is Kind.PAYLOAD for each in frames(file, head.salt))
