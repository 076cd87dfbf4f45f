"""With a list of origins, only its pages can read answers; what happens to the requests of others is a setting.

Only the gateway has that setting, so these tests have no counterpart over nginx.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.carried import config, plain_post
from tests.conformance.cases import HOST, TRACK, head
from tests.conformance.conftest import SETTINGS
from tests.conformance.stage import Stage, Subject
from tests.conformance.test_cors import from_origin
from tests.gateway import Gateway
from tests.standin import StandIn

LIST = ["https://app.example.com", "https://*.example.org", "http://localhost:3000"]
OURS = ["https://app.example.com", "https://a.example.org", "https://a.b.example.org", "http://localhost:3000"]
FOREIGN = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://example.org",
    "https://evilexample.org",
    "https://a.example.org.evil.example",
    "https://APP.example.com",
    "https://app.example.comx",
    "https://evil.example/https://a.example.org",
    "https://evil.example#.example.org",
    "http://localhost",
    "null",
]


@pytest.fixture(scope="module", params=["serve", "refuse"])
def listing(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[tuple[str, Gateway]]:
    """A gateway with a list of origins, and what it does with foreign ones."""
    cors = {"allow_origins": LIST, "foreign_origin": request.param}
    with Gateway({**SETTINGS, "cors": cors}, standin=standin) as gateway:
        yield request.param, gateway


@pytest.fixture
def stage(listing: tuple[str, Gateway], standin: StandIn) -> Stage:
    """In the place of the stage that runs over both proxies."""
    return Stage(Subject("gateway", ("127.0.0.1", listing[1].port), listing[1].pid), standin, "")


@pytest.mark.parametrize("origin", OURS)
def test_a_listed_origin_reads_everything(stage: Stage, origin: str) -> None:
    with stage.client() as client:
        for request, status in ((plain_post(), 200), (config(), 200), (plain_post(target=b"/elsewhere"), 404)):
            answer = client.ask(from_origin(request, origin))
            stage.expect(answer.status == status, f"status {answer.status}")
            stage.readable(answer, origin)
    stage.after()


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_origin_reads_nothing(stage: Stage, listing: tuple[str, Gateway], origin: str) -> None:
    refused = listing[0] == "refuse"
    for request, status in ((plain_post(), 403), (config(), 400)):
        with stage.client() as client:
            answer = client.ask(from_origin(request, origin))
            stage.expect(answer.status == (status if refused else 200), f"status {answer.status}")
            stage.readable(answer, None)
            stage.traceable(answer)
    stage.expect(len(stage.after()) == (0 if refused else 2), "forwarded another number of times")


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_preflight_is_granted_nothing(stage: Stage, origin: str) -> None:
    request = head(b"OPTIONS " + TRACK + b" HTTP/1.1", HOST, b"Access-Control-Request-Method: POST")
    with stage.client() as client:
        answer = client.ask(from_origin(request, origin))
        granted = [name for name, _ in answer.fields if name.lower().startswith("access-control-allow")]
        stage.expect(not granted, f"granted {granted}")
        stage.expect("origin" in answer.listed("vary"), "Vary does not name Origin")
    stage.expect(not stage.after(), "the preflight went upstream")


def test_a_client_without_an_origin_is_served(stage: Stage) -> None:
    with stage.client() as client:
        answer = client.ask(from_origin(plain_post(), None))
        stage.expect(answer.status == 200, f"status {answer.status}")
        stage.readable(answer, None)
    stage.expect(len(stage.after()) == 1, "not forwarded")
