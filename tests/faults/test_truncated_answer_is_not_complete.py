"""An answer that the upstream cuts off is cut off for the client too, whichever way the client could tell."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.conformance.wire import Client, NoAnswer
from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    config,
    counted,
    leaving_nothing,
    new_key,
    upload,
)
from tests.gateway import Gateway
from tests.standin import StandIn

CUTS = ["truncate:5000", "truncate:5000:reset", "truncate:3000000", "truncate_chunked:3", "truncate_chunked:3:reset"]


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway that never opens its breaker."""
    with Gateway({**QUIET, "breaker": {"failures": 0}}, standin=vendor) as running, leaving_nothing(running):
        yield running


@pytest.mark.parametrize("cut", CUTS)
def test_http_1_1_sees_fewer_bytes_or_no_last_chunk(gateway: Gateway, standin: StandIn, cut: str) -> None:
    with counted(gateway, 1, outcome="failed"), client(gateway) as connection:
        try:
            answer = connection.ask(upload(b"{}", f"standin={cut}"))
        except NoAnswer:
            return
        assert not answer.complete or answer.status == 502
    assert_idle(gateway)


@pytest.mark.parametrize("cut", CUTS)
def test_http_1_0_sees_a_reset_when_there_is_no_length(gateway: Gateway, standin: StandIn, cut: str) -> None:
    """Without a length the end of the connection is the end of the answer: only a reset tells a cut from an end."""
    with client(gateway) as connection:
        try:
            answer = connection.ask(upload(b"{}", f"standin={cut}", version=b"1.0"))
        except NoAnswer:
            return
        assert not answer.complete or answer.status == 502


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"], ids=["1.1", "1.0"])
def test_a_tls_client_sees_it_too(gateway: Gateway, standin: StandIn, cut: str, version: bytes) -> None:
    context = ssl.create_default_context(cafile=str(standin.ca_file))
    with Client(("127.0.0.1", gateway.tls_port), context) as connection:
        try:
            answer = connection.ask(upload(b"{}", f"standin={cut}", version=version))
        except NoAnswer:
            return
        assert not answer.complete or answer.status == 502


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_off_config_is_a_readable_502(gateway: Gateway, standin: StandIn, cut: str) -> None:
    """A config answer is read whole before it is passed on, so nothing of a broken one ever is."""
    assert_readable(ask(gateway, config(new_key(), f"standin={cut}")), 502)


def test_the_next_requests_are_unhurt(gateway: Gateway, standin: StandIn) -> None:
    for cut in CUTS:
        with client(gateway) as connection:
            connection.send(upload(b"{}", f"standin={cut}"))
        assert_unhurt(gateway)
    assert_idle(gateway)
