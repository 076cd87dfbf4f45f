"""What the spool is told: where it lies, how much it may hold, when a segment is full. Values only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.settings.schema import Archive

Sync = Literal["interval", "durable", "none"]


@dataclass(frozen=True, slots=True)
class SpoolRules:
    """`node` is the part of a segment's name that says which machine. `max_bytes` is for all files in the folder,
    `min_free_bytes` for the file system, `queue_bytes` for the bodies that one worker holds in memory. With `sync`
    "interval" what was written is on the disk `sync_interval` seconds later, with "durable" before the upload is
    answered, with "none" when the system thinks fit. `answer_wait` is how long an answer waits for that at most. A
    segment is sealed at `rotate_bytes`, after `rotate_seconds`, and at the end of the hour (UTC)."""

    folder: Path
    node: str
    max_bytes: int
    min_free_bytes: int
    queue_bytes: int
    sync: Sync
    sync_interval: float
    drop_oldest: bool
    rotate_bytes: int
    rotate_seconds: float
    answer_wait: float

    @classmethod
    def of(cls, archive: Archive, host: str) -> SpoolRules:
        """The rules that the settings give a machine with this host name."""
        spool, rotate = archive.spool, archive.rotate
        return cls(
            folder=spool.directory,
            node=node_of(archive, host),
            max_bytes=spool.max_bytes,
            min_free_bytes=spool.min_free_bytes,
            queue_bytes=spool.queue_bytes,
            sync=spool.sync,
            sync_interval=spool.sync_interval,
            drop_oldest=spool.on_full == "drop-oldest",
            rotate_bytes=rotate.bytes,
            rotate_seconds=rotate.seconds,
            answer_wait=spool.answer_wait,
        )


def node_of(archive: Archive, host: str) -> str:
    """What the machine is called in names of segments and objects: as set, else its host name as far as names allow."""
    return archive.node or re.sub("[^A-Za-z0-9_.-]", "-", host)[:64] or "node"
