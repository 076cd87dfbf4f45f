"""What the stand-in remembers: one record per request, exact counts per site, the last bodies.

Records are bounded, the oldest go first; counts are exact whatever is forgotten. Must not know how
requests are read or how records are told. Times are seconds of the machine's monotonic clock, so
that another process on the same machine can compare them with its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from proxy.standin.body import Digest
from proxy.standin.head import Head

VIOLATIONS = 50  # listed per request; all are counted
RECORDS = 200_000  # about 1.5 KB each: 300 MB at worst, a long benchmark's worth
DIGESTS = 4_000_000  # about 75 bytes each, so as much: what a busy quarter of an hour brings


class Counts:
    """Exact numbers of one site since the start or the last `DELETE /requests`."""

    __slots__ = ("by_status", "complete", "connections", "ended", "open", "requests", "tls_failures", "violations")

    def __init__(self, open_now: int = 0) -> None:
        self.requests = 0  # heads, and beginnings of heads that got no further
        self.complete = 0  # requests that arrived whole
        self.ended = 0  # complete, or given up by either side
        self.connections = 0
        self.open = open_now
        self.tls_failures = 0
        self.violations = 0
        self.by_status: dict[int, int] = {}

    def as_json(self) -> dict[str, Any]:
        """For `GET /counts`."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "by_status"} | {
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())}
        }


class Peer:
    """The connection that a request came on. `sni` and `tls_version` are None without TLS."""

    __slots__ = ("number", "site", "sni", "tls_version")

    def __init__(self, site: str, number: int) -> None:
        self.site = site
        self.number = number
        self.sni: str | None = None
        self.tls_version: str | None = None


class Record:
    """One request; it is in the log from its head on, `ended` is None while its body arrives."""

    __slots__ = (
        "began",
        "complete",
        "counts",
        "decoded_ok",
        "ended",
        "head",
        "length",
        "nth",
        "peer",
        "seq",
        "sha256",
        "status",
        "violations",
    )

    def __init__(self, seq: int, peer: Peer, nth: int, head: Head, counts: Counts, began: float) -> None:
        self.seq = seq
        self.peer = peer
        self.nth = nth
        self.head = head
        self.counts = counts
        self.violations = head.violations
        self.began = began
        self.ended: float | None = None
        self.complete = False
        self.length = 0
        self.sha256 = b""
        self.decoded_ok: bool | None = None
        self.status: int | None = None

    def note(self, violation: str) -> None:
        """Adds something that a correct proxy would never do."""
        self.counts.violations += 1
        if len(self.violations) < VIOLATIONS:
            self.violations.append(violation)

    def answered(self, status: int) -> None:
        """Notes the status of the answer that is being sent; 0 for bytes that are no answer."""
        self.status = status
        by_status = self.counts.by_status
        by_status[status] = by_status.get(status, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """For `GET /requests`."""
        head = self.head
        return {
            "seq": self.seq,
            "site": self.peer.site,
            "connection": self.peer.number,
            "nth_on_connection": self.nth,
            "tls_sni": self.peer.sni,
            "tls_version": self.peer.tls_version,
            "method": head.method.decode("latin-1"),
            "target": head.target.decode("latin-1"),
            "version": head.version.decode("latin-1"),
            "headers": head.fields(),
            "body_length": self.length,
            "body_sha256": self.sha256.hex(),
            "complete": self.complete,
            "framing": head.framing,
            "decoded_ok": self.decoded_ok,
            "violations": self.violations,
            "status": self.status,
            "began": self.began,
            "ended": self.ended,
        }


class Log:
    """All records, counts and kept bodies. `keep_bodies` is how many bodies stay."""

    __slots__ = ("_bodies", "_digests", "_records", "_seq", "counts", "keep_bodies")

    def __init__(self, sites: tuple[str, ...], limit: int = RECORDS) -> None:
        self._records: deque[Record] = deque(maxlen=limit)
        self._digests: deque[bytes] = deque(maxlen=DIGESTS)
        self._bodies: dict[int, bytes] = {}
        self._seq = 0
        self.keep_bodies = 0
        self.counts = {site: Counts() for site in sites}

    def begin(self, peer: Peer, nth: int, head: Head, now: float) -> Record:
        """A head has come, or as much of it as ever will."""
        self._seq += 1
        counts = self.counts[peer.site]
        counts.requests += 1
        counts.violations += len(head.violations)
        record = Record(self._seq, peer, nth, head, counts, now)
        self._records.append(record)
        return record

    def end(self, record: Record, digest: Digest, complete: bool, now: float) -> None:
        """A request is over: whole, or as much of it as ever will come."""
        record.length = digest.length
        record.sha256 = digest.sha256()
        record.decoded_ok = digest.decoded_ok() if complete else None
        record.complete = complete
        record.ended = now
        record.counts.ended += 1
        record.counts.complete += complete
        if complete and record.counts is self.counts[record.peer.site]:  # not of before `clear`
            self._digests.append(record.sha256)
        if digest.kept is not None:
            self._keep(record.seq, b"".join(digest.kept))

    def _keep(self, seq: int, body: bytes) -> None:
        self._bodies[seq] = body
        while len(self._bodies) > self.keep_bodies:
            del self._bodies[next(iter(self._bodies))]

    def set_keep_bodies(self, number: int) -> None:
        """Keeps the last `number` bodies from now on; 0 forgets all."""
        self.keep_bodies = number
        while len(self._bodies) > number:
            del self._bodies[next(iter(self._bodies))]

    def body(self, seq: int) -> bytes | None:
        """The body of that request, if it was kept and is still there."""
        return self._bodies.get(seq)

    def since(self, seq: int, site: str | None) -> Iterator[Record]:
        """Records younger than `seq`, oldest first, as they are now."""
        for record in tuple(self._records):
            if record.seq > seq and (site is None or record.peer.site == site):
                yield record

    def digests(self) -> list[str]:
        """SHA-256 of the bodies of the last complete requests, in the order in which they were complete. They are
        remembered for longer than their records."""
        return [digest.hex() for digest in self._digests]

    def clear(self) -> None:
        """Forgets records and bodies and begins the counts anew; `seq` and open connections go on."""
        self._records.clear()
        self._digests.clear()
        self._bodies.clear()
        self.counts = {site: Counts(counts.open) for site, counts in self.counts.items()}
