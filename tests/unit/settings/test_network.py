"""Proves how addresses, hosts and networks are read, and which spellings are refused."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.network import (
    Address,
    bracketed,
    dial_address,
    host_name,
    is_host,
    is_loopback,
    listen_address,
    network,
)
from proxy.settings.units import UnreadableError


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("0.0.0.0:8080", "0.0.0.0", 8080),
        ("[::]:8443", "::", 8443),
        (":8080", "0.0.0.0", 8080),
        ("localhost:0", "localhost", 0),
        ("Gateway.Internal:65535", "gateway.internal", 65535),
        ("[2001:DB8::1]:80", "2001:db8::1", 80),
    ],
)
def test_an_address_to_listen_on(written: str, host: str, port: int) -> None:
    assert listen_address().parse(written) == Address(host, port)


@pytest.mark.parametrize(
    "written",
    [
        "8080",
        8080,
        "",
        ":",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhost:-1",
        "::1:8080",
        "[::1]",
        "[1.2.3.4]:80",
        "[zz]:80",
        "1.2.3.4.5:80",
        "999.1.1.1:80",
        "a b:80",
        "http://localhost:80",
        "user@host:80",
        "-x:80",
        "[fe80::1%eth0]:80",
        None,
        ["0.0.0.0:80"],
    ],
)
def test_what_is_no_address_is_refused_with_examples(written: object) -> None:
    with pytest.raises(UnreadableError, match=r"such as 0\.0\.0\.0:8080"):
        listen_address().parse(written)


@pytest.mark.parametrize("written", [":443", "host:0", "host", "[]:443"])
def test_an_address_to_dial_needs_host_and_port(written: str) -> None:
    with pytest.raises(UnreadableError, match="to connect to"):
        dial_address().parse(written)


def test_an_address_to_dial_may_be_a_name() -> None:
    assert dial_address().parse("replay_1.internal:9443") == Address("replay_1.internal", 9443)


@given(st.sampled_from(["0.0.0.0", "::", "::1", "a.example", "127.0.0.1"]), st.integers(0, 65535))
def test_an_address_survives_being_written(host: str, port: int) -> None:
    assert listen_address().parse(str(Address(host, port))) == Address(host, port)


def test_an_address_that_was_read_before_stays_as_it_is() -> None:
    assert listen_address().parse(Address("x", 1)) is not None
    assert dial_address().parse(Address("x", 1)) == Address("x", 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)
    assert Address(host, 1).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "example.com"])
def test_another_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["a", "a.b-c.d_e", "1.2.3.4", "::1", "xn--bcher-kva.example", "1a.example", "a" * 63])
def test_a_host(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host", ["", ".", "a.", ".a", "a..b", "-a", "a-", "bücher.example", "a" * 64, "1.2.3", "a/b", "x:1", "1.2.3.4."]
)
def test_what_is_no_host(host: str) -> None:
    assert not is_host(host)


def test_a_host_above_the_longest_name_is_none() -> None:
    assert not is_host(".".join(["a" * 63] * 4))


def test_ipv6_is_bracketed_in_an_authority() -> None:
    assert [bracketed("::1"), bracketed("1.2.3.4")] == ["[::1]", "1.2.3.4"]


@pytest.mark.parametrize("written", ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32", "0.0.0.0/0", "10.0.0.0/255.0.0.0"])
def test_a_network(written: str) -> None:
    assert network().parse(written) == ip_network(written)


def test_one_address_is_a_network_of_one() -> None:
    assert network().parse("192.0.2.7") == ip_network("192.0.2.7/32")
    assert network().parse(ip_network("10.0.0.0/8")) == ip_network("10.0.0.0/8")


def test_a_network_with_bits_behind_its_length_is_refused() -> None:
    with pytest.raises(UnreadableError, match="bits after the first 8 are zero"):
        network().parse("10.1.2.3/8")


@pytest.mark.parametrize("written", ["", "10.0.0.0/33", "10.0.0/8", "example.com", 10, None, "10.0.0.0/8/9"])
def test_what_is_no_network_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match=r"such as 10\.0\.0\.0/8"):
        network().parse(written)


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("Replay.Example.COM", "replay.example.com"),
        ("[::0001]", "[::1]"),
        ("2001:DB8::1", "[2001:db8::1]"),
        ("1.2.3.4", "1.2.3.4"),
    ],
)
def test_a_host_name_is_as_browsers_say_it(written: str, host: str) -> None:
    assert host_name().parse(written) == host
    assert host_name().parse(host) == host


@pytest.mark.parametrize("written", ["a:80", "https://a", "a/b", "", "a b", "*.example.com", "a.", 3, None])
def test_a_host_name_with_more_than_a_host_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="without scheme, port and path"):
        host_name().parse(written)
