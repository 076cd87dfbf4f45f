"""Proves that nothing is sent to an upstream whose certificate does not prove the configured name, and that an answer
which TLS does not say is whole is not taken for whole."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from proxy.model.failure import FailureKind
from proxy.upstream.tls import client_context
from tests.unit.upstream.stage import Carrier, eventually, run, stage
from tests.unit.upstream.vendor import OK, Vendor, Visit


class Authority:
    """A certificate authority, its file, and what its certificates are good for."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)
        self.names: list[str | None] = []

    def context(self, name: str = "vendor.example", *, expired: bool = False) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        after = now - datetime.timedelta(days=1) if expired else now + datetime.timedelta(days=1)
        certificate = self.ca.issue_cert(name, not_before=now - datetime.timedelta(days=2), not_after=after)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.sni_callback = lambda connection, asked, _: self.names.append(asked)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def serve(context: ssl.SSLContext, vendor: Vendor | None = None) -> Vendor:
    return await (vendor or Vendor()).start(tls=context)


def connecting(
    authority: Authority, context: ssl.SSLContext, *, host: str = "vendor.example"
) -> tuple[Carrier, Vendor]:
    """One exchange with a TLS vendor, trusting an authority."""
    results: list[tuple[Carrier, Vendor]] = []

    async def main() -> None:
        vendor = await serve(context)
        async with stage() as one:
            pool = one.pool(host=host, connect=f"127.0.0.1:{vendor.port}", tls_ca=authority.file)
            results.append((await one.carry(pool), vendor))
        await vendor.close()

    run(main)
    return results[0]


def test_a_verified_connection_names_the_upstream_and_speaks_http_1_1(authority: Authority) -> None:
    async def main() -> None:
        vendor = await serve(authority.context())
        async with stage() as one:
            pool = one.pool(connect=f"127.0.0.1:{vendor.port}", tls_ca=authority.file)
            for _ in range(3):
                carrier = await one.carry(pool)
                assert carrier.body == b'{"code":200}'
            assert len(vendor.visits) == 1
            assert authority.names[-1] == "vendor.example"
            secure = vendor.visits[0].writer.get_extra_info("ssl_object")
            assert (secure.selected_alpn_protocol(), secure.version()) == ("http/1.1", "TLSv1.3")
        await vendor.close()

    run(main)


def refused(carrier: Carrier, vendor: Vendor) -> bool:
    return (carrier.failures, vendor.requests) == ([FailureKind.TLS], [])


def test_a_certificate_of_another_authority_is_refused(authority: Authority, other: Authority) -> None:
    assert refused(*connecting(authority, other.context()))


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    assert refused(*connecting(authority, authority.context("other.example")))
    assert refused(*connecting(authority, authority.context("vendor.example"), host="sub.vendor.example"))


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    assert refused(*connecting(authority, authority.context(expired=True)))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_version_of_tls_is_refused(authority: Authority) -> None:
    context = authority.context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    carrier, vendor = connecting(authority, context)
    assert carrier.failures in ([FailureKind.TLS], [FailureKind.CONNECT_ERROR])  # who of both hangs up first
    assert vendor.requests == []


def test_an_upstream_that_does_not_speak_tls_is_refused(authority: Authority) -> None:
    async def script(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await visit.reader.read()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            carrier = await one.carry(one.pool(tls_ca=authority.file))
            assert carrier.failures == [FailureKind.TLS]

    run(main)


def test_an_upstream_that_hangs_up_in_the_handshake_is_an_error_in_connecting(authority: Authority) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read(1)
        visit.reset()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            carrier = await one.carry(one.pool(tls_ca=authority.file))
            assert carrier.failures == [FailureKind.CONNECT_ERROR]

    run(main)


def test_an_upstream_that_never_ends_the_handshake_is_given_up_and_closed(authority: Authority) -> None:
    async def script(visit: Visit) -> None:
        await visit.reader.read()

    async def main() -> None:
        async with stage(Vendor(script=script)) as one:
            carrier = await one.carry(one.pool(tls_ca=authority.file, timeouts={"connect": "200ms"}))
            assert carrier.failures == [FailureKind.CONNECT_TIMEOUT]
            await one.vendor.until(lambda: one.vendor.visits and one.vendor.open == 0)

    run(main)


def test_connections_of_other_trust_are_not_shared(authority: Authority, other: Authority) -> None:
    async def main() -> None:
        vendor = await serve(authority.context())
        async with stage() as one:
            address = f"127.0.0.1:{vendor.port}"
            trusting, strict = (
                one.pool(connect=address, tls_ca=authority.file),
                one.pool(connect=address, tls_ca=other.file),
            )
            assert (await one.carry(trusting)).complete
            assert (await one.carry(strict)).failures == [FailureKind.TLS]
            assert (await one.carry(trusting)).reused
        await vendor.close()

    run(main)


def speak_tls(context: ssl.SSLContext, listening: socket.socket, answer: bytes, *, farewell: bool) -> None:
    """Answer one request, then close the connection with or without a close_notify. Blocking."""
    plain, _ = listening.accept()
    plain.settimeout(20)
    with plain, context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=True) as secure:
        secure.recv(65536)
        secure.sendall(answer)
        if farewell:
            secure.unwrap()
        else:
            secure.shutdown(socket.SHUT_WR)
            secure.recv(65536)


@pytest.mark.parametrize(
    ("answer", "farewell", "complete"),
    [
        (OK, True, True),
        (OK, False, True),
        (b"HTTP/1.1 200 OK\r\n\r\nall of it", True, True),
        (b"HTTP/1.1 200 OK\r\n\r\npart of it", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\npart of it", True, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\npart of it", False, False),
    ],
)
def test_an_answer_that_ends_with_its_connection_must_be_said_to_end(
    authority: Authority, answer: bytes, farewell: bool, complete: bool
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with closing(socket.create_server(("127.0.0.1", 0))) as listening:
            port = listening.getsockname()[1]
            serving = loop.run_in_executor(
                None, lambda: speak_tls(authority.context(), listening, answer, farewell=farewell)
            )
            async with stage() as one:
                pool = one.pool(connect=f"127.0.0.1:{port}", tls_ca=authority.file)
                carrier = await one.carry(pool)
                pool.abort()
                await eventually(lambda: pool.gauges()[0] == 0)
                await asyncio.gather(serving, return_exceptions=True)
            assert carrier.complete is complete
            assert carrier.failures == ([] if complete else [FailureKind.TRUNCATED_ANSWER])

    run(main)


def test_the_context_checks_everything_and_trusts_what_it_is_told(authority: Authority) -> None:
    context = client_context(authority.file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1


def test_trust_anchors_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        client_context(str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        client_context(str(tmp_path / "empty.pem"))
