"""The vendor's SDKs record through the gateway across origins, over HTTP and TLS, and no byte changes on the way."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.browser import replay
from tests.browser.conftest import Front
from tests.browser.sdk_build import FLAVOURS
from tests.browser.stage import Stage, Visitor

CONFIG_REQUESTS = {"standalone-1.50.2": 1, "standalone-1.28.12": 1, "plugin": 3}


def record_and_leave(visitor: Visitor) -> None:
    """A visit with some work, long enough for two uploads."""
    visitor.enter()
    visitor.note("first work")
    visitor.until_recorded("first work")
    visitor.note("second work")
    visitor.until_recorded("second work")
    visitor.leave()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_recording_arrives_byte_for_byte(stage: Stage, front: str, flavour: str) -> None:
    visitor = stage.visitor(front, flavour)
    record_and_leave(visitor)
    visitor.until_all_arrived()
    uploads = visitor.uploads()
    assert any(event.get("type") == replay.FULL_SNAPSHOT for upload in uploads for event in upload.events)
    assert {upload.status for upload in uploads} == {200}


@pytest.mark.parametrize("flavour", ["standalone-1.50.2", "plugin"])
def test_gzip_coding_and_its_label_arrive_together(stage: Stage, gateway: Front, flavour: str) -> None:
    visitor = stage.visitor(gateway.tls_url, flavour)
    visitor.enter()
    visitor.note("work")
    visitor.until_recorded("work")
    for upload in visitor.uploads():
        assert upload.headers["content-encoding"] == "gzip"
        assert upload.body.startswith(b"\x1f\x8b")


def test_bodies_of_a_browser_without_gzip_arrive_plain(stage: Stage, gateway: Front) -> None:
    visitor = stage.visitor(gateway.url, enableTransportCompression=False)
    record_and_leave(visitor)
    visitor.until_all_arrived()
    for upload in visitor.uploads():
        assert "content-encoding" not in upload.headers
        assert upload.body.startswith(b"{")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_config_request_arrives_as_the_sdk_wrote_it(stage: Stage, front: str, flavour: str) -> None:
    visitor = stage.visitor(front, flavour)
    visitor.enter()
    assert visitor.tab.evaluate("window.recorder") == {"state": "started", "detail": ""}
    visitor.until(lambda: len(visitor.config_targets()) == CONFIG_REQUESTS[flavour], "every configuration request")
    stage.push_netlog()
    requests = stage.chromium.netlog.sent()
    sent = [r.target for r in requests if r.method == "GET" and visitor.api_key in r.target]
    assert Counter(sent) == Counter(visitor.config_targets())


def test_one_preflight_serves_the_session_and_ends_at_the_gateway(stage: Stage, gateway: Front) -> None:
    visitor = stage.visitor(gateway.url)
    visitor.enter()
    visitor.until(lambda: len(visitor.uploads()) >= 3, "three uploads")
    stage.push_netlog()
    assert len(visitor.sent()) >= 3
    assert len(visitor.sent("OPTIONS")) == 1
    assert not [record for record in stage.records() if record["method"] == "OPTIONS"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_page_talks_to_its_site_and_the_gateway_only(stage: Stage, gateway: Front, flavour: str) -> None:
    visitor = stage.visitor(gateway.url, flavour)
    visitor.enter()
    visitor.note("work")
    visitor.until_recorded("work")
    seen = visitor.tab.seen()
    urls = {answer.url for answer in seen.answers} | {failure.url for failure in seen.failures}
    hosts = {urlsplit(url).netloc for url in urls if not url.startswith("blob:")}
    assert hosts == {urlsplit(stage.site.origin("http")).netloc, urlsplit(gateway.url).netloc}
