"""Proves that a bucket gives its burst and its rate and never more, that keys don't share, and that memory is
bounded."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.limits import TokenBuckets, network_key


def taken(buckets: TokenBuckets, key: str, now: float, times: int) -> int:
    return sum(buckets.take(key, now) for _ in range(times))


def test_a_burst_passes_at_once_and_no_more() -> None:
    assert taken(TokenBuckets(1.0, 5), "a", 100.0, 20) == 5


def test_tokens_come_back_at_the_rate() -> None:
    buckets = TokenBuckets(2.0, 4)
    taken(buckets, "a", 0.0, 4)
    assert not buckets.take("a", 0.25)
    assert taken(buckets, "a", 1.0, 10) == 2


def test_a_rest_fills_the_bucket_but_not_beyond() -> None:
    buckets = TokenBuckets(10.0, 3)
    taken(buckets, "a", 0.0, 3)
    assert taken(buckets, "a", 1e6, 100) == 3


def test_who_is_refused_does_not_sink_deeper() -> None:
    buckets = TokenBuckets(1.0, 1)
    buckets.take("a", 0.0)
    assert taken(buckets, "a", 0.5, 1000) == 0
    assert buckets.take("a", 1.0)


def test_one_keys_flood_does_not_touch_another() -> None:
    buckets = TokenBuckets(1.0, 2)
    taken(buckets, "a", 0.0, 100)
    assert taken(buckets, "b", 0.0, 2) == 2


def test_a_rate_of_zero_is_off_and_remembers_nothing() -> None:
    buckets = TokenBuckets(0, 1)
    assert not buckets.active
    assert taken(buckets, "a", 0.0, 100) == 100
    assert len(buckets) == 0
    assert TokenBuckets(0.5, 1).active


def test_a_rate_below_one_per_second_holds() -> None:
    buckets = TokenBuckets(0.1, 1)
    assert [buckets.take("a", now) for now in (0.0, 5.0, 9.9, 10.0)] == [True, False, False, True]


def test_a_full_table_forgets_the_key_used_longest_ago() -> None:
    buckets = TokenBuckets(0.001, 1, capacity=2)
    assert buckets.take("a", 0.0)
    assert buckets.take("b", 1.0)
    assert not buckets.take("a", 2.0)
    assert buckets.take("c", 3.0)
    assert not buckets.take("a", 4.0)
    assert buckets.take("b", 5.0)


def test_a_flood_of_keys_does_not_grow_the_table() -> None:
    buckets = TokenBuckets(1.0, 1, capacity=100)
    for number in range(10_000):
        assert buckets.take(number, 0.0)
    assert len(buckets) == 100


def test_who_is_over_the_rate_is_not_forgotten_while_trying_on() -> None:
    buckets = TokenBuckets(0.001, 1, capacity=10)
    assert buckets.take("greedy", 0.0)
    for number in range(1000):
        buckets.take(number, 0.0)
        assert not buckets.take("greedy", 0.0)


uses = st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abc")), max_size=150)


@given(uses, st.floats(0.05, 50), st.integers(1, 20))
def test_no_span_of_time_gives_more_than_burst_and_rate(uses: list[tuple[float, str]], rate: float, burst: int) -> None:
    buckets, now = TokenBuckets(rate, burst), 1000.0
    granted: dict[str, list[float]] = {}
    for wait, key in uses:
        now += wait
        if buckets.take(key, now):
            granted.setdefault(key, []).append(now)
    for times in granted.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


@given(uses, st.floats(0.05, 50), st.integers(1, 20))
def test_who_stays_below_the_rate_is_never_refused(uses: list[tuple[float, str]], rate: float, burst: int) -> None:
    buckets, now = TokenBuckets(rate, burst), 1000.0
    for wait, _ in uses:
        now += wait + 1.001 / rate
        assert buckets.take("a", now)


@given(st.floats(0, 1e9), st.floats(0.05, 1e6), st.integers(1, 300))
def test_the_clocks_reading_never_costs_a_token_of_the_burst(now: float, rate: float, burst: int) -> None:
    assert taken(TokenBuckets(rate, burst), "a", now, burst + 5) == burst


@given(uses, st.integers(1, 3))
def test_the_table_never_exceeds_its_capacity(uses: list[tuple[float, str]], capacity: int) -> None:
    buckets = TokenBuckets(1.0, 2, capacity)
    for now, key in uses:
        buckets.take(key, now)
        assert len(buckets) <= capacity


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, key: str) -> None:
    assert network_key(address) == key


@pytest.mark.parametrize("address", ["", "unix:", "/run/gateway.sock", "no:address"])
def test_what_is_no_address_is_counted_as_itself(address: str) -> None:
    assert network_key(address) == address


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_changing_the_host_bits_buys_no_new_bucket(address: IPv6Address, host: int) -> None:
    if address.ipv4_mapped is None:
        moved = IPv6Address(int(address) >> 64 << 64 | host)
        if moved.ipv4_mapped is None:
            assert network_key(str(moved)) == network_key(str(address)) == str(IPv6Network((address, 64), strict=False))
