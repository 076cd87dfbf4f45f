"""Why an upload is not in the archive: a closed list. Each drop is counted under one of these, and is a gap in the
archive that names it."""

from __future__ import annotations

from enum import Enum


class Drop(Enum):
    """The value is the metric's label and the gap's reason."""

    QUEUE_FULL = "queue-full"  # the writer is slower than the traffic: archive.spool.queue_bytes
    SPOOL_FULL = "spool-full"  # archive.spool.max_bytes, and the newest is dropped
    OLDEST = "oldest"  # archive.spool.max_bytes, and the oldest segment was removed for newer ones
    NO_SPACE = "no-space"  # the disk has less than archive.spool.min_free_bytes left, or is full
    DISK_ERROR = "disk-error"  # the disk refused it
    SUPPRESSED = "suppressed"  # of whom is erased: `archive erase`; from the spool, when it is archived
    CRASH = "crash"  # the worker died with it in memory
