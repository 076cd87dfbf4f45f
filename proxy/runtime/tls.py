"""TLS towards clients: one context per listener, as strict as browsers of the last ten years allow.

The upstream side has its own (`proxy.upstream`). Must not know of connections.
"""

from __future__ import annotations

import ssl

from proxy.settings.schema import ListenerTls


class CertificateError(Exception):
    """A certificate or key can't be used. The text says which setting, which files, and what to do."""


def server_context(setting: str, tls: ListenerTls) -> ssl.SSLContext:
    """The context of a listener: TLS 1.2 or 1.3 as set, HTTP/1.1 only in ALPN, no compression (CRIME), no
    renegotiation (a cheap way to make a server work). Session tickets stay on, though each worker has a key of its
    own: the ssl module offers no way to share one. `setting` is the path that a CertificateError names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load(context, setting, tls)
    return context


def _load(context: ssl.SSLContext, setting: str, tls: ListenerTls) -> None:
    files = f"certificate {tls.certificate} and key {tls.key}"
    for path in (tls.certificate, tls.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise CertificateError(f"{setting}: can't read {path}: {error.strerror}") from None
    try:
        # An empty password instead of OpenSSL's prompt, which would wait for a person.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    except ssl.SSLError as error:
        why = error.reason or str(error)
        raise CertificateError(
            f"{setting}: {files} can't be used ({why}): both must be PEM, belong together, and have no passphrase"
        ) from None
