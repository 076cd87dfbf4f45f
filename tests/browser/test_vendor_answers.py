"""The SDK understands what the vendor says through the gateway: kill switch, throttle, try again.

Each of these works only when the answer is readable across origins; the SDK drops the recording's piece otherwise.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.browser.conftest import Front
from tests.browser.stage import Stage


@pytest.mark.parametrize("code", ["4005", "4004"])
def test_kill_switch_stops_uploads(stage: Stage, gateway: Front, code: str) -> None:
    """A second visitor works along with the stopped one: what that one's clock has sent, the other's would have too."""
    stopped, other = stage.visitor(gateway.url), stage.visitor(gateway.url)
    stage.standin.behave(stopped.on_upload("skipped", code=code))
    stopped.enter()
    other.enter()
    stopped.until_logged(f"by server directive {code}")
    uploads = len(stopped.uploads())
    for work in ("work after the stop", "and still more"):
        stopped.note(work)
        other.note(work)
        other.until_recorded(work)
    assert len(stopped.uploads()) == uploads == 1


def test_throttle_pauses_uploads(stage: Stage, gateway: Front) -> None:
    paused, other = stage.visitor(gateway.url), stage.visitor(gateway.url)
    stage.standin.behave(paused.on_upload("skipped", code="429"))
    paused.enter()
    other.enter()
    paused.until_logged("throttled by server; pausing flush schedule")
    uploads = len(paused.uploads())
    for work in ("work in the pause", "and still more"):
        paused.note(work)
        other.note(work)
        other.until_recorded(work)
    assert len(paused.uploads()) == uploads == 1


@pytest.mark.parametrize("status", [503, 429, 500, 408])
def test_refusal_that_the_sdk_can_read_is_tried_again(stage: Stage, gateway: Front, status: int) -> None:
    visitor = stage.visitor(gateway.url)
    stage.standin.behave(visitor.on_upload("status", first=1, code=status))
    visitor.enter()
    visitor.until(lambda: len(visitor.uploads()) >= 2, "the second attempt")
    first, second = visitor.uploads()[:2]
    assert (first.status, second.status) == (status, 200)
    assert (first.target, first.digest) == (second.target, second.digest)
    assert visitor.tab.seen().failures == ()


def test_vendor_that_refuses_for_good_sees_each_batch_twice(stage: Stage, gateway: Front) -> None:
    visitor = stage.visitor(gateway.url)
    stage.standin.behave(visitor.on_upload("status", code=503))
    visitor.enter()

    def attempts() -> Counter[str]:
        return Counter(upload.digest for upload in visitor.uploads())

    visitor.until(lambda: len(attempts()) >= 3, "the third batch")
    *given_up, _ = attempts().values()
    assert set(given_up) == {2}


def test_refusal_that_is_final_costs_one_batch_only(stage: Stage, gateway: Front) -> None:
    visitor = stage.visitor(gateway.url)
    stage.standin.behave(visitor.on_upload("status", first=1, code=400))
    visitor.enter()
    visitor.until(visitor.uploads, "the refused batch")
    visitor.note("later work")
    visitor.until_recorded("later work")
    assert max(Counter(upload.digest for upload in visitor.uploads()).values()) == 1
