"""The vendor's configuration service fails while pages load: visitors are recorded all the same.

Without a configuration within about a second the SDK does not record the page at all, so the last good
answer, kept by the gateway, is the difference between an outage that nobody notices and one that loses every visit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Front
from tests.browser.sdk_build import FLAVOURS
from tests.browser.stage import NEWEST, Stage, Visitor
from tests.gateway import Gateway
from tests.standin import StandIn

OUTAGES: dict[str, dict[str, Any]] = {
    "resets": {"action": "reset_before_answer"},
    "says 503": {"action": "status", "code": 503},
    "says nothing": {"action": "hang"},
}
NOT_RECORDING = "Failed to generate joined config"


@pytest.fixture(scope="module")
def forgetful_gateway(standin: StandIn) -> Iterator[Gateway]:
    """A gateway that keeps no configuration."""
    with Gateway({"config_cache": {"stale_if_error": "0s"}}, standin=standin) as running:
        yield running


def record(visitor: Visitor) -> None:
    visitor.enter()
    visitor.note("work")
    visitor.until_recorded("work")


@pytest.mark.parametrize("kind", sorted(OUTAGES))
def test_new_visitor_is_recorded_while_the_config_service_is_down(stage: Stage, gateway: Front, kind: str) -> None:
    before = stage.visitor(gateway.url)
    record(before)
    stage.standin.behave(before.on_config(**OUTAGES[kind]))
    record(stage.visitor(gateway.url, api_key=before.api_key))


@pytest.mark.parametrize("flavour", [flavour for flavour in FLAVOURS if flavour != NEWEST])
def test_every_sdk_is_recorded_while_the_config_service_is_down(stage: Stage, gateway: Front, flavour: str) -> None:
    before = stage.visitor(gateway.url, flavour)
    record(before)
    stage.standin.behave(before.on_config(**OUTAGES["says 503"]))
    record(stage.visitor(gateway.url, flavour, api_key=before.api_key))


def test_visitor_is_not_recorded_by_a_gateway_that_keeps_nothing(stage: Stage, forgetful_gateway: Front) -> None:
    """The counter-test: the outage is one."""
    before = stage.visitor(forgetful_gateway.url)
    record(before)
    stage.standin.behave(before.on_config(**OUTAGES["says 503"]))
    visitor = stage.visitor(forgetful_gateway.url, api_key=before.api_key)
    visitor.enter()
    visitor.until_logged(NOT_RECORDING)
    assert visitor.uploads() == []


def test_outage_of_one_project_is_not_answered_with_the_config_of_another(stage: Stage, gateway: Front) -> None:
    record(stage.visitor(gateway.url))
    visitor = stage.visitor(gateway.url)
    stage.standin.behave(visitor.on_config(**OUTAGES["says 503"]))
    visitor.enter()
    visitor.until_logged(NOT_RECORDING)
    assert visitor.uploads() == []
