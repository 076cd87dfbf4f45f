"""Proves that a connection on a TLS listener takes a place from its first byte on, that handshakes have a bound and an
end, and that each one that comes to nothing is counted once and leaves nothing."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.edge.arrival import Arrival
from proxy.edge.connection import ClientConnection
from proxy.model.cut import Cut
from proxy.observe.ledger import Counter
from proxy.runtime.tls import server_context
from proxy.settings.schema import ListenerTls
from tests.unit.edge.stage import Client, Stage, get, run, stage
from tests.unit.edge.test_room import NOWHERE, cuts, refused, wait_long
from tests.unit.upstream.stage import eventually

BEGUN = Counter.TLS_HANDSHAKES_BEGUN
COMPLETED = Counter.TLS_HANDSHAKES_COMPLETED
FAILED = Counter.TLS_HANDSHAKES_FAILED
TIMED_OUT = Counter.TLS_HANDSHAKES_TIMED_OUT


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("gw.example").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client


class Secured:
    """A stage that is entered with a TLS listener."""

    def __init__(self, one: Stage, port: int, context: ssl.SSLContext) -> None:
        self.one = one
        self.port = port
        self._context = context

    async def silent(self, peer: str = "127.0.0.1") -> Client:
        """One that connects and says nothing."""
        before = self.one.book.read(BEGUN)
        client = await Client.connect(self.port, local=peer)
        self.one.clients.append(client)
        await eventually(lambda: self.one.book.read(BEGUN) > before)
        return client

    async def client(self) -> Client:
        """One that shakes hands."""
        return await self.one.client(self.port, self._context)


def told(main: Any, contexts: tuple[ssl.SSLContext, ssl.SSLContext], **settings: Any) -> None:
    """Run it over a gateway that serves over TLS."""

    async def staged() -> None:
        async with stage(**settings) as one:
            port = await one.listen(contexts[0])
            await main(Secured(one, port, contexts[1]))

    run(staged)


def test_a_handshake_takes_a_place_and_gives_way(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        silent = [await site.silent() for _ in range(2)]
        assert site.one.gateway.connections == 2
        wait_long(site.one)
        client = await site.client()
        assert (await client.ask(NOWHERE)).status == 404
        assert await silent[0].until_closed() == b""
        await eventually(lambda: site.one.gateway.connections == 2)
        assert cuts(site.one) == {Cut.HANDSHAKE: 1}
        assert [site.one.book.read(each) for each in (BEGUN, COMPLETED, FAILED, TIMED_OUT)] == [3, 1, 0, 0]

    told(main, contexts, limits={"connections": 2})


def test_who_finds_no_room_is_told_so_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        first = await site.client()
        assert (await first.ask(NOWHERE)).status == 404
        second = await site.client()
        assert await refused(second) == (503, "too_many_connections")
        assert (await first.ask(NOWHERE)).status == 404

    told(main, contexts, limits={"connections": 1})


def test_an_address_has_its_share_from_the_first_byte_on(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        for _ in range(2):
            await site.silent()
        client = await site.client()
        assert await refused(client) == (429, "connections_per_ip")

    told(main, contexts, limits={"connections_per_ip": 2})


def test_so_many_handshakes_at_once_and_a_flood_pays_for_itself(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async def main(site: Secured) -> None:
        patient = await site.silent("127.0.0.2")  # the oldest, but alone at its address
        flood = [await site.silent() for _ in range(5)]
        await eventually(lambda: cuts(site.one) == {Cut.HANDSHAKE: 3})
        for client in flood[:3]:
            assert await client.until_closed() == b""
        assert site.one.gateway.connections == 3
        patient.writer.transport.abort()
        client = await site.client()
        assert (await client.ask(NOWHERE)).status == 404

    told(main, contexts, limits={"tls_handshakes": 3})


def test_handshakes_that_come_to_nothing_are_counted_by_how(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        book = site.one.book
        garbage = await site.silent()
        await garbage.send(NOWHERE)
        await eventually(lambda: book.read(FAILED) == 1)
        gone = await site.silent()
        gone.reset()
        await eventually(lambda: book.read(FAILED) == 2)
        slow = await site.silent()
        await slow.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        assert await slow.until_closed() == b""
        await eventually(lambda: site.one.gateway.connections == 0)
        assert [book.read(each) for each in (BEGUN, COMPLETED, FAILED, TIMED_OUT)] == [3, 0, 2, 1]
        assert cuts(site.one) == {}

    told(main, contexts, timeouts={"tls_handshake": "300ms"})


def test_a_reload_takes_handshakes_along(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        silent = await site.silent()
        former = site.one.reload(limits={"tls_handshakes": 1})
        assert (former.connections, site.one.gateway.connections) == (0, 1)
        assert list(site.one.gateway.room._shaking)
        site.port = await site.one.listen(contexts[0])
        client = await site.client()
        assert await silent.until_closed() == b""
        assert (await client.ask(NOWHERE)).status == 404

    told(main, contexts)


def test_a_drain_does_not_wait_for_a_handshake_for_long(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        silent = await site.silent()
        site.one.gateway.drain()
        late = await site.client()
        answer = await late.ask(get(b"/nowhere"))
        assert (answer.status, answer.all("connection")) == (404, ["close"])
        assert await silent.until_closed() == b""
        await eventually(lambda: site.one.gateway.connections == 0)

    told(main, contexts)


def test_a_gateway_that_is_closed_ends_them(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        silent = await site.silent()
        await site.one.gateway.close()
        assert await silent.until_closed() == b""
        await eventually(lambda: site.one.gateway.connections == 0)

    told(main, contexts)


def test_nothing_is_kept_of_those_that_failed(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main(site: Secured) -> None:
        async def round_() -> None:
            for _ in range(3):
                client = await site.silent()
                client.reset()
            await eventually(lambda: site.one.gateway.connections == 0)
            for _ in range(5):
                await asyncio.sleep(0)

        await round_()
        gc.collect()
        gc.disable()
        try:
            await round_()
            kept = [each for each in gc.get_objects() if type(each) in (Arrival, ClientConnection)]
            assert kept == []
        finally:
            gc.enable()

    told(main, contexts)


@pytest.fixture
def no_descriptor_left() -> Iterator[Any]:
    """Lets the process have no other descriptor while it is entered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    class Exhausted:
        def __enter__(self) -> None:
            with socket.socket() as probe:
                lowest = probe.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))

        def __exit__(self, *_: object) -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    yield Exhausted()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_it_waits_and_goes_on(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], no_descriptor_left: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(site: Secured) -> None:
        plain = socket.socket()  # before there are none
        plain.setblocking(False)
        with no_descriptor_left:
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", site.port))
            await eventually(lambda: "no connection can be accepted" in caplog.text)
            assert site.one.book.read(BEGUN) == 0
        await eventually(lambda: site.one.book.read(BEGUN) == 1)
        plain.close()
        client = await site.client()
        assert (await client.ask(NOWHERE)).status == 404
        assert caplog.text.count("no connection can be accepted") == 1

    told(main, contexts)


def test_a_client_can_not_renegotiate(tmp_path: Path) -> None:
    """TLS 1.2 lets a client ask for one handshake after the other on a connection; openssl does when told R."""
    leaf = trustme.CA().issue_cert("gw.example")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    context = server_context("tls", ListenerTls(certificate=tmp_path / "chain.pem", key=tmp_path / "key.pem"))

    async def main(site: Secured) -> None:
        words = ("s_client", "-tls1_2", "-connect", f"127.0.0.1:{site.port}", "-servername", "gw.example")
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(
            "openssl", *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"R\n")
        async with asyncio.timeout(20.0):
            told = await client.stdout.read()
            await client.wait()
        assert b"RENEGOTIATING" in told
        assert b"no renegotiation" in told
        assert client.returncode != 0
        assert site.one.book.read(COMPLETED) == 1
        await eventually(lambda: site.one.gateway.connections == 0)

    told(main, (context, context))
