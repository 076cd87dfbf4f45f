"""Why there is a gateway: through the nginx configuration that the vendor publishes nothing is recorded across origins.

The counter-test runs the same page through the same nginx with its CORS put right, and that one records: it
is the recipe that fails, not this harness.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparison.peers import Running, peer

from tests.browser.sdk_build import FLAVOURS
from tests.browser.stage import RECIPES_NAME, Stage, Visitor
from tests.standin import StandIn


@pytest.fixture(scope="module")
def published(standin: StandIn, certificate: Path) -> Iterator[Running]:
    """nginx with the published recipe."""
    yield from nginx("nginx-vendor", standin, certificate)


@pytest.fixture(scope="module")
def corrected(standin: StandIn, certificate: Path) -> Iterator[Running]:
    """nginx as it should be."""
    yield from nginx("nginx-tuned", standin, certificate)


def nginx(name: str, standin: StandIn, certificate: Path) -> Iterator[Running]:
    """One of the compared nginx."""
    key = certificate.with_suffix(".key")
    with peer(name).running(standin.ports["us-tls"], standin.ca_file, certificate=certificate, key=key) as running:
        yield running


def config_without_cors(visitor: Visitor) -> dict[str, Any]:
    """A rule: the vendor answers the configuration as one who leaves CORS to the proxy."""
    body = json.dumps({"configs": {"sessionReplay": {}}})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return visitor.on_config("raw", bytes=head + body, then="close")


@pytest.fixture
def careless_stage(stage: Stage) -> Stage:
    """A stage that puts up with the recipe's TLS server name: the name of its own upstream group."""
    stage.tolerated = RECIPES_NAME
    return stage


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_published_recipe_refuses_the_preflight_of_uploads(
    careless_stage: Stage, published: Running, flavour: str
) -> None:
    visitor = careless_stage.visitor(published.tls_url, flavour)
    careless_stage.standin.behave(config_without_cors(visitor))
    visitor.enter()
    visitor.note("work")
    refusal = visitor.until_logged("is not allowed by Access-Control-Allow-Headers in preflight response")
    assert f"{published.tls_url}/sessions/v2/track" in refusal
    assert visitor.config_targets() != []
    assert visitor.uploads() == []


def test_published_recipe_doubles_the_vendors_own_cors(careless_stage: Stage, published: Running) -> None:
    visitor = careless_stage.visitor(published.tls_url)
    visitor.enter()
    refusal = visitor.until_logged("contains multiple values")
    assert f"{published.tls_url}/config/" in refusal
    visitor.until_logged("Failed to generate joined config")
    assert visitor.uploads() == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_corrected_recipe_records(stage: Stage, corrected: Running, flavour: str) -> None:
    visitor = stage.visitor(corrected.tls_url, flavour)
    visitor.enter()
    visitor.note("work")
    visitor.until_recorded("work")
    visitor.leave()
    visitor.until_all_arrived()
