"""What can be wrong with an archive, in a closed list. Must not know how it is found out."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Fault(Enum):
    """Kinds of damage."""

    MISSING_INDEX = "missing index"  # a data object that no search finds
    MISSING_DATA = "missing data"  # an index of nothing
    BAD_INDEX = "bad index"  # it can't be read, or says what is not so
    WRONG_SIZE = "wrong size"  # the data object is shorter or longer than its index says
    BAD_BLOCK = "bad block"  # it can't be decompressed, or does not consist of lines
    HASH_MISMATCH = "hash mismatch"  # a payload is not what was sealed


class Problem(NamedTuple):
    """Something that is not as it was sealed: which object, and in words what."""

    fault: Fault
    key: str
    detail: str
