"""What is remembered of a request when it is over: exactly one Record, whatever happened.

Metrics, the access log and the ledger are all derived from it, so that they can't disagree.
Must not know where records go.
"""

from __future__ import annotations

from enum import Enum

from proxy.model.failure import FailureKind
from proxy.model.verdict import Reason, Route


class Outcome(Enum):
    """How a request ended; a closed list. Every request received has exactly one."""

    DELIVERED = "delivered"  # the upstream answered and its answer was relayed whole
    SKIPPED = "skipped"  # delivered, but the vendor said with 200 that it threw the data away
    REFUSED = "refused"  # the upstream itself answered with a 4xx or 5xx, relayed whole
    STALE = "stale"  # a last known good config was served instead of the upstream's answer
    PREFLIGHT = "preflight"  # answered here
    REJECTED = "rejected"  # refused here, `reason` says why
    FAILED = "failed"  # something broke, `failure` says what
    CLIENT_GONE = "client_gone"  # the client left before its request was complete


class Record:
    """One finished request.

    `status` is what the client was sent (0: nothing), `upstream_status` what the upstream answered
    (0: nothing). Times are seconds of the process's monotonic clock; `upstream_began` is when the
    request was handed to an upstream connection. Sizes are bytes of body on the wire.
    """

    __slots__ = (
        "began",
        "ended",
        "failure",
        "method",
        "outcome",
        "reason",
        "received_bytes",
        "region",
        "request_id",
        "retried",
        "reused",
        "route",
        "sent_bytes",
        "skipped_code",
        "status",
        "upstream_began",
        "upstream_status",
    )

    def __init__(self, began: float, request_id: bytes, method: bytes) -> None:
        self.began = began
        self.ended = 0.0
        self.request_id = request_id
        self.method = method
        self.route: Route | None = None
        self.region = ""
        self.outcome: Outcome | None = None
        self.reason: Reason | None = None
        self.failure: FailureKind | None = None
        self.status = 0
        self.upstream_status = 0
        self.upstream_began = 0.0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.retried = False
        self.reused = False
        self.skipped_code = 0
