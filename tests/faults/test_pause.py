"""Proves that a time in which a worker does not run, since it was stopped, frozen or robbed of its processor, costs no
request what came in meanwhile: nobody is given up for what only the worker failed to see."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.traffic import (
    QUIET,
    ask,
    assert_idle,
    assert_readable,
    assert_unhurt,
    client,
    config,
    new_key,
    upload,
    upload_head,
    uploads,
)
from tests.gateway import Gateway
from tests.standin import StandIn

LIMIT = 1.0  # seconds, of everything that is waited for
PAUSE = 2 * LIMIT
SETTINGS = {
    **QUIET,
    "breaker": {"failures": 0},
    "timeouts": dict.fromkeys(("first_byte", "track_total", "config_total", "client_body_idle"), f"{LIMIT:g}s"),
}


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """A gateway with little patience, and one worker."""
    with Gateway(SETTINGS, standin=vendor) as running:
        yield running


@contextmanager
def stopped(gateway: Gateway) -> Iterator[None]:
    """The worker does not run for longer than anything may take."""
    (pid,) = gateway.worker_pids()
    time.sleep(0.1)  # what was sent has reached it, and the vendor
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        time.sleep(PAUSE)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_answer_that_came_meanwhile_is_passed_on(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload(b"{}", "standin=delay:0.3"))
        with stopped(gateway):
            pass
        assert_readable(connection.read(b"POST"), 200)
    assert len(uploads(standin)) == 1
    assert_idle(gateway)


def test_a_configuration_that_came_meanwhile_is_passed_on(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(config(new_key(), "standin=delay:0.3"))
        with stopped(gateway):
            pass
        assert_readable(connection.read(b"GET"), 200)


def test_a_body_whose_rest_came_meanwhile_is_complete(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload_head(10) + b"01234")
        with stopped(gateway):
            connection.send(b"56789")
        assert_readable(connection.read(b"POST"), 200)


def test_who_comes_meanwhile_is_served_afterwards(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        with stopped(gateway):
            connection.send(upload())
        assert_readable(connection.read(b"POST"), 200)


def test_what_did_not_come_is_given_up_as_ever(gateway: Gateway, standin: StandIn) -> None:
    with client(gateway) as connection:
        connection.send(upload(b"{}", "standin=hang"))
        with stopped(gateway):
            pass
        assert_readable(connection.read(b"POST"), 504)
    assert_unhurt(gateway)
    assert_readable(ask(gateway, config(new_key())), 200)
