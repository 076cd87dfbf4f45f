"""The limits and times that every request asks for, as plain attributes: those of the settings are looked up through
the validation library, which costs ten times as much. Must not know what is done when one is reached.
"""

from __future__ import annotations

from proxy.settings.schema import Limits, Timeouts


class LimitsInUse:
    """`limits` of the settings: sizes in bytes, the rate in bytes per second."""

    __slots__ = (
        "answer_head",
        "body",
        "body_rate",
        "chunk_average",
        "config_answer",
        "connections",
        "connections_per_ip",
        "exchange_bytes",
        "head",
        "inflight_bytes",
        "interim_answers",
        "lingering",
        "pipelined",
        "requests_per_connection",
        "retry_body",
        "tls_handshakes",
        "upstream_connecting",
        "upstream_connections",
        "upstream_idle",
    )

    def __init__(self, limits: Limits) -> None:
        self.answer_head: int = limits.answer_head
        self.body: int = limits.body
        self.body_rate: float = float(limits.body_rate)
        self.chunk_average: int = limits.chunk_average
        self.config_answer: int = limits.config_answer
        self.connections: int = limits.connections
        self.connections_per_ip: int = limits.connections_per_ip
        self.exchange_bytes: int = limits.exchange_bytes
        self.head: int = limits.head
        self.inflight_bytes: int = limits.inflight_bytes
        self.interim_answers: int = limits.interim_answers
        self.lingering: int = limits.lingering
        self.pipelined: int = limits.pipelined
        self.requests_per_connection: int = limits.requests_per_connection
        self.retry_body: int = limits.retry_body
        self.tls_handshakes: int = limits.tls_handshakes
        self.upstream_connecting: int = limits.upstream_connecting
        self.upstream_connections: int = limits.upstream_connections
        self.upstream_idle: int = limits.upstream_idle


class TimeoutsInUse:
    """`timeouts` of the settings, in seconds."""

    __slots__ = (
        "client_body_grace",
        "client_body_idle",
        "client_head",
        "client_write",
        "config_total",
        "connect",
        "first_byte",
        "keep_alive",
        "linger",
        "tls_handshake",
        "track_total",
        "upstream_idle",
        "upstream_stall",
    )

    def __init__(self, timeouts: Timeouts) -> None:
        self.client_body_grace: float = timeouts.client_body_grace
        self.client_body_idle: float = timeouts.client_body_idle
        self.client_head: float = timeouts.client_head
        self.client_write: float = timeouts.client_write
        self.config_total: float = timeouts.config_total
        self.connect: float = timeouts.connect
        self.first_byte: float = timeouts.first_byte
        self.keep_alive: float = timeouts.keep_alive
        self.linger: float = timeouts.linger
        self.tls_handshake: float = timeouts.tls_handshake
        self.track_total: float = timeouts.track_total
        self.upstream_idle: float = timeouts.upstream_idle
        self.upstream_stall: float = timeouts.upstream_stall
