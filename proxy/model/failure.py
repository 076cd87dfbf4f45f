"""What can break while a request is carried, whose fault it is, and what follows from it.

One table and no catch-all: status, log level, metric label and the question whether to try
again are all read from here. Must not know how failures are detected or reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Source(Enum):
    """Whose fault it is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    SELF = "self"


class Retry(Enum):
    """When the same request may be sent once more without a risk of doing it twice."""

    NEVER = "never"
    SAFE = "safe"  # nothing was sent
    IF_REUSED = "if_reused"  # a reused connection died before any answer byte (RFC 9110, 9.2.2)


class FailureKind(Enum):
    """Everything that can break; a closed list, also the metric's label values."""

    RESOLVE = "resolve"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_ERROR = "connect_error"
    NO_RESOURCES = "no_resources"
    TLS = "tls"
    POOL_FULL = "pool_full"
    BREAKER_OPEN = "breaker_open"
    UPSTREAM_CLOSED = "upstream_closed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_STALLED = "upstream_stalled"
    BAD_ANSWER = "bad_answer"
    ANSWER_TOO_LARGE = "answer_too_large"
    TRUNCATED_ANSWER = "truncated_answer"
    CLIENT_GONE = "client_gone"
    CLIENT_STALLED = "client_stalled"
    DRAIN_TIMEOUT = "drain_timeout"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Failure:
    """The consequences of a kind. `status` is what the client gets while nothing of an answer has
    been sent to it; once a head is out, every failure aborts the connection. `retry_after` is in
    seconds; the SDK ignores it but proxies and other clients don't."""

    source: Source
    retry: Retry
    status: int
    message: str
    retry_after: int = 1
    log_level: str = "warning"


FAILURES: dict[FailureKind, Failure] = {
    FailureKind.RESOLVE: Failure(Source.UPSTREAM, Retry.SAFE, 502, "the upstream's name could not be resolved"),
    FailureKind.CONNECT_REFUSED: Failure(Source.UPSTREAM, Retry.SAFE, 502, "the upstream refused the connection"),
    FailureKind.CONNECT_TIMEOUT: Failure(Source.UPSTREAM, Retry.NEVER, 504, "the upstream took too long to connect"),
    FailureKind.CONNECT_ERROR: Failure(Source.UPSTREAM, Retry.SAFE, 502, "the upstream could not be reached"),
    FailureKind.NO_RESOURCES: Failure(
        Source.SELF, Retry.NEVER, 503, "the gateway may open no further connection", 1, "error"
    ),
    FailureKind.TLS: Failure(Source.UPSTREAM, Retry.NEVER, 502, "TLS with the upstream failed", 1, "error"),
    FailureKind.POOL_FULL: Failure(Source.SELF, Retry.NEVER, 503, "all upstream connections are in use"),
    FailureKind.BREAKER_OPEN: Failure(Source.UPSTREAM, Retry.NEVER, 503, "the upstream is failing; try again shortly"),
    FailureKind.UPSTREAM_CLOSED: Failure(Source.UPSTREAM, Retry.IF_REUSED, 502, "the upstream hung up unanswered"),
    FailureKind.UPSTREAM_TIMEOUT: Failure(Source.UPSTREAM, Retry.NEVER, 504, "the upstream did not answer in time"),
    FailureKind.UPSTREAM_STALLED: Failure(Source.UPSTREAM, Retry.NEVER, 504, "the upstream stopped halfway"),
    FailureKind.BAD_ANSWER: Failure(Source.UPSTREAM, Retry.NEVER, 502, "the upstream's answer is no HTTP", 1, "error"),
    FailureKind.ANSWER_TOO_LARGE: Failure(
        Source.UPSTREAM, Retry.NEVER, 502, "the upstream's answer is too large", 1, "error"
    ),
    FailureKind.TRUNCATED_ANSWER: Failure(Source.UPSTREAM, Retry.NEVER, 502, "the upstream's answer was cut off"),
    FailureKind.CLIENT_GONE: Failure(Source.CLIENT, Retry.NEVER, 499, "the client went away", 0, "info"),
    FailureKind.CLIENT_STALLED: Failure(Source.CLIENT, Retry.NEVER, 408, "the client stopped reading", 0, "info"),
    FailureKind.DRAIN_TIMEOUT: Failure(Source.SELF, Retry.NEVER, 503, "the gateway is shutting down"),
    FailureKind.INTERNAL: Failure(Source.SELF, Retry.NEVER, 503, "the gateway made an error of its own", 1, "error"),
}
