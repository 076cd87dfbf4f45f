"""Proves what is worked out of the settings for every export, and what is refused."""

from __future__ import annotations

import pytest

from proxy.export import ExportError, Wishes
from proxy.export.plan import answer_time, connect_time, foreign_status, milliseconds
from proxy.model.verdict import Route
from proxy.policy.origins import EXPOSED_HEADERS, SDK_HEADERS
from tests.unit.export.plans import planned

HOSTS = "hosts: {replay-eu.example.com: eu, replay.example.com: us, other.example.com: us}"


def test_the_default_region_comes_last_and_takes_every_other_host() -> None:
    regions = planned(f"region: {{{HOSTS}}}").regions
    assert [(each.name, each.hosts, each.is_fallback) for each in regions] == [
        ("eu", ("replay-eu.example.com",), False),
        ("us", ("replay.example.com", "other.example.com"), True),
    ]


def test_a_default_that_no_host_names_is_there_all_the_same() -> None:
    regions = planned("region: {default: eu, hosts: {replay.example.com: us}}").regions
    assert [(each.name, each.hosts, each.is_fallback) for each in regions] == [
        ("us", ("replay.example.com",), False),
        ("eu", (), True),
    ]


def test_strict_rules_have_no_fallback() -> None:
    plan = planned(f"region: {{strict: true, {HOSTS}}}")
    assert not plan.has_fallback
    assert [each.name for each in plan.regions] == ["eu", "us"]


def test_the_headers_are_those_of_the_policy_and_the_operators() -> None:
    plan = planned("cors: {allow_headers: [X-Token, authorization], expose_headers: [X-Trace, retry-after]}")
    assert plan.allow_headers.split(", ") == [*(name.decode() for name in SDK_HEADERS), "X-Token"]
    assert plan.expose_headers.split(", ") == [*(name.decode() for name in EXPOSED_HEADERS), "X-Trace"]


@pytest.mark.parametrize(
    ("privacy", "removed"),
    [
        ("{}", ("X-A",)),
        ("{page_url: none}", ("X-A", "X-Client-Url")),
        ("{page_url: no_query, referer: origin, keep_query: [page]}", ("X-A", "X-Client-Url", "Referer")),
    ],
)
def test_a_page_address_that_is_to_be_cut_down_is_left_out(privacy: str, removed: tuple[str, ...]) -> None:
    assert planned(f"headers: {{upstream: {{remove: [X-A]}}}}\nprivacy: {privacy}").removed == removed


def test_times_are_in_milliseconds_and_connecting_never_takes_longer_than_the_answer() -> None:
    settings = planned("timeouts: {connect: 3s, config_total: 700ms, first_byte: 7s}").settings
    assert connect_time(settings, Route.CONFIG) == answer_time(settings, Route.CONFIG) == 0.7
    assert connect_time(settings, Route.TRACK) == 3
    assert [milliseconds(each) for each in (0.7, 3.0, 0.0, 366 * 86400.0)] == ["700ms", "3000ms", "1ms", "2147483647ms"]


def test_a_foreign_page_gets_the_gateways_status() -> None:
    assert [foreign_status(route) for route in (Route.TRACK, Route.CONFIG)] == [403, 400]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("region: {strict: true}", "region.strict"),
        ("headers: {upstream: {set: {'X$host': a}}}", "headers.upstream.set"),
        ("headers: {upstream: {remove: ['+X']}}", "headers.upstream.remove"),
        ("headers: {forward_cookies: ['a|b']}", "headers.forward_cookies"),
        ('cors: {allow_headers: ["X\'"]}', "cors.allow_headers"),
        ("cors: {expose_headers: ['X#']}", "cors.expose_headers"),
        ("listen: [{address: '127.0.0.1:80'}, {address: '127.0.0.1:0'}]", "listen[1].address"),
        ("upstreams: {us: {track: 'https://192.0.2.7/x'}}", "upstreams.us.track.url"),
        ("upstreams: {us: {config: 'https://[2001:db8::1]/x'}}", "upstreams.us.config.url"),
    ],
)
def test_what_no_export_can_follow_is_refused_with_its_path(text: str, path: str) -> None:
    with pytest.raises(ExportError) as caught:
        planned(text)
    assert caught.value.path == path


@pytest.mark.parametrize("url", ["replay.example.com", "https://replay.example.com/x", "https://a'b", "", "ftp://a"])
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ExportError, match="--public-url"):
        planned("", Wishes(public_url=url))
