"""Big pages: the one snapshot that a replay cannot play without arrives whole, and too big a batch arrives in parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser import replay
from tests.browser.conftest import Front, front_of
from tests.browser.page_site import row_text
from tests.browser.stage import Stage, Visitor
from tests.standin import StandIn

ROWS = 12_000
SMALL_LIMIT = 4096
PARTS = 40


@pytest.fixture(scope="module")
def small_gateway(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Front]:
    """A gateway that takes bodies of 4 KiB at most: a small page's snapshot fits, a second of hard work does not."""
    with front_of(request, standin, {"limits": {"body": SMALL_LIMIT}}, body_limit=SMALL_LIMIT) as running:
        yield running


def configured(stage: Stage, url: str, flavour: str) -> Visitor:
    """A visitor of a big page whose SDK had its configuration within the second that it waits for it. On a busy machine
    such a page may take longer to make room for an answer that is there; then another visitor comes."""
    for _ in range(3):
        visitor = stage.visitor(url, flavour, rows=ROWS)
        visitor.enter()
        visitor.until(lambda: visitor.uploads() or is_refused(visitor), "an upload, or why there is none")  # noqa: B023
        if not is_refused(visitor):
            return visitor
    pytest.fail("three visitors had no configuration within a second")


def is_refused(visitor: Visitor) -> bool:
    return any("remote config could not be fetched" in line for line in visitor.console())


@pytest.mark.parametrize(
    ("flavour", "scheme", "least_bytes"),
    [
        ("standalone-1.50.2", "http", 1_400_000),
        ("standalone-1.50.2", "https", 1_400_000),
        ("standalone-1.28.12", "https", 2_500_000),
    ],
)
def test_snapshot_of_a_big_page_arrives_whole(
    stage: Stage, gateway: Front, flavour: str, scheme: str, least_bytes: int
) -> None:
    visitor = configured(stage, gateway.tls_url if scheme == "https" else gateway.url, flavour)
    visitor.until_recorded(row_text(ROWS - 1))
    big = max(visitor.uploads(), key=lambda upload: len(upload.body))
    assert len(big.body) > least_bytes
    assert any(event["type"] == replay.FULL_SNAPSHOT for event in big.events)
    visitor.leave()
    visitor.until_all_arrived()


def test_refused_batch_is_split_until_all_of_it_arrives(stage: Stage, small_gateway: Front) -> None:
    """The SDK splits on a 413 that it can read and whose text it knows, and drops the batch on any other."""
    visitor = stage.visitor(small_gateway.url)
    visitor.enter()
    visitor.note("first work")
    visitor.until_recorded("first work")
    visitor.tab.evaluate(
        f"""void function work(part) {{
            if (part === {PARTS}) return;
            const noise = crypto.getRandomValues(new Uint8Array(300));
            note(`part ${{part}}: ${{Array.from(noise, (octet) => octet.toString(16)).join("")}}`);
            // The SDK looks at changes when the browser is idle; what has changed by then is one event.
            setTimeout(() => requestIdleCallback(() => work(part + 1)), 10);
        }}(0)"""
    )
    for part in range(PARTS):
        visitor.until_recorded(f"part {part}: ")
    assert 413 in {answer.status for answer in visitor.tab.seen().answers}
    assert any("splitting and retrying" in line for line in visitor.console())
    assert max(len(upload.body) for upload in visitor.uploads()) <= SMALL_LIMIT


def test_event_too_big_to_split_costs_only_itself(stage: Stage, small_gateway: Front) -> None:
    visitor = stage.visitor(small_gateway.url)
    visitor.enter()
    visitor.note("first work")
    visitor.until_recorded("first work")
    visitor.tab.evaluate("note(Array.from(crypto.getRandomValues(new Uint8Array(9000))).join(' '))")
    visitor.until_logged("cannot split further")
    visitor.note("later work")
    visitor.until_recorded("later work")
