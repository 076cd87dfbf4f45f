"""A gateway on the page's own site gets the site's cookies with every beacon: they stay, and the vendor's too.

The reference is an nginx that leaves cookies alone. Through it both leaks happen, so the tests can see them.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparison.peers import Running, peer

from tests.browser.conftest import Front
from tests.browser.page_site import SITE_COOKIE, SITE_SECRET
from tests.browser.stage import BEACON_ONLY, Stage, Visitor
from tests.standin import StandIn

VENDOR_COOKIE = "vendor"  # the stand-in sets it with every answer


@pytest.fixture(params=["http", "https"])
def same_site_front(request: pytest.FixtureRequest, gateway: Front) -> str:
    """The gateway by a name of the page's own site: another origin, but the browser adds the cookies of `localhost`."""
    if request.param == "https":
        return f"https://localhost:{gateway.tls_port}"
    return f"http://localhost:{gateway.port}"


@pytest.fixture
def careless(standin: StandIn, certificate: Path, tmp_path: Path) -> Iterator[Running]:
    """The tuned nginx without what it does about cookies."""
    tuned = peer("nginx-tuned")
    shutil.copytree(tuned.folder, tmp_path / "nginx")
    shutil.copy(tuned.folder.parent / "render", tmp_path)
    text = (tuned.folder / "nginx.conf").read_text()
    for line in ('proxy_set_header Cookie "";', "proxy_hide_header Set-Cookie;"):
        assert line in text
        text = text.replace(line, "")
    (tmp_path / "nginx" / "nginx.conf").write_text(text)
    key = certificate.with_suffix(".key")
    one = dataclasses.replace(tuned, name=str(tmp_path / "nginx"))
    with one.running(standin.ports["us-tls"], standin.ca_file, certificate=certificate, key=key) as running:
        yield running


def leave_with_a_beacon(visitor: Visitor) -> None:
    before = beacons_at_the_vendor(visitor)
    visitor.enter()
    visitor.note("work")
    visitor.leave()
    visitor.until(lambda: beacons_at_the_vendor(visitor) > before, "the beacon at the vendor")
    visitor.until_all_arrived()


def beacons_at_the_vendor(visitor: Visitor) -> int:
    return sum(upload.is_beacon for upload in visitor.uploads())


def beacons_carried_the_site_cookie(visitor: Visitor) -> bool:
    cookies = [request.header("cookie") for request in visitor.sent() if "api_key=" in request.target]
    return bool(cookies) and all(cookie and SITE_SECRET in cookie for cookie in cookies)


def cookies_at_the_vendor(visitor: Visitor) -> list[str]:
    return [upload.headers["cookie"] for upload in visitor.uploads() if "cookie" in upload.headers]


def test_site_cookies_do_not_reach_the_vendor(stage: Stage, same_site_front: str) -> None:
    visitor = stage.visitor(same_site_front, **BEACON_ONLY)
    leave_with_a_beacon(visitor)
    assert beacons_carried_the_site_cookie(visitor)
    assert cookies_at_the_vendor(visitor) == []


def test_vendor_cookies_do_not_reach_the_browser(stage: Stage, same_site_front: str) -> None:
    visitor = stage.visitor(same_site_front, **BEACON_ONLY)
    leave_with_a_beacon(visitor)
    leave_with_a_beacon(visitor)  # once more: by now the answer to the first beacon is long there
    assert visitor.tab.cookies() == {SITE_COOKIE: SITE_SECRET}


def test_without_the_gateway_both_leaks_happen(stage: Stage, careless: Running) -> None:
    visitor = stage.visitor(f"https://localhost:{careless.tls_port}", **BEACON_ONLY)
    leave_with_a_beacon(visitor)
    assert beacons_carried_the_site_cookie(visitor)
    assert SITE_SECRET in cookies_at_the_vendor(visitor)[0]
    visitor.until(lambda: VENDOR_COOKIE in visitor.tab.cookies(), "the vendor's cookie in the browser")
