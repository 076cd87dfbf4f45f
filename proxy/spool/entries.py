"""What a worker's loop hands to the spool's writer. Values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.spool.open_segment import OpenSegment


class Upload:
    """An upload on its way into a segment. `body` are its bytes in pieces as they came over the wire, `size` their
    sum, `held` what they and the rest count for in the queue. `meta` is JSON. `time_ms` is when it was complete, Unix
    time. `sequence` is 0 until it is handed over.

    The writer's thread sets `segment`, where it was written, until its outcome follows it there. The loop's side sets
    `is_dropped`, and `is_safe` when nobody has to wait for it any longer; who does is `waiter`."""

    __slots__ = ("body", "held", "is_dropped", "is_safe", "meta", "segment", "sequence", "size", "time_ms", "waiter")

    def __init__(self) -> None:
        self.sequence = 0
        self.time_ms = 0
        self.meta = b""
        self.body: list[bytes] = []
        self.size = 0
        self.held = 0
        self.segment: OpenSegment | None = None
        self.is_dropped = False
        self.is_safe = False
        self.waiter: Callable[[], None] | None = None


class Outcome:
    """What became of an upload: JSON, to be written behind it."""

    __slots__ = ("meta", "time_ms", "upload")

    def __init__(self, upload: Upload, time_ms: int, meta: bytes) -> None:
        self.upload = upload
        self.time_ms = time_ms
        self.meta = meta
