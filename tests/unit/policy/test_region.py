"""Proves the order of the region rules, how each is compared, and that strict rules never fall back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.region import RegionPolicy, forwarded_host, host_name
from proxy.settings.schema import RegionRules
from proxy.wire.request import RequestHead, RequestReader


def policy(**rules: object) -> RegionPolicy:
    return RegionPolicy(RegionRules.model_validate(rules))


HEADER = {"name": "CloudFront-Viewer-Country", "values": {"DE": "eu", "FR": "eu", "US": "us"}}
ALL = policy(hosts={"one.example.com": "host-region"}, api_keys={"key": "key-region"}, header=HEADER, default="rest")


@pytest.mark.parametrize(
    ("host", "key", "header", "expected"),
    [
        (b"one.example.com", b"key", b"DE", "host-region"),
        (b"other.example.com", b"key", b"DE", "key-region"),
        (b"other.example.com", b"other", b"DE", "eu"),
        (b"other.example.com", None, b"DE", "eu"),
        (b"other.example.com", b"other", b"BR", "rest"),
        (b"other.example.com", None, None, "rest"),
        (b"", None, None, "rest"),
    ],
)
def test_the_order_is_host_then_key_then_header_then_default(
    host: bytes, key: bytes | None, header: bytes | None, expected: str
) -> None:
    assert ALL.select(host, [key] if key else [], header) == expected


@pytest.mark.parametrize(
    "host",
    [b"one.example.com", b"ONE.Example.COM", b"one.example.com:8443", b"one.example.com.", b"One.example.com.:443"],
)
def test_hosts_are_compared_without_case_port_and_trailing_dot(host: bytes) -> None:
    assert ALL.select(host, [], None) == "host-region"


@pytest.mark.parametrize(
    "host", [b"xone.example.com", b"one.example.com.evil.test", b"example.com", b"one.example.com..", b"one"]
)
def test_a_host_that_only_resembles_a_rule_takes_the_default(host: bytes) -> None:
    assert ALL.select(host, [], None) == "rest"


@pytest.mark.parametrize("host", [b"[2001:db8::1]", b"[2001:DB8::1]:8443", b"[2001:db8::1]:"])
def test_an_ipv6_literal_keeps_its_brackets_and_loses_its_port(host: bytes) -> None:
    assert policy(hosts={"[2001:db8::1]": "eu"}).select(host, [], None) == "eu"


@pytest.mark.parametrize("host", [b"[2001:db8::1", b"2001:db8::1", b"[", b"[]", b":", b":443"])
def test_a_malformed_host_matches_nothing(host: bytes) -> None:
    assert policy(hosts={"[2001:db8::1]": "eu"}).select(host, [], None) == "us"


def test_keys_are_compared_with_case() -> None:
    assert ALL.select(b"", [b"KEY"], None) == "rest"


@pytest.mark.parametrize("value", [b"DE", b"de", b" De\t", b"dE "])
def test_header_values_are_compared_without_case_and_blanks(value: bytes) -> None:
    assert ALL.select(b"", [], value) == "eu"


@pytest.mark.parametrize("value", [b"", b"D", b"DEU", b"DE,FR", b"D\xc3\x89"])
def test_an_unlisted_header_value_takes_the_default(value: bytes) -> None:
    assert ALL.select(b"", [], value) == "rest"


def test_strict_rules_never_fall_back_to_the_default() -> None:
    strict = policy(hosts={"one.example.com": "eu"}, strict=True)
    assert strict.select(b"one.example.com", [], None) == "eu"
    assert strict.select(b"other.example.com", [b"key"], b"DE") is None


def test_a_header_is_ignored_without_a_header_rule() -> None:
    assert policy().select(b"a.example.com", [b"key"], b"DE") == "us"


def test_what_the_caller_has_to_look_up_is_told() -> None:
    assert (policy().needs_key, policy().header_name) == (False, None)
    assert (ALL.needs_key, ALL.header_name) == (True, b"cloudfront-viewer-country")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (b"one.example.com", b"one.example.com"),
        (b"one.example.com:8443", b"one.example.com:8443"),
        (b"first.example.com, one.example.com", b"one.example.com"),
        (b"a,b,\t[2001:db8::1]:443 ", b"[2001:db8::1]:443"),
        (b"", None),
        (b"one.example.com,", None),
        (b"one.example.com, ", None),
        (b"one.example.com:8443:8443", None),
        (b"one.example.com:", None),
        (b"https://one.example.com", None),
        (b"one.example.com/x", None),
        (b"one example.com", None),
        (b"user@one.example.com", None),
        (b"one.example.com;", None),
        (b'"one.example.com"', None),
        (b"one.example.com\n", None),
        (b"a" * 254, None),
    ],
)
def test_of_forwarded_hosts_the_last_counts_and_only_if_it_is_one(values: bytes, expected: bytes | None) -> None:
    assert forwarded_host(values) == expected


HOSTS = st.text("aZ09.-~_:[]@/ ,", max_size=20).map(str.encode) | st.binary(max_size=12)


@given(HOSTS.map(lambda host: host.translate(None, b"\r\n,").strip(b" \t")))
def test_a_forwarded_host_is_valid_where_a_host_field_would_be(host: bytes) -> None:
    read = RequestReader(target=100, fields=10).read(b"GET / HTTP/1.1\r\nHost: " + host)
    assert (forwarded_host(host) == host) is isinstance(read, RequestHead)


@given(st.binary(max_size=60))
def test_host_name_is_stable(host: bytes) -> None:
    assert host_name(host_name(host)) in (host_name(host), host_name(host).removesuffix(b"."))


KEYED = {"api_keys": {"eu-1": "eu", "eu-2": "eu", "us-1": "us"}, "header": HEADER, "hosts": {"eu.example.com": "eu"}}


@pytest.mark.parametrize(
    ("keys", "header", "expected"),
    [
        ([b"eu-1", b"eu-2"], None, "eu"),
        ([b"us-1", b"other"], None, "us"),  # where another goes anyway
        ([b"other", b"unknown"], None, "us"),
        ([b"other", b"eu-1"], b"DE", "eu"),
        ([b"eu-1", b"us-1"], None, None),
        ([b"us-1", b"eu-1"], b"DE", None),
        ([b"eu-1", b"other"], None, None),
        ([b"other", b"eu-1"], None, None),
        ([b"us-1", b"other"], b"DE", None),
    ],
)
def test_keys_that_lead_to_different_regions_lead_nowhere(
    keys: list[bytes], header: bytes | None, expected: str | None
) -> None:
    assert policy(**KEYED).select(b"", keys, header) == expected
    assert policy(**KEYED).select(b"eu.example.com", keys, header) == "eu"


def test_with_strict_rules_each_of_several_keys_needs_a_rule() -> None:
    strict = policy(**KEYED, strict=True)
    assert strict.select(b"", [b"eu-1", b"eu-2"], None) == "eu"
    assert strict.select(b"", [b"eu-1", b"other"], None) is None
    assert strict.select(b"", [b"other"], None) is None


@given(st.binary(max_size=60), st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=20))
def test_every_request_gets_a_region_that_a_rule_names(host: bytes, key: bytes | None, header: bytes | None) -> None:
    assert ALL.select(host, [key] if key else [], header) in {"host-region", "key-region", "eu", "us", "rest"}


@given(st.lists(st.sampled_from([b"eu-1", b"eu-2", b"us-1", b"other"]), min_size=1), st.sampled_from([None, b"DE"]))
def test_no_key_takes_another_to_its_region(keys: list[bytes], header: bytes | None) -> None:
    rules = policy(**KEYED)
    alone = {rules.select(b"", [key], header) for key in keys}
    assert rules.select(b"", keys, header) == (alone.pop() if len(alone) == 1 else None)
