"""Every system that is compared starts, carries an upload as the SDK sends it (or loses it in the known way), stops."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from comparison.peers import PEERS, Peer, Running, peer, process_tree

from tests.gateway import is_alive
from tests.standin import StandIn

TARGET = "/sessions/v2/track?device_id=d%2F1&session_id=1795239913738&type=replay"
BODY = gzip.compress(b'{"version":1,"events":["{\\"type\\":4}"]}')
ORIGIN = {"Origin": "https://app.example.com"}
SDK_FIELDS = {
    "Authorization": "Bearer 0123456789abcdef0123456789abcdef",
    "Content-Encoding": "gzip",
    "Content-Type": "application/json",
    "X-Client-Library": "standalone/1.50.2",
    "X-Client-Sample-Rate": "1",
    "X-Client-Url": "https://app.example.com/orders/42?tab=items",
    "X-Client-Version": "1.50.2",
    "X-Sampling-Hash-Alg": "xxhash32",
}
# What the vendor's Express recipe makes of the path with http-proxy-middleware 3: it goes to nowhere.
ARRIVES_AS = {"express-3": TARGET.removeprefix("/sessions")}
# A page of another origin can't send uploads through these, since the preflight does not allow what it must.
REFUSES_PREFLIGHT = ("nginx-vendor",)


@contextmanager
def started(one: Peer, standin: StandIn, **settings: Any) -> Iterator[Running]:
    """The system in front of the stand-in, with its npm packages."""
    one.install()
    certificate = standin.ca_file.parent / "server.pem"
    key = certificate.with_suffix(".key")
    with one.running(standin.ports["us-tls"], standin.ca_file, certificate=certificate, key=key, **settings) as running:
        yield running


def ask(connection: HTTPConnection, method: str, body: bytes | None, fields: dict[str, str]) -> HTTPResponse:
    """One request and its whole answer."""
    connection.request(method, TARGET, body, {**ORIGIN, **fields})
    answer = connection.getresponse()
    answer.read()
    return answer


@pytest.mark.parametrize("one", PEERS, ids=lambda one: one.name)
@pytest.mark.parametrize("front", ["http", "https"])
def test_it_carries_an_upload(one: Peer, front: str, standin: StandIn) -> None:
    standin.clear()
    with started(one, standin) as running:
        context = ssl.create_default_context(cafile=str(standin.ca_file))
        connection = (
            HTTPConnection("127.0.0.1", running.port, timeout=20)
            if front == "http"
            else HTTPSConnection("127.0.0.1", running.tls_port, timeout=20, context=context)
        )
        names = ",".join(sorted(name.lower() for name in SDK_FIELDS))
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": names}
        preflight = ask(connection, "OPTIONS", None, asked)
        allowed = (preflight.getheader("Access-Control-Allow-Headers") or "").lower()
        assert ("x-client-url" in allowed or allowed == "*") == (one.name not in REFUSES_PREFLIGHT)
        answer = ask(connection, "POST", BODY, SDK_FIELDS)
        connection.close()
    arrived = [record for record in standin.requests() if record["method"] == "POST"]
    assert [record["target"] for record in arrived] == [ARRIVES_AS.get(one.name, TARGET)]
    assert arrived[0]["body_sha256"] == hashlib.sha256(BODY).hexdigest()
    assert answer.status == (404 if one.name in ARRIVES_AS else 200)


@pytest.mark.parametrize("one", PEERS, ids=lambda one: one.name)
def test_nothing_is_left_when_it_has_stopped(one: Peer, standin: StandIn) -> None:
    with started(one, standin, workers=2) as running:
        pids = process_tree(running.pid)
        assert pids[0] == running.pid
        assert all(map(is_alive, pids))
    assert not any(map(is_alive, pids))
    assert not running.folder.exists()


@pytest.mark.parametrize("one", PEERS, ids=lambda one: one.name)
def test_it_tells_its_version(one: Peer) -> None:
    one.install()
    version = one.version()
    assert any(letter.isdigit() for letter in version)
    assert "\n" not in version


@pytest.mark.parametrize("one", PEERS, ids=lambda one: one.name)
def test_what_is_missing_is_named_with_the_command_that_gets_it(one: Peer) -> None:
    one.install()
    assert one.missing() is None
    assert dataclasses.replace(one, program="no-such-program").missing() == one.get


def test_missing_npm_packages_are_named(tmp_path: Path) -> None:
    (tmp_path / "package-lock.json").write_text("{}")
    bare = dataclasses.replace(peer("express-2"), name=str(tmp_path))
    assert str(bare.missing()).startswith("npm ci --prefix nginx-compare/peers/")


def test_one_that_does_not_start_says_why() -> None:
    nowhere = Path("/nowhere")
    one = peer("nginx-tuned")
    with (
        pytest.raises(AssertionError, match=r"nginx-tuned did not start:\n.*nowhere"),
        one.running(1, nowhere, certificate=nowhere, key=nowhere),
    ):
        pytest.fail("it started")
