"""Whoever answers at the vendor's address must prove to be the vendor; until then not a byte of a request is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.traffic import QUIET, ask, assert_readable, assert_unhurt, config, new_key, upload
from tests.gateway import Gateway, vendor_upstreams
from tests.standin import StandIn

SITES = ("good", "wrong-name", "expired")


@pytest.fixture(scope="module")
def impostors() -> Iterator[StandIn]:
    """One site with the right certificate, one with another name's, one with an expired one, and one without TLS."""
    tls = [f"{name}-tls=127.0.0.1:0,certificate={'server' if name == 'good' else name}" for name in SITES]
    with StandIn(
        "--quiet", "--listen", "plain=127.0.0.1:0", *(part for site in tls for part in ("--tls", site))
    ) as running:
        yield running


class Elsewhere(NamedTuple):
    """Where the vendor's names are said to be."""

    ports: dict[str, int]
    ca_file: Path


def upstreams(impostors: StandIn, site: str, ca_file: Path | None) -> dict[str, Any]:
    """The vendor's URLs, dialled at one of the sites."""

    there = vendor_upstreams(
        Elsewhere({"us-tls": impostors.ports[site], "eu-tls": impostors.ports["good-tls"]}, impostors.ca_file)
    )
    for upstream in there["us"].values():
        if ca_file is None:
            del upstream["ca_file"]
        else:
            upstream["ca_file"] = str(ca_file)
    return {**QUIET, "upstreams": there, "breaker": {"failures": 0}}


def assert_nothing_is_sent(impostors: StandIn, settings: dict[str, Any]) -> None:
    """Both routes fail readably, and the site has not seen a byte of a request."""
    impostors.clear()
    with Gateway(settings) as gateway:
        for request in (upload(b"secret"), upload(bytes(2_000_000)), config(new_key())):
            answer = ask(gateway, request)
            assert_readable(answer, 502)
            assert answer.one("x-gateway-reason") == "tls"
    # The site without TLS takes the handshake's first bytes for a request, and rightly for none that it knows.
    assert not any(record["complete"] or record["headers"] for record in impostors.requests())


@pytest.mark.parametrize("site", ["wrong-name-tls", "expired-tls"])
def test_a_wrong_or_expired_certificate(impostors: StandIn, site: str) -> None:
    assert_nothing_is_sent(impostors, upstreams(impostors, site, impostors.ca_file))


def test_a_certificate_of_an_authority_that_nobody_named(impostors: StandIn) -> None:
    assert_nothing_is_sent(impostors, upstreams(impostors, "good-tls", None))


def test_an_upstream_that_does_not_speak_tls(impostors: StandIn) -> None:
    assert_nothing_is_sent(impostors, upstreams(impostors, "plain", impostors.ca_file))


def test_with_the_right_one_it_works(impostors: StandIn) -> None:
    """The setting is fair: only the certificate makes the difference."""
    impostors.clear()
    with Gateway(upstreams(impostors, "good-tls", impostors.ca_file)) as gateway:
        assert_unhurt(gateway)
    (record,) = impostors.requests()
    assert record["tls_sni"] == "api-sr.amplitude.com"
    assert record["tls_version"] in ("TLSv1.2", "TLSv1.3")
