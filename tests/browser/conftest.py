"""Fixtures: per module one Chromium, one stand-in vendor and one gateway; per test a stage with nobody on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.browser.page_site import PageSite
from tests.browser.sdk_build import ensure_built
from tests.browser.stage import Stage
from tests.gateway import Gateway
from tests.standin import StandIn

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


@pytest.fixture(scope="module")
def gateway(standin: StandIn) -> Iterator[Gateway]:
    """A gateway with the default settings in front of the vendor."""
    with Gateway(standin=standin) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def front(request: pytest.FixtureRequest, gateway: Gateway) -> str:
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
def stage(chromium: Chromium, site: PageSite, standin: StandIn) -> Iterator[Stage]:
    """An empty stage. Whatever the test is about, the vendor must get nothing that a correct proxy never sends."""
    stage = Stage(chromium, site, standin)
    try:
        yield stage
    finally:
        stage.close()
        violations = stage.violations()
        standin.clear()
    assert violations == []
