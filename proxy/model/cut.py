"""Why the gateway ended a client's connection before its time: a closed list. Must not know how it is noticed."""

from __future__ import annotations

from enum import Enum


class Cut(Enum):
    """The value is the metric's label. The first four made room for somebody else: `limits.connections`,
    `limits.connections_per_ip`, `limits.tls_handshakes`."""

    IDLE = "idle"  # had no request in hand
    HEAD = "head"  # its head was still arriving
    HANDSHAKE = "handshake"  # its TLS handshake was not over
    BODY = "body"  # its upload came more slowly than limits.body_rate
    LINGERING = "lingering"  # had its last answer and did not leave: limits.lingering
    PIPELINED = "pipelined"  # had sent more requests ahead than limits.pipelined
    UNREAD = "unread"  # did not take its answer: timeouts.client_write
