"""The kind of the archive's last error as a number, so that it can stand among the counters that processes share.

Names only. Must not know what any of them means.
"""

from __future__ import annotations

from typing import Final

from proxy.archive.s3_troubles import TROUBLES

DISK: Final = "DiskError"  # also of the spool's
_OTHER: Final = "Other"
# The number is the place in here; the first says that there was none.
_KINDS: Final = ("", *sorted({*TROUBLES, "NoSpace", "NotAFolder", DISK, _OTHER}))


def mark_of(code: str) -> int:
    """The number of a kind; one that is not known counts as "Other"."""
    return _KINDS.index(code if code in _KINDS else _OTHER)


def kind_of(mark: int) -> str:
    """The kind that has this number; empty for none."""
    return _KINDS[mark]
