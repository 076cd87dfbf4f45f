"""Nobody answers at the vendor's address, or somebody else does: a readable answer, and nothing is given away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conformance.conftest import SETTINGS, key_of, other_system
from tests.conformance.stage import Stage, Subject
from tests.conformance.test_vendor_breaks import config, fails_readably, upload
from tests.gateway import VENDOR, Gateway, free_port
from tests.standin import StandIn

CERTIFICATES = {"wrong-name": "wrong-name", "expired": "expired", "unknown-authority": "server"}
REQUESTS = {"upload": upload(b"secret"), "large-upload": upload(bytes(900_000)), "config": config("x=y")}


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """One site for each wrong certificate, one that speaks no TLS; the proxies trust the stand-in's own authority."""
    tls = [f"{name}=127.0.0.1:0,certificate={certificate}" for name, certificate in CERTIFICATES.items()]
    with StandIn(
        "--quiet", "--listen", "no-tls=127.0.0.1:0", *(part for site in tls for part in ("--tls", site))
    ) as it:
        yield it


@pytest.fixture(scope="module")
def stranger() -> Iterator[StandIn]:
    """Whose authority is another one."""
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest) -> str:
    """The name of the system whose turn it is; each test starts its own."""
    return str(request.param)


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, gateway: str, standin: StandIn, stranger: StandIn, site: str
) -> Iterator[Stage]:
    """The system in front of `site`."""
    port = standin.ports[site] if site in standin.ports else free_port()
    trusted = stranger if site == "unknown-authority" else standin
    with subject(gateway, standin, port, trusted) as running:
        yield Stage(running, standin, key_of(request.node))


@contextmanager
def subject(name: str, standin: StandIn, port: int, trusted: StandIn) -> Iterator[Subject]:
    """The system before what is at `port`."""
    if name != "gateway":
        with other_system(name, standin, port, trusted.ca_file) as running:
            yield running
        return
    there = {"connect": f"127.0.0.1:{port}", "ca_file": str(trusted.ca_file)}
    upstreams = {"us": {route: {"url": url, **there} for route, url in VENDOR["us"].items()}}
    with Gateway({**SETTINGS, "upstreams": upstreams}) as gateway:
        yield Subject(name, ("127.0.0.1", gateway.port), gateway.pid)


@pytest.mark.parametrize("site", ["nobody", "no-tls", *CERTIFICATES])
def test_it_is_told_readably(stage: Stage, site: str) -> None:
    for request in REQUESTS.values():
        fails_readably(stage, request)
    # A site without TLS takes a handshake for a request. Its bytes are random: it may even seem to be a complete one.
    told = any(str(record["target"]).startswith(("/sessions/", "/config")) for record in stage.standin.requests())
    stage.expect(not told, "a request was sent to somebody who is not the vendor")
