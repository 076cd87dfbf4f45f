"""Proves that us and eu are always there, what a file may change about them, and which urls are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.settings import Address, RegionUpstreams, Settings, Upstream
from proxy.settings.upstreams import BUILT_IN, with_built_in

from .told import only_problem, problems, settings


def test_us_and_eu_are_built_in() -> None:
    upstreams = Settings().upstreams
    assert list(upstreams) == ["us", "eu"]
    for region, routes in BUILT_IN.items():
        assert upstreams[region].track.url == routes["track"]
        assert upstreams[region].config.url == routes["config"]


def test_every_built_in_url_is_of_its_own_region() -> None:
    hosts = {
        (region, route): Upstream(url=url).host for region, routes in BUILT_IN.items() for route, url in routes.items()
    }
    assert len(set(hosts.values())) == 4
    assert all((".eu." in host) == (region == "eu") for (region, _), host in hosts.items())


def test_one_route_of_a_built_in_region_can_be_changed_alone() -> None:
    us = settings("upstreams: {us: {track: 'https://a.example/t'}}").upstreams["us"]
    assert us.track.host == "a.example"
    assert us.config.url == BUILT_IN["us"]["config"]


def test_a_url_may_stand_for_the_mapping() -> None:
    short = settings("upstreams: {x: {track: 'https://a/t', config: 'https://a/c'}}")
    long = settings("upstreams: {x: {track: {url: 'https://a/t'}, config: {url: 'https://a/c'}}}")
    assert short == long


def test_a_new_region_needs_both_routes() -> None:
    told = only_problem("upstreams: {asia: {track: 'https://a/t'}}")
    assert told == "upstreams.asia.config: found nothing; expected a value: this key is required"


def test_a_region_without_anything_is_refused_unless_built_in() -> None:
    assert len(problems("upstreams: {asia: {}}")) == 2
    assert settings("upstreams: {us: {}}") == Settings()


def test_connect_and_ca_file_leave_the_names_alone() -> None:
    text = "upstreams: {us: {track: {url: 'https://a.example/t', connect: '127.0.0.1:9443', ca_file: ca.pem}}}"
    track = settings(text).upstreams["us"].track
    assert (track.host, track.authority) == ("a.example", "a.example")
    assert track.dialled == track.connect == Address("127.0.0.1", 9443)
    assert track.ca_file == Path("ca.pem")


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "path", "authority"),
    [
        ("https://A.Example/t", True, "a.example", 443, "/t", "a.example"),
        ("https://a.example:443/t/", True, "a.example", 443, "/t", "a.example"),
        ("https://a.example:8443", True, "a.example", 8443, "", "a.example:8443"),
        ("http://a.example/", False, "a.example", 80, "", "a.example"),
        ("http://a.example:443/x", False, "a.example", 443, "/x", "a.example:443"),
        ("http://127.0.0.1:1/%7Ea/b;c=d", False, "127.0.0.1", 1, "/%7Ea/b;c=d", "127.0.0.1:1"),
        ("https://[::1]:9/x", True, "::1", 9, "/x", "[::1]:9"),
        ("HTTPS://[::1]/x", True, "::1", 443, "/x", "[::1]"),
    ],
)
def test_a_url_is_taken_apart_once(url: str, tls: bool, host: str, port: int, path: str, authority: str) -> None:
    upstream = Upstream(url=url)
    assert (upstream.tls, upstream.host, upstream.port) == (tls, host, port)
    assert (upstream.path, upstream.authority) == (path, authority)
    assert upstream.path is upstream.path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example/t",
        "ftp://a.example/t",
        "https://",
        "https:///t",
        "https://a.example/t?x=1",
        "https://a.example/t#x",
        "https://user@a.example/t",
        "https://user:word@a.example/t",
        "https://a.example/a/../b",
        "https://a.example/./b",
        "https://a.example:0/t",
        "https://a.example:65536/t",
        "https://a.example:x/t",
        "https://a..example/t",
        "https://a.example./t",
        "https://bücher.example/t",
        "https://a.example/a b",
        "https://a.example/%zz",
        "https://a.example\\t",
        "https://[::1/t",
        "https://1.2.3/t",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    told = only_problem(f"upstreams: {{us: {{track: {{url: '{url}'}}}}}}")
    assert told.startswith("upstreams.us.track.url: found ")
    assert "without user, query and fragment" in told


def test_a_password_in_a_url_is_not_shown() -> None:
    told = only_problem("upstreams: {us: {track: 'https://me:hunter2@a.example/t?token=hunter3'}}")
    assert "hunter" not in told
    assert "a.example" in told


@pytest.mark.parametrize("value", ["3", "[]", "true", "{url: 3}", "{}", "null"])
def test_an_upstream_of_another_kind_is_refused(value: str) -> None:
    assert only_problem(f"upstreams: {{us: {{track: {value}}}}}").startswith("upstreams.us.track")


@pytest.mark.parametrize(
    "value", ["3", "[]", "{us: 3}", "{us: 'https://a/t'}", "{US: {track: 'https://a', config: 'https://a'}}"]
)
def test_upstreams_of_another_kind_are_refused(value: str) -> None:
    assert only_problem(f"upstreams: {value}").startswith("upstreams")


def test_completing_leaves_what_it_can_not_read() -> None:
    assert with_built_in([1]) == [1]
    assert with_built_in({"us": 3})["us"] == 3


@pytest.mark.parametrize(
    ("url", "connect", "exposed"),
    [
        ("http://a.example/t", None, True),
        ("http://10.0.0.1/t", None, True),
        ("http://localhost/t", None, False),
        ("http://127.0.0.1:8/t", None, False),
        ("http://a.example/t", Address("127.0.0.1", 1), False),
        ("http://localhost/t", Address("10.0.0.1", 1), True),
        ("https://a.example/t", None, False),
    ],
)
def test_plain_http_is_exposed_unless_it_stays_here(url: str, connect: Address | None, exposed: bool) -> None:
    assert Upstream(url=url, connect=connect).is_exposed is exposed


def test_sections_can_be_built_without_a_file() -> None:
    pair = RegionUpstreams(track=Upstream(url="https://a/t"), config=Upstream(url="https://a/c"))
    built = Settings(upstreams={"asia": pair})
    assert list(built.upstreams) == ["us", "eu", "asia"]
    assert built.upstreams["asia"] == pair
