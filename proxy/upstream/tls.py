"""TLS towards upstreams: always verified, never below 1.2, the configured name and no other.

Must not know which upstreams exist.
"""

from __future__ import annotations

import ssl


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that checks chain, dates and name (RFC 9525). `ca_file` replaces the system's trust
    anchors. Raises OSError or ssl.SSLError when it can't be read."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
