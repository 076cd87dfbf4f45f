"""A visitor whose browser sends Sec-GPC: 1, where the gateway is told to drop such visitors: the SDK understands that
it is not to record, and what it sends all the same goes nowhere and is not sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.sdk_build import FLAVOURS
from tests.browser.stage import Stage, Visitor
from tests.gateway import Gateway
from tests.standin import StandIn

OBJECTS = {"Sec-GPC": "1"}
# SDK options with which work is sent soon: what is not sent need not be waited for longer.
OFTEN: dict[str, Any] = {"flushIntervalConfig": {"minIntervalMs": 300, "maxIntervalMs": 600}}


@pytest.fixture(scope="module")
def dropping(standin: StandIn) -> Iterator[Gateway]:
    """A gateway that drops those who have opted out."""
    with Gateway({"privacy": {"gpc": "drop"}}, standin=standin) as running:
        yield running


def works(visitor: Visitor, text: str) -> None:
    visitor.note(text)
    visitor.until_recorded(text)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_sdk_does_not_record_and_the_vendor_hears_nothing(stage: Stage, dropping: Gateway, flavour: str) -> None:
    """Another visitor works along: what the first one's clock had sent, this one's has."""
    visitor, other = stage.visitor(dropping.url, flavour, **OFTEN), stage.visitor(dropping.url, flavour, **OFTEN)
    visitor.tab.add_headers(OBJECTS)
    visitor.enter()
    other.enter()
    visitor.note("work")
    works(other, "work")
    visitor.leave()
    other.leave()
    other.until_all_arrived()
    configurations = {answer.status for answer in visitor.tab.seen().answers if "/config" in answer.url}
    assert configurations == {200}
    assert visitor.sent() == []
    assert [record for record in stage.records() if visitor.api_key in str(record)] == []


def test_what_is_sent_all_the_same_is_sent_once_and_goes_nowhere(stage: Stage, dropping: Gateway) -> None:
    visitor = stage.visitor(dropping.url, useWebWorker=False, **OFTEN)
    visitor.enter()
    works(visitor, "before")
    visitor.tab.add_headers(OBJECTS)
    visitor.note("after the objection")

    def refused() -> int:
        return sum(answer.status == 403 for answer in visitor.tab.seen().answers)

    visitor.until(lambda: refused() >= 1, "the first refusal")
    visitor.note("and later")
    visitor.until(lambda: refused() >= 2, "the second refusal")
    visitor.tab.add_headers({})
    works(visitor, "no objection any more")
    assert not any(upload.says("after the objection") or upload.says("and later") for upload in visitor.uploads())
    assert visitor.tab.seen().failures == ()
    stage.push_netlog()
    objected = [request for request in visitor.sent() if request.header("sec-gpc") == "1"]
    assert len(objected) >= 2
    assert max(Counter(request.digest for request in objected).values()) == 1
