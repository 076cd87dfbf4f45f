"""The first of two looks into a segment: where everything is, which session each payload belongs to, what is missing.

A payload takes some 50 bytes here and a session 150, whatever is in them: a segment is no place to trust. Must not know
what lines or objects look like.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import BinaryIO, Final, NamedTuple

from proxy.spool.segment import TRUNCATED, Damage, Frame, Kind, frames

_DIGEST: Final = 16  # bytes; so that the length of what clients call their sessions does not matter


class Spot(NamedTuple):
    """A frame that is whole: where its meta and, directly behind it, its body are in the file."""

    sequence: int
    time_ms: int
    is_cut: bool
    meta_at: int
    meta_length: int
    body_length: int


class Spots:
    """Many of them, in the order of the file, in little room."""

    def __init__(self) -> None:
        self._sequence = array("Q")
        self._time_ms = array("Q")
        self._is_cut = array("B")
        self._meta_at = array("Q")
        self._meta_length = array("I")
        self._body_length = array("I")

    def add(self, frame: Frame) -> None:
        """Remember where a frame is."""
        self._sequence.append(frame.sequence)
        self._time_ms.append(frame.time_ms)
        self._is_cut.append(frame.flags & TRUNCATED != 0)
        self._meta_at.append(frame.body_at - len(frame.meta))
        self._meta_length.append(len(frame.meta))
        self._body_length.append(frame.body_length)

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, number: int) -> Spot:
        return Spot(
            self._sequence[number],
            self._time_ms[number],
            bool(self._is_cut[number]),
            self._meta_at[number],
            self._meta_length[number],
            self._body_length[number],
        )

    def by_sequence(self) -> list[int]:
        """Their numbers in the order of sequence; of equal ones the first in the file comes first."""
        return sorted(range(len(self)), key=self._sequence.__getitem__)

    def body_bytes(self) -> int:
        """Of all of them."""
        return sum(self._body_length)

    @property
    def sequence_of(self) -> Callable[[int], int]:
        """The sequence by number, for sorting and searching."""
        return self._sequence.__getitem__


class Suppressed(NamedTuple):
    """Payloads, and bytes of their bodies, from when to when (Unix, ms)."""

    payloads: int
    bytes: int
    first_ms: int
    last_ms: int

    def with_one(self, frame: Frame) -> Suppressed:
        """One more."""
        first_ms = min(self.first_ms, frame.time_ms) if self.payloads else frame.time_ms
        last_ms = max(self.last_ms, frame.time_ms)
        return Suppressed(self.payloads + 1, self.bytes + frame.body_length, first_ms, last_ms)


class Survey:
    """What is in a segment. `torn_bytes` are what a crash has left of a frame at the end, `damaged_bytes` all others
    that are no whole frames, and `damaged_payloads` were in these; `last_ms` is the time of the newest frame, 0 where
    there is none. `suppressed` are payloads that nobody wants, and are in nothing else."""

    def __init__(
        self,
        file: BinaryIO,
        salt: bytes,
        session_of: Callable[[bytes], tuple[str, str]],
        is_unwanted: Callable[[str, str, int], bool] = lambda device_id, session_id, time_ms: False,
    ) -> None:
        """Look into the segment `file`, which is behind its head. `session_of` gives an upload's device and session by
        its meta; `is_unwanted` says by these and its time whether it is to be left out. Raises OSError."""
        self.payloads = Spots()
        self.gaps = Spots()
        self.damaged_bytes = 0
        self.damaged_payloads = 0
        self.torn_bytes = 0
        self.last_ms = 0
        self.suppressed = Suppressed(0, 0, 0, 0)
        self._outcomes = Spots()
        self._numbers: dict[bytes, int] = {}  # of sessions, in the order of their first payloads
        self._session = array("I")  # by payload
        self._session_of = session_of
        self._is_unwanted = is_unwanted
        self._look(file, salt)
        self._outcomes_by_sequence = self._outcomes.by_sequence()

    @property
    def sessions(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def by_session(self) -> Iterator[tuple[int, int]]:
        """Session and number of each payload: sessions as they appeared, their payloads in the order of sequence."""
        order = self.payloads.by_sequence()
        order.sort(key=self._session.__getitem__)
        return ((self._session[number], number) for number in order)

    def outcome_of(self, sequence: int) -> Spot | None:
        """The first outcome of that payload, which may be before it or long after it in the file."""
        order, key = self._outcomes_by_sequence, self._outcomes.sequence_of
        at = bisect_left(order, sequence, key=key)
        return self._outcomes[order[at]] if at < len(order) and key(order[at]) == sequence else None

    def _look(self, file: BinaryIO, salt: bytes) -> None:
        holes, highest = 0, -1  # damages since the last payload; the highest sequence so far
        for found in frames(file, salt):
            if isinstance(found, Damage):
                if found.torn:  # never complete, so nobody counted it
                    self.torn_bytes = found.length
                else:
                    self.damaged_bytes, holes = self.damaged_bytes + found.length, holes + 1
                continue
            self.last_ms = max(self.last_ms, found.time_ms)
            if found.kind is not Kind.PAYLOAD:
                (self._outcomes if found.kind is Kind.OUTCOME else self.gaps).add(found)
                continue
            if holes:
                # Between two payloads their sequences tell how many are missing; before the first nothing does.
                self.damaged_payloads += holes if highest < 0 else max(0, found.sequence - highest - 1)
            holes, highest = 0, max(highest, found.sequence)
            self._add(found)
        self.damaged_payloads += holes

    def _add(self, frame: Frame) -> None:
        device_id, session_id = self._session_of(frame.meta)
        if self._is_unwanted(device_id, session_id, frame.time_ms):
            self.suppressed = self.suppressed.with_one(frame)
            return
        self.payloads.add(frame)
        # The lengths keep two names apart from two others that read the same in a row.
        digest = blake2b(f"{len(device_id)}:{device_id}{session_id}".encode(), digest_size=_DIGEST).digest()
        self._session.append(self._numbers.setdefault(digest, len(self._numbers)))
