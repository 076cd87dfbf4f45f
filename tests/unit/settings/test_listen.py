"""Proves how listeners, their certificates and the admin server are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.settings import Address, Admin, Listener, ListenerTls

from .told import only_problem, problems, settings


def test_a_single_listener_needs_no_list() -> None:
    assert settings("listen: {address: ':9'}") == settings("listen: [{address: ':9'}]")


def test_listeners_keep_their_order() -> None:
    listen = settings("listen: [{address: ':2'}, {address: '[::]:1'}]").listen
    assert [listener.address for listener in listen] == [Address("0.0.0.0", 2), Address("::", 1)]


def test_a_listener_with_a_certificate() -> None:
    (listener,) = settings("listen: {address: ':1', tls: {certificate: a.pem, key: b.pem, min_version: '1.3'}}").listen
    assert listener == Listener(
        address=Address("0.0.0.0", 1), tls=ListenerTls(certificate=Path("a.pem"), key=Path("b.pem"), min_version="1.3")
    )


def test_tls_1_2_is_the_least_by_default() -> None:
    assert ListenerTls(certificate=Path("a"), key=Path("b")).min_version == "1.2"


def test_a_listener_without_an_address_is_refused() -> None:
    assert only_problem("listen: [{tls: null}]").startswith("listen[0].address: found nothing; expected a value")


def test_a_certificate_without_a_key_is_refused() -> None:
    text = "listen: [{address: ':1', tls: {certificate: a.pem}}]"
    assert only_problem(text).startswith("listen[0].tls.key: found nothing; expected")


@pytest.mark.parametrize("version", ["1.1", "'1.1'", "1.2", "tls1.2"])
def test_another_tls_version_or_one_without_quotes_is_refused(version: str) -> None:
    text = f"listen: {{address: ':1', tls: {{certificate: a, key: b, min_version: {version}}}}}"
    assert only_problem(text).startswith("listen[0].tls.min_version: found ")


def test_no_listener_at_all_is_refused() -> None:
    assert only_problem("listen: []") == "listen: found a list; expected at least 1 entry"


def test_an_address_that_is_listed_twice_is_refused() -> None:
    text = "listen: [{address: ':1'}, {address: ':2'}, {address: '0.0.0.0:1'}]"
    assert only_problem(text) == "listen[2].address: found 0.0.0.0:1 a second time; expected each address once"


def test_port_0_is_another_port_each_time() -> None:
    assert len(settings("listen: [{address: ':0'}, {address: ':0'}]").listen) == 2


def test_admin_is_on_loopback_unless_told_otherwise() -> None:
    assert settings("").admin == Admin() == Admin(address=Address("127.0.0.1", 9090))
    assert settings("admin: {address: '10.0.0.1:1'}").admin == Admin(address=Address("10.0.0.1", 1))


def test_admin_can_be_switched_off() -> None:
    assert settings("admin: null").admin is None


def test_admin_on_a_listeners_address_is_refused() -> None:
    text = "{listen: {address: '127.0.0.1:1'}, admin: {address: '127.0.0.1:1'}}"
    assert only_problem(text).startswith("admin.address: found 127.0.0.1:1; expected an address that `listen` does not")


def test_bad_listeners_are_all_told() -> None:
    told = problems("listen: [{address: 1}, {address: ':x'}, {addres: ':1'}]")
    assert [line.partition(": ")[0] for line in told] == [
        "listen[0].address",
        "listen[1].address",
        "listen[2].address",
        "listen[2].addres",
    ]
