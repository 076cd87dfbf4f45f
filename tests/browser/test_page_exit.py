"""What a visitor does last arrives: the beacons that leave when the page goes, which no page is left to send again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.conftest import Front
from tests.browser.stage import BEACON_ONLY, Stage, Upload, Visitor

INTERACTION_CONFIG = {
    "configs": {
        "sessionReplay": {
            "sr_sampling_config": {"capture_enabled": True, "sample_rate": 1},
            "sr_interaction_config": {"enabled": True, "batch": False, "trackEveryNms": 500},
        }
    }
}


def interactions_on(visitor: Visitor) -> dict[str, Any]:
    """A rule: the vendor tells this visitor's SDK to report clicks and scrolling."""
    return visitor.on_config("status", code=200, body=json.dumps(INTERACTION_CONFIG))


def is_scroll(event: dict[str, Any]) -> bool:
    """Whether it is rrweb's record of scrolling: the SDK has noticed."""
    return bool(event["type"] == 3 and event["data"]["source"] == 3)


def replay_beacons(visitor: Visitor) -> list[Upload]:
    return [upload for upload in visitor.uploads() if upload.is_beacon and "type=replay" in upload.target]


@pytest.mark.parametrize("way", ["leave", "close"])
def test_last_words_arrive_in_the_beacon(stage: Stage, front: str, way: str) -> None:
    visitor = stage.visitor(front, **BEACON_ONLY)
    visitor.enter()
    visitor.note("last words")
    visitor.leave() if way == "leave" else visitor.tab.close_page()
    visitor.until(lambda: replay_beacons(visitor), "the beacon at the vendor")
    (beacon,) = replay_beacons(visitor)
    assert beacon.says("last words")
    assert beacon.headers["content-type"] == "application/json"
    assert "content-encoding" not in beacon.headers
    assert "authorization" not in beacon.headers
    visitor.until_all_arrived()


def test_beacon_of_a_busy_page_arrives_whole(stage: Stage, front: str) -> None:
    """The snapshot and much work: near the 64 KiB that browsers allow a beacon."""
    visitor = stage.visitor(front, **BEACON_ONLY)
    visitor.enter()
    visitor.tab.evaluate(
        """new Promise((done) => {
            let line = 0;
            const work = setInterval(() => {
                note(`line ${line} of a busy page`);
                if (++line < 150) return;
                clearInterval(work);
                done();
            }, 5);
        })"""
    )
    visitor.leave()
    visitor.until(lambda: replay_beacons(visitor), "the beacon at the vendor")
    (beacon,) = replay_beacons(visitor)
    assert beacon.says("line 0 of a busy page")
    assert len(beacon.body) > 30_000
    visitor.until_all_arrived()


@pytest.mark.parametrize("flavour", ["standalone-1.50.2", "standalone-1.28.12"])
def test_scroll_beacon_arrives_as_plain_text(stage: Stage, gateway: Front, flavour: str) -> None:
    visitor = stage.visitor(gateway.tls_url, flavour)
    stage.standin.behave(interactions_on(visitor))
    visitor.enter()
    visitor.tab.evaluate("window.scrollTo(0, 700)")
    visitor.until(lambda: any(is_scroll(event) for upload in visitor.uploads() for event in upload.events), "scrolling")
    # More than was asked for, if the page has grown above what is shown (scroll anchoring) while it was loading.
    scrolled = visitor.tab.evaluate("window.scrollY")
    assert scrolled >= 700
    visitor.leave()

    def beacons() -> list[Upload]:
        return [upload for upload in visitor.uploads() if upload.is_beacon and "type=interaction" in upload.target]

    visitor.until(beacons, "the scroll beacon at the vendor")
    assert beacons()[0].headers["content-type"] == "text/plain;charset=UTF-8"
    assert beacons()[0].events[0]["maxScrollY"] == scrolled
    visitor.until_all_arrived()


def test_clicks_arrive(stage: Stage, gateway: Front) -> None:
    visitor = stage.visitor(gateway.url)
    stage.standin.behave(interactions_on(visitor))
    visitor.enter()

    def clicks() -> list[dict[str, Any]]:
        uploads = [upload for upload in visitor.uploads() if "type=interaction" in upload.target]
        return [event for upload in uploads for event in upload.events if event["type"] == "click"]

    def click_until_it_arrives() -> bool:
        visitor.tab.click("#work")
        return bool(clicks())

    visitor.until(click_until_it_arrives, "a click at the vendor")
    assert clicks()[0]["selector"] == "#work"
