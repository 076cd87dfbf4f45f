"""The access line of a finished request: a record in, one line out.

A line never holds a target, a query, a header or a key: a page's address and an API key are nobody's business here.
Must not know where lines go.
"""

from __future__ import annotations

import orjson

from proxy.model.failure import FAILURES
from proxy.model.record import Outcome, Record
from proxy.observe.text import printable

# Below 500, the refusals that say something about the gateway's limits and not just about the request.
LOGGED_REJECTIONS = frozenset((408, 413, 429))
_DELIVERED = Outcome.DELIVERED


def is_error(record: Record) -> bool:
    """Whether a request went wrong in a way that someone who runs the gateway may want to see."""
    outcome = record.outcome
    if outcome is _DELIVERED:  # nearly always
        return False
    if outcome is Outcome.REJECTED:
        return record.status >= 500 or record.status in LOGGED_REJECTIONS
    return outcome is Outcome.FAILED or outcome is Outcome.CLIENT_GONE


def json_line(record: Record, now: str) -> bytes:
    """The access line of a record."""
    began = record.upstream_began
    return orjson.dumps(
        {
            "time": now,
            "level": _level(record),
            "event": "request",
            "request_id": record.request_id.decode("latin-1"),
            "method": record.method.decode("latin-1"),
            # `_value_` is the plain attribute behind `value`, which is Python code.
            "route": record.route and record.route._value_,
            "region": record.region,
            "outcome": record.outcome and record.outcome._value_,
            "reason": record.reason and record.reason._value_,
            "failure": record.failure and record.failure._value_,
            "status": record.status,
            "upstream_status": record.upstream_status,
            "milliseconds": round((record.ended - record.began) * 1000, 1),
            "upstream_milliseconds": round((record.ended - began) * 1000, 1) if began else None,
            "received": record.received_bytes,
            "sent": record.sent_bytes,
            "retried": record.retried,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def text_line(record: Record, now: str) -> bytes:
    """The same for a terminal, shorter."""
    cause = record.reason or record.failure
    parts = (
        now[11:19],
        f"{_level(record):7}",
        record.method.decode("latin-1") or "-",
        record.route.value if record.route else "-",
        str(record.status),
        record.outcome.value if record.outcome else "-",
        cause.value if cause else "",
        f"{(record.ended - record.began) * 1000:.1f} ms",
        f"in {record.received_bytes}",
        f"out {record.sent_bytes}",
        record.request_id.decode("latin-1"),
    )
    return printable(" ".join(filter(None, parts))).encode() + b"\n"


def _level(record: Record) -> str:
    if record.failure is not None:
        return FAILURES[record.failure].log_level
    return "warning" if record.outcome is Outcome.REJECTED and record.status >= 500 else "info"
