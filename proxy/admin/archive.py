"""The part of the status about the archive: where each upload is, the spool on the disk, and how the store does.

Pure: a snapshot in, plain values out. Must not know folders or stores.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.admin.remedies import OF_DROP
from proxy.admin.snapshot import About, Snapshot, SpoolSeen
from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Gauge, Mark, Totals
from proxy.settings import Spool

Plain = dict[str, Any]
# Drops that mean that there is no room, whichever bound it was.
FULL: Final = (Drop.SPOOL_FULL, Drop.NO_SPACE, Drop.OLDEST)


def archive(about: About, seen: Snapshot) -> Plain | None:
    """The archive's account; None when nothing is archived."""
    settings = about.settings.archive
    if settings is None or seen.archivers is None:
        return None
    totals = seen.now.totals
    return {
        **_account(totals),
        # Counters move while they are read, and a gauge is up to a second old: only what stays uneven is an error.
        "adds_up": _is_even(totals) or _is_even(seen.earlier.totals),
        "dropped": _dropped(seen),
        "spool": _spool(settings.spool, seen),
        "store": {
            "kind": settings.store,
            "objects": seen.total(Counter.ARCHIVE_OBJECTS),
            "object_bytes": seen.total(Counter.ARCHIVE_OBJECT_BYTES),
            "failed_calls": seen.total(Counter.ARCHIVE_UPLOAD_FAILURES),
            "last_stored": totals.of(Mark.ARCHIVE_LAST_MS) / 1000 or None,
            "lag_seconds": totals.of(Gauge.SPOOL_OLDEST_SECONDS),
            "last_error": {"kind": seen.trouble, "at": seen.trouble_at} if seen.trouble else None,
        },
        "archiver": {"ready": seen.archivers.ready, "restarts": seen.archivers.restarts},
    }


def _account(totals: Totals) -> Plain:
    """Offered in this run and found from before it, against where they are now."""
    return {
        "offered": totals.of(Counter.SPOOL_OFFERED),
        "found": totals.of(Counter.ARCHIVE_FOUND),
        "archived": totals.of(Counter.ARCHIVED),
        "archived_bytes": totals.of(Counter.ARCHIVED_BYTES),
        "pending": totals.pending(),
        "queued": _queued(totals),
        "queue_bytes": totals.of(Gauge.SPOOL_QUEUE_BYTES),
        "damaged": totals.of(Counter.ARCHIVE_DAMAGED),
        "damaged_segments": totals.of(Counter.ARCHIVE_DAMAGED_SEGMENTS),
        "sync_failures": totals.of(Counter.SPOOL_SYNC_FAILURES),
    }


def _queued(totals: Totals) -> int:
    """Uploads that are in none of the other places: held in memory for the spool, or lost track of."""
    dropped = sum(payloads for payloads, _ in totals.drops().values())
    gone = totals.of(Counter.ARCHIVED) + totals.of(Counter.ARCHIVE_DAMAGED) + dropped
    return totals.of(Counter.SPOOL_OFFERED) + totals.of(Counter.ARCHIVE_FOUND) - gone - totals.pending()


def _is_even(totals: Totals) -> bool:
    queued = _queued(totals)
    return queued == 0 or (queued > 0 and totals.of(Gauge.SPOOL_QUEUE_BYTES) > 0)


def _dropped(seen: Snapshot) -> list[Plain]:
    recent = seen.recently(lambda totals: {reason: payloads for reason, (payloads, _) in totals.drops().items()})
    return [
        {"reason": reason.value, "count": payloads, "bytes": size, "recent": recent[reason], "fix": OF_DROP[reason]}
        for reason, (payloads, size) in seen.now.totals.drops().items()
        if payloads
    ]


def _spool(settings: Spool, seen: Snapshot) -> Plain:
    found = seen.spool or SpoolSeen(why_not="not looked at yet")
    recent = seen.recently(lambda totals: {reason: totals.drops()[reason][0] for reason in FULL})
    known = found.segments is not None
    lacks_room = known and (found.bytes >= settings.max_bytes or found.free_bytes <= settings.min_free_bytes)
    return {
        "bytes": found.bytes if known else None,
        "max_bytes": settings.max_bytes,
        "free_bytes": found.free_bytes if known else None,
        "min_free_bytes": settings.min_free_bytes,
        "segments": dict(found.segments) if found.segments is not None else None,
        "why_not": found.why_not,
        "full": lacks_room or any(recent.values()),
    }
