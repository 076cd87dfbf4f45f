"""Proves that over the gateway the doctor finds nothing, and that it names the faults of the recipe that the vendor
publishes for nginx.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result
from comparison.peers import Running, peer

from proxy.cli import main
from proxy.doctor.outside_findings import Outside
from tests.gateway import Gateway
from tests.standin import StandIn

ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with StandIn("--quiet") as vendor:
        yield vendor


@pytest.fixture(scope="module")
def gateway(standin: StandIn) -> Iterator[Gateway]:
    with Gateway({"cors": {"allow_origins": [ORIGIN]}}, standin=standin) as running:
        yield running


@pytest.fixture(scope="module")
def recipe(standin: StandIn) -> Iterator[Running]:
    certificate = standin.ca_file.parent / "server.pem"
    key = certificate.with_suffix(".key")
    port = standin.ports["us-tls"]
    with peer("nginx-vendor").running(port, standin.ca_file, certificate=certificate, key=key) as running:
        yield running


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def found(result: Result) -> dict[str, str]:
    """Name and state of all that is not fine."""
    return {each["name"]: each["state"] for each in json.loads(result.stdout) if each["state"] != "ok"}


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_over_the_gateway_nothing_is_found(gateway: Gateway, standin: StandIn, kind: str) -> None:
    base = gateway.tls_url if kind == "tls" else gateway.url
    ca_file = ("--ca-file", str(standin.ca_file)) if kind == "tls" else ()
    url = f"{base}/sessions/v2/track"
    result = doctor("--url", url, "--standin", standin.control, *ca_file, "--json")
    assert found(result) == {}
    assert result.exit_code == 0


def test_people_get_a_line_for_each_step(gateway: Gateway) -> None:
    result = doctor("--url", f"{gateway.url}/sessions/v2/track")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(line.startswith("ok       ") for line in lines)
    assert any("upload of 5 MB" in line and "POST with 5," in line for line in lines)


def test_a_page_that_may_not_use_the_gateway_is_told(gateway: Gateway) -> None:
    result = doctor("--url", f"{gateway.url}/sessions/v2/track", "--origin", "https://other.example", "--json")
    assert found(result)[Outside.CORS_MISSING.label] == "fail"
    assert result.exit_code == 1


def test_the_faults_of_the_vendors_recipe_are_named(recipe: Running, standin: StandIn) -> None:
    url = f"{recipe.tls_url}/sessions/v2/track"
    arguments = ("--url", url, "--ca-file", str(standin.ca_file), "--standin", standin.control)
    result = doctor(*arguments, "--json")
    assert result.exit_code == 1
    assert {finding for finding in Outside if finding.label in found(result)} == {
        Outside.CORS_TWICE,
        Outside.CORS_NO_CREDENTIALS,
        Outside.ALLOW_HEADERS,
        Outside.MAX_AGE,
        Outside.VARY_ORIGIN,
        Outside.ANY_ORIGIN,
        Outside.EXPOSE_HEADERS,
        Outside.BODY_LIMIT,
        Outside.REFUSAL_UNREADABLE,
        Outside.PREFIX_MATCH,
        Outside.SET_COOKIE,
        Outside.COOKIE_FORWARDED,
        Outside.WRONG_NAME,
        Outside.FORGED_ADDRESS,
        Outside.UPSTREAM_CLOSES,
    }
    what = {each["name"]: each["what"] for each in json.loads(result.stdout)}
    assert "x-client-url" in what[Outside.ALLOW_HEADERS.label]
    assert "authorization" not in what[Outside.ALLOW_HEADERS.label]
    assert "amplitude_replay" in what[Outside.WRONG_NAME.label] or "amplitude_config" in what[Outside.WRONG_NAME.label]
    assert "and so is one of 1.1 MB" in what[Outside.BODY_LIMIT.label]
    assert "HTTP/1.0" in what[Outside.UPSTREAM_CLOSES.label]


def test_a_stand_in_that_is_not_behind_the_proxy_has_seen_nothing(recipe: Running, standin: StandIn) -> None:
    with StandIn("--quiet", "--no-tls") as other:
        url = f"{recipe.tls_url}/sessions/v2/track"
        result = doctor("--url", url, "--ca-file", str(standin.ca_file), "--standin", other.control, "--json")
    assert found(result)[Outside.NOT_ARRIVED.label] == "fail"


def test_what_is_no_stand_in_is_told(gateway: Gateway) -> None:
    result = doctor("--url", f"{gateway.url}/sessions/v2/track", "--standin", gateway.url, "--json")
    assert found(result)[Outside.NO_ANSWER.label] == "fail"
    assert "is not the control address of a stand-in" in result.stdout
