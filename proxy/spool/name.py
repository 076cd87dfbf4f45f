"""The name of a segment, from which the names of its objects follow.

Must not know folders, or the states that files go through.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# fullmatch only: with `$` a name could end in a line feed.
_NAME: Final = re.compile(r"([A-Za-z0-9_.-]{1,64})-([0-7][0-9a-f]{15})-([0-9]{8})")


class SegmentName(NamedTuple):
    """`node` is 1 to 64 of A-Z a-z 0-9 _ . -; `boot` 16 hex digits, less than 2**63, random for each start of a worker;
    `number` counts a boot's segments, 0 to 99999999."""

    node: str
    boot: str
    number: int

    def __str__(self) -> str:
        return f"{self.node}-{self.boot}-{self.number:08d}"

    @classmethod
    def parse(cls, text: str) -> SegmentName | None:
        """The name that `str` made this text of; None: it is none."""
        found = _NAME.fullmatch(text)
        return cls(found[1], found[2], int(found[3])) if found else None
