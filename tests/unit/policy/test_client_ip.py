"""Proves that a client can't choose its own address, that chains of proxies are walked from the right, and that
what the upstream is told is a whole address, a network, or nothing."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.policy.client_ip import ClientIpPolicy, neighbourhood, parse_address
from proxy.settings.schema import ClientIp


def policy(*trusted: str, forward: str = "full") -> ClientIpPolicy:
    return ClientIpPolicy(ClientIp.model_validate({"trusted_proxies": list(trusted), "forward": forward}))


BEHIND = policy("10.0.0.0/8", "2001:db8:aaaa::/48")
DIRECT = policy()
PROXY = "10.0.0.1"
CLIENT = "203.0.113.7"

ELEMENTS = [
    "203.0.113.7", "198.51.100.2:4711", "10.0.0.2", "10.9.9.9:80", "2001:db8::5", "[2001:db8::5]:443",
    "[2001:db8:aaaa::1]", "2001:db8:aaaa::2", "::ffff:10.0.0.3", "::ffff:203.0.113.9", "fe80::1%eth0", "unknown",
    "_hidden", "", " ", "unix:", "999.1.1.1", "1.2.3", "010.0.0.1", "[::1", "::1]", "1.2.3.4:x", "\xe9", "\x00", "null",
    "None", "10.0.0.1 10.0.0.2",
]  # fmt: skip
chains = st.lists(st.sampled_from(ELEMENTS), max_size=8).map(lambda parts: ", ".join(parts).encode("latin-1"))
v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6).filter(lambda address: isinstance(address, IPv6Address) and address.ipv4_mapped is None)


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "10.255.0.9", "2001:db8:aaaa::1", "::ffff:10.0.0.1", "2001:DB8:AAAA:0::1"]
)
def test_configured_proxies_are_trusted(peer: str) -> None:
    assert BEHIND.trusts(peer)
    assert not DIRECT.trusts(peer)


@pytest.mark.parametrize(
    "peer", ["11.0.0.1", "2001:db8:aaab::1", "::10.0.0.1", "", "/run/gateway.sock", "10.0.0", "localhost"]
)
def test_another_peer_is_not_trusted(peer: str) -> None:
    assert not BEHIND.trusts(peer)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        (b"203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (b"203.0.113.7,10.0.0.2 ,\t10.0.0.3", "203.0.113.7"),
        (b"9.9.9.9, 203.0.113.7", "203.0.113.7"),
        (b"9.9.9.9, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (b"203.0.113.7:4711", "203.0.113.7"),
        (b"[2001:db8::5]:443, 10.0.0.2:80", "2001:db8::5"),
        (b"[2001:db8::5]", "2001:db8::5"),
        (b"2001:DB8:0::5", "2001:db8::5"),
        (b"::ffff:203.0.113.7", "203.0.113.7"),
        (b"203.0.113.7, ::ffff:10.0.0.2", "203.0.113.7"),
        (b"fe80::1%eth0", "fe80::1"),
    ],
)
def test_behind_a_proxy_the_rightmost_untrusted_address_counts(chain: bytes, client: str) -> None:
    assert BEHIND.resolve(PROXY, chain) == client


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b" ", b"unknown", b"_hidden", b"unix:", b"1.2.3", b"999.1.1.1", b"010.0.0.1", b"1.2.3.4:x8", b"1.2.3.4:",
        b"[::1", b"::1]", b"[::1]x", b"[::1]80", b"\xff", b"\x00", b"1.2.3.4%eth0", b'"1.2.3.4"',
    ],
)  # fmt: skip
def test_garbage_ends_the_walk(garbage: bytes) -> None:
    assert BEHIND.resolve(PROXY, b"203.0.113.7, " + garbage) == PROXY
    assert BEHIND.resolve(PROXY, b"203.0.113.7, " + garbage + b", 10.0.0.2") == "10.0.0.2"
    assert BEHIND.resolve(PROXY, garbage + b", 203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize("chain", [None, b"9.9.9.9", b"9.9.9.9, 10.0.0.2"])
def test_an_untrusted_peer_is_the_client_whatever_it_claims(chain: bytes | None) -> None:
    assert BEHIND.resolve(CLIENT, chain) == CLIENT
    assert DIRECT.resolve(PROXY, chain) == PROXY


@pytest.mark.parametrize(
    ("peer", "client"),
    [("::ffff:203.0.113.7", "203.0.113.7"), ("fe80::1%eth0", "fe80::1"), ("2001:db8::5", "2001:db8::5")],
)
def test_a_peers_address_is_normalised(peer: str, client: str) -> None:
    assert DIRECT.resolve(peer, None) == client
    assert BEHIND.resolve(peer, b"9.9.9.9") == client


@pytest.mark.parametrize("peer", ["", "/run/gateway.sock"])
def test_a_peer_without_an_address_is_itself_and_never_forwarded(peer: str) -> None:
    assert BEHIND.resolve(peer, b"9.9.9.9") == DIRECT.resolve(peer, None) == peer
    assert BEHIND.forwarded(peer) is None
    assert policy(forward="truncate").forwarded(peer) is None


@given(chains, st.sampled_from([PROXY, CLIENT, "2001:db8:aaaa::9", "", "::ffff:10.0.0.7"]))
@example(b"unknown", PROXY)
def test_the_client_is_the_peer_or_stands_in_the_chain(chain: bytes, peer: str) -> None:
    written = {peer, *(text.strip(" \t") for text in chain.decode("latin-1").split(","))}
    bare = {text.strip("[]") for text in written} | {text.partition("]")[0].strip("[") for text in written}
    bare |= {text.partition(":")[0] for text in written}
    known = {str(address) for text in bare if (address := parse_address(text)) is not None}
    assert BEHIND.resolve(peer, chain) in known | {peer}


@given(chains)
def test_a_client_cannot_move_itself_by_what_it_sends(claimed: bytes) -> None:
    assert BEHIND.resolve(PROXY, claimed + b", 203.0.113.7") == CLIENT
    assert BEHIND.resolve(PROXY, claimed + b", 203.0.113.7, 10.0.0.2") == CLIENT
    assert BEHIND.resolve(CLIENT, claimed) == CLIENT


@given(st.integers(0, 2000), st.integers(0, 40))
def test_an_endless_chain_is_cut_between_addresses(filler: int, hops: int) -> None:
    chain = b"x" * filler + b", 203.0.113.77" + b", 10.0.0.200" * hops
    assert BEHIND.resolve(PROXY, chain) == "203.0.113.77"


def test_an_address_at_the_cut_is_never_shortened() -> None:
    for padding in range(40):
        chain = b"203.0.113.77," + b"10.0.0.200," * 92 + b"10.0.0.2" + b" " * padding
        assert BEHIND.resolve(PROXY, chain) in ("203.0.113.77", "10.0.0.200")


@pytest.mark.parametrize(
    ("address", "full", "truncated"),
    [
        ("203.0.113.7", b"203.0.113.7", b"203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", b"2001:db8:1:2:3:4:5:6", b"2001:db8:1::"),
        ("::ffff:203.0.113.7", b"203.0.113.7", b"203.0.113.0"),
        ("fe80::1%eth0", b"fe80::1", b"fe80::"),
        ("::1", b"::1", b"::"),
    ],
)
def test_how_much_is_forwarded(address: str, full: bytes, truncated: bytes) -> None:
    assert policy(forward="full").forwarded(address) == full
    assert policy(forward="truncate").forwarded(address) == truncated
    assert policy(forward="none").forwarded(address) is None


@pytest.mark.parametrize("address", ["None", "unknown", "1.2.3", "1.2.3.4\r\nX: y", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_never_forwarded(address: str) -> None:
    for forward in ("full", "truncate", "none"):
        assert policy(forward=forward).forwarded(address) is None


@given(v4 | v6)
def test_truncation_keeps_the_network_and_forgets_the_host(address: IPv4Address | IPv6Address) -> None:
    kept = policy(forward="truncate").forwarded(str(address))
    assert kept is not None
    bits = 24 if address.version == 4 else 48
    assert ip_address(kept.decode()) in ip_network((address, bits), strict=False)
    assert int(ip_address(kept.decode())) % (1 << (address.max_prefixlen - bits)) == 0


@given(v4 | v6)
def test_a_full_address_is_the_address(address: IPv4Address | IPv6Address) -> None:
    assert policy().forwarded(str(address)) == str(address).encode()


@given(st.text(max_size=30))
def test_only_addresses_are_parsed(text: str) -> None:
    address = parse_address(text)
    assert address is None or ip_address(str(address)) == address


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_who_has_one_address_of_a_network_is_known_by_the_network(address: str, expected: str) -> None:
    assert neighbourhood(address) == expected
