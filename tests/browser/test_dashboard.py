"""Proves that the status page works in a browser: every section is filled and readable in both colour schemes and on a
phone, with the keyboard alone, without asking any other host; and that it says so when the gateway no longer answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.browser.sdk_build import SDK, ensure_installed
from tests.gateway import Gateway, eventually
from tests.processes.client import Client, uploaded
from tests.standin import StandIn

LOOKS = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("light", 360, 740)}
LEAST_CONTRAST = 4.5  # WCAG 2, AA, for text of usual size
# Every text on the page with its colour and what it stands on: [text, contrast].
CONTRASTS = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const found = parts(getComputedStyle(element).backgroundColor);
    if (found.length < 4 || found[3] === 1) return found;
    return element.parentElement ? ground(element.parentElement) : null;
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility() || element.closest("noscript")) continue;
    const both = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    found.push([node.data, (both[0] + 0.05) / (both[1] + 0.05)]);
  }
  return found;
})()"""
# Sections of which some part that is shown has no text.
UNFILLED = """[...document.querySelectorAll('main tbody, main dl, main ul, main pre, main p, #tiles')]
  .filter((each) => each.checkVisibility() && !each.closest('noscript') && !each.textContent.trim())
  .map((each) => each.id || each.textContent)"""
FOCUSED = "(document.activeElement.id || document.activeElement.href || document.activeElement.ariaLabel || '')"
POINTS = "document.querySelector('#tile-track polyline').getAttribute('points').split(' ')"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def watched(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that archives, has seen traffic, and some trouble of every sort that has a table."""
    folder = tmp_path_factory.mktemp("dashboard")
    settings = {
        "archive": {
            "directory": str(folder / "store"),
            "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0, "max_bytes": "8KiB"},
            "rotate": {"seconds": 1, "bytes": 4096},
        },
        "cors": {"allow_origins": ["https://app.example.com"], "foreign_origin": "refuse"},
        "region": {"hosts": {"replay.example.com": "us"}},
    }
    with Gateway(settings, standin=standin) as gateway:
        uploaded(gateway.port, 20)
        with Client(gateway.port) as client:
            client.config()
            client.get("/nowhere")
            client.upload(b"x" * 9000)
        standin.behave({"match": {"method": "POST", "first": 2}, "action": "reset_before_answer"})
        with Client(gateway.port) as client:
            client.upload()
        yield gateway


@pytest.fixture(scope="module")
def browser(certificate: Path) -> Iterator[Chromium]:
    ensure_installed(SDK)
    with Chromium(certificate) as running:
        yield running


@pytest.fixture
def tab(browser: Chromium) -> Iterator[Tab]:
    opened = browser.new_tab()
    yield opened
    opened.forget()


def opened(tab: Tab, gateway: Gateway, look: str) -> None:
    """The page, with a first answer shown."""
    tab.look(*LOOKS[look])
    tab.go(f"{gateway.admin}/")
    eventually(lambda: text(tab, "#state") not in ("", "asking …"), what="the first answer is shown")


def text(tab: Tab, selector: str) -> str:
    """What stands there."""
    return str(tab.evaluate(f"document.querySelector({selector!r}).textContent"))


@pytest.mark.parametrize("look", LOOKS)
def test_everything_is_there_and_can_be_read(tab: Tab, watched: Gateway, tmp_path: Path, look: str) -> None:
    opened(tab, watched, look)
    eventually(lambda: "spool-full" in text(tab, "#drops"), what="a drop is shown")
    tab.screenshot(tmp_path / f"{look}.png")
    assert tab.evaluate(UNFILLED) == []
    found: list[tuple[str, float]] = [tuple(each) for each in tab.evaluate(CONTRASTS)]
    assert len(found) > 150
    assert [each for each in found if each[1] < LEAST_CONTRAST] == []
    assert tab.evaluate(TOO_WIDE) == 0
    seen = tab.seen()
    assert seen.console == ()
    assert seen.failures == ()
    assert {urlsplit(each.url).netloc for each in seen.answers} == {urlsplit(watched.admin).netloc}
    assert {each.status for each in seen.answers} == {200}


def test_the_colour_schemes_differ(tab: Tab, watched: Gateway) -> None:
    grounds = []
    for look in ("light", "dark"):
        opened(tab, watched, look)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_figures_are_those_of_the_status(tab: Tab, watched: Gateway) -> None:
    opened(tab, watched, "light")
    rows: dict[str, list[str]] = dict(
        tab.evaluate(
            "[...document.querySelectorAll('#ledger tr')].map((row) => [row.cells[0].textContent,"
            " [row.cells[1].textContent, row.cells[2].textContent]])"
        )
    )
    assert rows["Received"][1] == "24"
    assert rows["Delivered"][1] == "22"
    assert rows["Failed"][1] == "1"
    assert text(tab, "#ledger-sum") == "It adds up."
    assert "Compare the addresses given to the SDK with paths in the configuration." in text(tab, "#rejections")
    assert "upstream_closed" in text(tab, "#failures")


def test_snippets_have_this_gateways_addresses_and_follow_what_is_typed(tab: Tab, watched: Gateway) -> None:
    opened(tab, watched, "light")
    assert 'trackServerUrl: "https://replay.example.com/sessions/v2/track"' in text(tab, "#plugin")
    assert 'configServerUrl: "https://replay.example.com/config"' in text(tab, "#standalone")
    assert "connect-src 'self' https://replay.example.com;" in text(tab, "#csp")
    assert "-H 'Origin: https://app.example.com'" in text(tab, "#curl")
    tab.evaluate("document.querySelector('#public').select()")
    tab.click("#public")
    tab.press("Control+A")
    for key in "http://10.0.0.5:8080/'<b>":
        tab.press(key)
    assert "connect-src 'self' http://10.0.0.5:8080;" in text(tab, "#csp")
    assert "'\\''" in text(tab, "#curl")  # a quote of the address can't end a word of the shell
    assert tab.evaluate("document.querySelectorAll('pre b').length") == 0


def test_the_keyboard_reaches_everything(tab: Tab, watched: Gateway) -> None:
    opened(tab, watched, "light")
    tab.evaluate("document.body.focus()")
    wanted = tab.evaluate("document.querySelectorAll('a[href], input, pre').length")
    reached = []
    for _ in range(wanted):
        tab.press("Tab")
        reached.append(tab.evaluate(FOCUSED))
        outline: Any = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert len(set(reached)) == wanted
    assert {"public", "Tests with curl"} <= set(reached)


def test_it_stays_and_says_so_when_the_gateway_is_gone(tab: Tab, watched: Gateway, tmp_path: Path) -> None:
    opened(tab, watched, "dark")
    eventually(lambda: len(tab.evaluate(POINTS)) > 1, what="a second answer is drawn")
    before = text(tab, "#ledger")
    assert tab.evaluate("document.querySelector('#gone').hidden")
    watched.stop()
    eventually(lambda: not tab.evaluate("document.querySelector('#gone').hidden"), what="the page says so")
    tab.screenshot(tmp_path / "gone.png")
    assert text(tab, "#gone").startswith("No answer since ")
    assert text(tab, "#state") == "no answer"
    assert text(tab, "#ledger") == before
    assert [each for each in tab.evaluate(CONTRASTS) if each[1] < LEAST_CONTRAST] == []
