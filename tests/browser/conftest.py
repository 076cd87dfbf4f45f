"""Fixtures: per module one Chromium, one stand-in vendor and one gateway; per test a stage with nobody on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from comparison.behaviour_plugin import FIXTURES
from comparison.peers import BODY_LIMIT, Running, peer

from tests.browser.chromium import Chromium
from tests.browser.page_site import PageSite
from tests.browser.sdk_build import ensure_built
from tests.browser.stage import PATIENCE, RECIPES_NAME, Stage
from tests.gateway import Gateway
from tests.standin import StandIn

Front = Gateway | Running
KEPT_BODIES = 1000  # of the vendor's side; a module makes some hundred


@pytest.fixture(scope="session")
def scripts() -> Path:
    """The bundled page scripts; npm installs and esbuild bundles when they are missing or old."""
    return ensure_built()


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """The vendor."""
    with StandIn() as vendor:
        vendor.keep_bodies(KEPT_BODIES)
        yield vendor


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """When the comparison asks for it, tests of the gateway run over other systems in its place."""
    for name in FIXTURES:
        if name in metafunc.fixturenames and (systems := metafunc.config.getoption("systems", None)):
            metafunc.parametrize(name, systems, indirect=True, scope="module")


@contextmanager
def front_of(
    request: pytest.FixtureRequest, standin: StandIn, config: Mapping[str, Any], **settings: int
) -> Iterator[Front]:
    """The system whose turn it is: the gateway with `config`, or another one with the like in `settings`, which are
    those of `comparison.peers`."""
    name = getattr(request, "param", "gateway")
    if name == "gateway":
        with Gateway(config, standin=standin) as gateway:
            yield gateway
        return
    certificate = standin.ca_file.parent / "server.pem"
    key = certificate.with_suffix(".key")
    one = peer(name)
    one.install()
    with one.running(
        standin.ports["us-tls"],
        standin.ca_file,
        certificate=certificate,
        key=key,
        body_limit=settings.get("body_limit", BODY_LIMIT),
        answer_timeout=settings.get("answer_timeout", 7),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Front]:
    """A gateway with the default settings in front of the vendor."""
    with front_of(request, standin, {}) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def front(request: pytest.FixtureRequest, gateway: Front) -> str:
    """The gateway's plain and its TLS listener."""
    return gateway.tls_url if request.param == "https" else gateway.url


@pytest.fixture(scope="module")
def certificate(standin: StandIn) -> Path:
    """The certificate of every TLS listener of the tests; the key is beside it as `server.key`."""
    return standin.ca_file.parent / "server.pem"


@pytest.fixture(scope="module")
def chromium(certificate: Path) -> Iterator[Chromium]:
    """A browser with a fresh profile."""
    with Chromium(certificate) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(scripts: Path, certificate: Path) -> Iterator[PageSite]:
    """The customer's site."""
    with PageSite(scripts, certificate, certificate.with_suffix(".key")) as running:
        yield running


@pytest.fixture
def stage(request: pytest.FixtureRequest, chromium: Chromium, site: PageSite, standin: StandIn) -> Iterator[Stage]:
    """An empty stage. Whatever the test is about, the vendor must get nothing that a correct proxy never sends."""
    stage = Stage(chromium, site, standin, request.config.getoption("patience", None) or PATIENCE)
    if "nginx-vendor" in (request.config.getoption("systems", None) or ()):
        stage.tolerated = RECIPES_NAME
    try:
        yield stage
    finally:
        stage.close()
        violations = stage.violations()
        standin.clear()
    assert violations == []
