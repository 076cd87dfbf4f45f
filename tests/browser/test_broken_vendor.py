"""A vendor that breaks off, talks nonsense or does not answer: the page reads a 5xx, tries again, and records on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Front, front_of
from tests.browser.stage import Stage, Visitor
from tests.standin import StandIn

SHORT = {"timeouts": {"first_byte": "500ms", "track_total": "1s"}}
BREAKAGE = {"reset_before_answer": {502}, "close_before_answer": {502}, "garbage": {502}, "hang": {504}}


@pytest.fixture(scope="module")
def impatient_gateway(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Front]:
    """A gateway that waits for the vendor half a second, so that the tests need not wait seven."""
    with front_of(request, standin, SHORT, answer_timeout=1) as running:
        yield running


def readable_statuses(visitor: Visitor) -> set[int]:
    return {answer.status for answer in visitor.tab.seen().answers if answer.method == "POST"}


def lost_uploads(visitor: Visitor) -> list[str]:
    """Uploads that ended without a readable answer; the SDK does not try those again."""
    failures = visitor.tab.seen().failures
    return [failure.reason for failure in failures if failure.method == "POST" and visitor.device_id in failure.url]


@pytest.mark.parametrize("breakage", sorted(BREAKAGE))
def test_vendor_failure_is_readable_and_recording_goes_on(
    stage: Stage, impatient_gateway: Front, breakage: str
) -> None:
    visitor = stage.visitor(impatient_gateway.url)
    stage.standin.behave(visitor.on_upload(breakage))
    visitor.enter()
    visitor.until(lambda: readable_statuses(visitor) & BREAKAGE[breakage], "a readable failure")
    stage.standin.behave()
    visitor.note("work after the failure")
    visitor.until_recorded("work after the failure")
    assert readable_statuses(visitor) == BREAKAGE[breakage] | {200}
    assert lost_uploads(visitor) == []


@pytest.mark.parametrize("breakage", ["reset_before_answer", "hang"])
def test_single_vendor_failure_costs_nothing(stage: Stage, impatient_gateway: Front, breakage: str) -> None:
    visitor = stage.visitor(impatient_gateway.url)
    stage.standin.behave(visitor.on_upload(breakage, first=1))
    visitor.enter()
    visitor.note("work during the failure")
    visitor.until_recorded("work during the failure")
    snapshot, *_ = visitor.uploads()
    assert any(event["type"] == 2 for event in snapshot.events)
    assert lost_uploads(visitor) == []
