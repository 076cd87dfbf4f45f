"""Proves that the certificates are made once, fit the vendor's names, and that the wrong ones are wrong
in exactly the way their names say."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.standin.certificates import CERTIFICATES, NAMES, WRONG_NAME, CertificateError, prepare, server_context
from tests.standin import StandIn
from tests.unit.standin.client import Client, request


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    sites = [f"--tls={name}-tls=127.0.0.1:0,certificate={name}" for name in CERTIFICATES]
    directory = tmp_path_factory.mktemp("certificates")
    with StandIn("--quiet", *sites, "--tls-dir", str(directory)) as running:
        yield running


def test_the_directory_is_filled_and_used_again(tmp_path: Path) -> None:
    ca = prepare(tmp_path / "new")
    before = {path.name: path.read_bytes() for path in ca.parent.iterdir()}
    assert {"ca.pem", "server.pem", "server.key", "wrong-name.pem", "expired.key"} < before.keys()
    assert prepare(tmp_path / "new") == ca
    assert {path.name: path.read_bytes() for path in ca.parent.iterdir()} == before


def test_several_at_once_agree_on_one_authority(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: prepare(tmp_path), range(4)))
    for name in CERTIFICATES:
        server_context(tmp_path, name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_vendor_is_trusted(wrong: StandIn, name: str) -> None:
    with Client(wrong, "server-tls", name=name) as client:
        assert client.ask(request()).status == 200


def test_the_wrong_name_is_wrong_only_in_its_name(wrong: StandIn) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        Client(wrong, "wrong-name-tls")
    with Client(wrong, "wrong-name-tls", name=WRONG_NAME) as client:
        assert client.ask(request()).status == 200


def test_the_expired_one_has_expired(wrong: StandIn) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        Client(wrong, "expired-tls")


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"nobody\.pem.*server, wrong-name, expired"):
        server_context(tmp_path, "nobody")
