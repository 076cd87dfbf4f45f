"""What is in the certificates that the settings name: until when they are good, and for which names.

Must not know of listeners or reports: paths and times in, texts out.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DAY = 86400.0
# Codes of X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (OpenSSL, x509_vfy.h).
_OUT_OF_DATE = (9, 10)
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the module ssl has no name for


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """`not_after` is Unix time; `names` are the host names and addresses that the certificate is for."""

    not_after: float
    names: tuple[str, ...]


def facts(context: ssl.SSLContext, certificate: Path) -> CertificateFacts | None:
    """What a certificate says of itself, an expired one too; None when that can't be told. `context` must have loaded
    it."""
    try:
        peer = _shown_to_client(context, certificate, _NO_CHECK_TIME)
    except ssl.SSLError:
        return None
    if not peer:
        return None
    names = tuple(value for _, value in peer.get("subjectAltName", ()))
    return CertificateFacts(ssl.cert_time_to_seconds(str(peer["notAfter"])), names)


def days_left(context: ssl.SSLContext, certificate: Path, now: float) -> float | None:
    """Days until the certificate expires, at most 0 when its dates don't hold; None when that can't be told.

    `context` must have loaded it; `now` is seconds since 1970. The module `ssl` reads a certificate's dates for
    a peer only, so the two ends of a handshake in memory show it to each other.
    """
    try:
        peer = _shown_to_client(context, certificate)
    except ssl.SSLCertVerificationError as error:
        return 0.0 if error.verify_code in _OUT_OF_DATE else None
    except ssl.SSLError:
        return None
    return (ssl.cert_time_to_seconds(str(peer["notAfter"])) - now) / _DAY if peer else None


def names(context: ssl.SSLContext, certificate: Path) -> list[str]:
    """The host names and addresses that the certificate is good for, as it lists them; none if it can't be read."""
    found = facts(context, certificate)
    return list(found.names) if found else []


def is_good_for(host: str, listed: list[str]) -> bool:
    """Whether one of a certificate's names is the host, or a wildcard for its first label (RFC 9525, 6.3)."""
    host = host.lower().strip("[]")
    wildcard = "*." + host.partition(".")[2]
    return any(name.lower() in (host, wildcard) for name in listed)


def _shown_to_client(context: ssl.SSLContext, certificate: Path, flags: int = 0) -> dict[str, Any]:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(certificate)
    # The certificate itself is the anchor: whether anybody else trusts its issuer is not asked here.
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | flags
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    while not _finished(client):
        _finished(server)
    return dict(client.getpeercert() or {})


def _finished(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
