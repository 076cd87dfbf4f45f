"""A certificate authority of the stand-in's own, and the certificates that its TLS sites show.

Made once per directory with trustme, used again by whoever names the same directory. Must not know
which site uses which certificate.
"""

from __future__ import annotations

import fcntl
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

NAMES = (
    "api-sr.amplitude.com",
    "api-sr.eu.amplitude.com",
    "sr-client-cfg.amplitude.com",
    "sr-client-cfg.eu.amplitude.com",
    "localhost",
    "127.0.0.1",
)
WRONG_NAME = "somewhere-else.invalid"
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)
CA = "ca.pem"
CERTIFICATES = ("server", "wrong-name", "expired")


class CertificateError(Exception):
    """There is no such certificate, or none can be made; the text says what to do."""


def prepare(directory: Path) -> Path:
    """Makes whatever is missing in `directory`; returns the path of the CA's certificate. Several
    processes may do so at once. Raises CertificateError without trustme."""
    directory.mkdir(parents=True, exist_ok=True)
    ca = directory / CA
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ca.exists():
            make(directory)
    return ca


def make(directory: Path) -> None:
    """Writes the CA's certificate, last, and a `.pem` (chain) and `.key` for each certificate."""
    try:
        import trustme
    except ImportError as error:
        raise CertificateError("TLS sites need trustme: pip install 'replay-gateway[demo]'") from error
    authority = trustme.CA()
    leaves = (
        authority.issue_cert(*NAMES),
        authority.issue_cert(WRONG_NAME),
        authority.issue_cert(*NAMES, not_after=EXPIRED),
    )
    for name, leaf in zip(CERTIFICATES, leaves, strict=True):
        leaf.private_key_pem.write_to_path(os.fspath(directory / f"{name}.key"))
        (directory / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    authority.cert_pem.write_to_path(os.fspath(directory / CA))


def server_context(directory: Path, name: str) -> ssl.SSLContext:
    """The server side of TLS 1.2 and 1.3 with `name`.pem and `name`.key of `directory`."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    if not certificate.exists() or not key.exists():
        raise CertificateError(f"no {certificate} with a .key beside it; there are {', '.join(CERTIFICATES)}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context
