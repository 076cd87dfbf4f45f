"""Proves what clients may negotiate with a listener, and that unusable certificates are told in plain words.
Handshakes are done in memory."""

from __future__ import annotations

import ssl
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.runtime.tls import CertificateError, server_context
from proxy.settings.schema import ListenerTls


@dataclass(frozen=True)
class Files:
    """A certificate for localhost, and who issued it."""

    authority: trustme.CA
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    return Files(authority, folder / "chain.pem", folder / "key.pem")


def settings(files: Files, **more: Any) -> ListenerTls:
    return ListenerTls(certificate=files.certificate, key=files.key, **more)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake over two buffers; raises what either raises."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(down, up, server_hostname="localhost"),
        server.wrap_bio(up, down, server_side=True),
    )
    unfinished = set(ends)
    while unfinished:
        for end in ends:
            try:
                end.do_handshake()
                unfinished.discard(end)
            except ssl.SSLWantReadError:
                pass
    return ends


def client(files: Files, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    files.authority.configure_trust(context)
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def test_a_browser_gets_tls_1_3(files: Files) -> None:
    ours, _ = handshake(server_context("listen[0].tls", settings(files)), client(files))
    assert ours.version() == "TLSv1.3"


def test_tls_1_2_is_served_unless_forbidden(files: Files) -> None:
    context = server_context("listen[0].tls", settings(files))
    ours, _ = handshake(context, client(files, ssl.TLSVersion.TLSv1_2))
    assert ours.version() == "TLSv1.2"
    assert ours.compression() is None


def test_min_version_1_3_refuses_tls_1_2(files: Files) -> None:
    context = server_context("listen[0].tls", settings(files, min_version="1.3"))
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
        handshake(context, client(files, ssl.TLSVersion.TLSv1_2))


def test_versions_before_1_2_are_never_offered(files: Files) -> None:
    context = server_context("listen[0].tls", settings(files))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_http_1_1_is_chosen_from_what_a_browser_offers(files: Files) -> None:
    context = server_context("listen[0].tls", settings(files))
    ours, _ = handshake(context, client(files, ssl.TLSVersion.TLSv1_3, "h2", "http/1.1"))
    assert ours.selected_alpn_protocol() == "http/1.1"


def test_h2_is_never_agreed_to(files: Files) -> None:
    context = server_context("listen[0].tls", settings(files))
    ours, _ = handshake(context, client(files, ssl.TLSVersion.TLSv1_3, "h2"))
    assert ours.selected_alpn_protocol() is None


def test_renegotiation_and_compression_are_off_and_tickets_on(files: Files) -> None:
    options = server_context("listen[0].tls", settings(files)).options
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION
    assert not options & ssl.OP_NO_TICKET


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_a_missing_file_is_named(files: Files, tmp_path: Path, missing: str) -> None:
    given = {"certificate": files.certificate, "key": files.key, missing: tmp_path / "nowhere.pem"}
    with pytest.raises(CertificateError, match=r"listen\[2\]\.tls: can't read .*nowhere\.pem: No such file"):
        server_context("listen[2].tls", ListenerTls.model_validate(given))


def test_a_folder_is_no_certificate(files: Files, tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="Is a directory"):
        server_context("listen[0].tls", ListenerTls(certificate=tmp_path, key=files.key))


def test_something_that_is_not_pem_is_refused_with_what_is_expected(files: Files, tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("hello")
    with pytest.raises(CertificateError, match="both must be PEM"):
        server_context("listen[0].tls", ListenerTls(certificate=tmp_path / "not.pem", key=files.key))


def test_a_key_of_another_certificate_is_refused(files: Files, tmp_path: Path) -> None:
    other = trustme.CA().issue_cert("localhost")
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))
    with pytest.raises(CertificateError, match="belong together"):
        server_context("listen[0].tls", ListenerTls(certificate=files.certificate, key=tmp_path / "other.key"))


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_for_it(files: Files, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "locked.key").write_bytes(locked)
    with pytest.raises(CertificateError, match="no passphrase"):
        server_context("listen[0].tls", ListenerTls(certificate=files.certificate, key=tmp_path / "locked.key"))


@pytest.mark.parametrize("key", ["SECRET", "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"])
def test_the_traceback_of_a_refusal_holds_nothing_of_the_key(files: Files, tmp_path: Path, key: str) -> None:
    (tmp_path / "key.pem").write_text(key)
    tls = ListenerTls(certificate=files.certificate, key=tmp_path / "key.pem")
    with pytest.raises(CertificateError) as refusal:
        server_context("listen[0].tls", tls)
    assert "SECRET" not in "".join(traceback.format_exception(refusal.value))
