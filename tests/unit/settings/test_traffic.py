"""Proves paths, CORS, header edits, client addresses and keys: what is accepted, what is refused, what is masked."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from proxy.settings import Headers, Paths, Settings, masked
from proxy.settings.masking import MASK

from .told import only_problem, problems, settings


def test_the_usual_paths_are_the_sdks() -> None:
    assert Settings().paths == Paths(track=("/sessions/v2/track",), config=("/config",))


def test_aliases_are_allowed() -> None:
    paths = settings("paths: {track: [/t, /config-track, /configs/t], config: [/config, /c]}").paths
    assert paths.track == ("/t", "/config-track", "/configs/t")


@pytest.mark.parametrize(
    ("paths", "where"),
    [
        ("{track: [/t, /t]}", "paths.track[1]"),
        ("{config: [/c, /c]}", "paths.config[1]"),
        ("{track: [/x], config: [/x]}", "paths.config[0]"),
    ],
)
def test_a_path_that_is_listed_twice_is_refused(paths: str, where: str) -> None:
    assert only_problem(f"paths: {paths}").startswith(f"{where}: found ")


@pytest.mark.parametrize(
    ("paths", "where"),
    [("{track: [/config/t]}", "paths.track[0]"), ("{config: [/c, /c/d]}", "paths.config[1]")],
)
def test_a_path_below_a_config_path_is_refused(paths: str, where: str) -> None:
    told = only_problem(f"paths: {paths}")
    assert told.startswith(f"{where}: found ")
    assert "does not begin with the config path" in told


def test_a_path_below_a_track_path_is_fine() -> None:
    assert settings("paths: {track: [/t, /t/u]}").paths.track == ("/t", "/t/u")


def test_two_faults_among_paths_are_told_together() -> None:
    told = problems("paths: {track: [/t, /t], config: [/config/]}")
    assert [line.partition(": ")[0] for line in told] == ["paths.config[0]", "paths.track[1]"]


@pytest.mark.parametrize("paths", ["{track: []}", "{config: []}"])
def test_a_route_without_a_path_is_refused(paths: str) -> None:
    assert only_problem(f"paths: {paths}").endswith("expected at least 1 entry")


def test_a_list_of_bad_entries_is_not_also_called_empty() -> None:
    told = problems("cors: {allow_origins: ['null', x y]}")
    assert [line.partition(": ")[0] for line in told] == ["cors.allow_origins[0]", "cors.allow_origins[1]"]


def test_any_origin_is_the_default_and_a_preflight_lasts_two_hours() -> None:
    cors = Settings().cors
    assert (cors.allow_origins, cors.foreign_origin, cors.max_age) == (("*",), "serve", 7200.0)


def test_cors_as_given() -> None:
    cors = settings(
        """
        cors:
          allow_origins: [https://App.Example.com, "https://*.example.org:8443"]
          foreign_origin: refuse
          max_age: 0
          allow_headers: [X-Session]
          expose_headers: [X-Trace]
        """
    ).cors
    assert cors.allow_origins == ("https://app.example.com", "https://*.example.org:8443")
    assert (cors.foreign_origin, cors.max_age) == ("refuse", 0.0)
    assert (cors.allow_headers, cors.expose_headers) == (("X-Session",), ("X-Trace",))


@pytest.mark.parametrize(
    "cors", ["{allow_origins: []}", "{foreign_origin: maybe}", "{max_age: 5}", "{allow_headers: ['a b']}"]
)
def test_bad_cors_is_refused(cors: str) -> None:
    assert only_problem(f"cors: {cors}").startswith("cors.")


def test_header_edits_as_given() -> None:
    headers = settings(
        "headers: {upstream: {set: {X-Token: abc, X-Empty: ''}, remove: [Referer]}, forward_cookies: [c]}"
    ).headers
    assert {name: value.get_secret_value() for name, value in headers.upstream.set.items()} == {
        "X-Token": "abc",
        "X-Empty": "",
    }
    assert (headers.upstream.remove, headers.forward_cookies) == (("Referer",), ("c",))
    assert settings("").headers == Headers()


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Upgrade", "TE", "Keep-Alive"]
)
def test_a_header_that_frames_the_message_is_refused_in_set_and_remove(name: str) -> None:
    assert only_problem(f"headers: {{upstream: {{set: {{{name}: x}}}}}}").startswith(f"headers.upstream.set.{name}: ")
    assert only_problem(f"headers: {{upstream: {{remove: [{name}]}}}}").startswith("headers.upstream.remove[0]: ")


def test_a_header_that_is_set_twice_in_two_spellings_is_refused() -> None:
    told = only_problem("headers: {upstream: {set: {X-A: SECRET1, x-a: SECRET2}}}")
    assert told == "headers.upstream.set.x-a: found the header X-A a second time; expected each header once"


@pytest.mark.parametrize(
    "value", ['"SECRET\\r\\nX: y"', '"SECRET\\0"', '" SECRET"', "12345", "[SECRET]", "{a: SECRET}", "true"]
)
def test_a_bad_header_value_is_refused_and_not_told(value: str) -> None:
    told = only_problem(f"headers: {{upstream: {{set: {{X-A: {value}}}}}}}")
    assert told.startswith("headers.upstream.set.X-A: found ")
    assert "SECRET" not in told
    assert "12345" not in told


@pytest.mark.parametrize(
    "headers",
    [
        "'X-A: SECRET'",
        "{upstream: 'X-A: SECRET'}",
        "{upstream: {set: 'X-A: SECRET'}}",
        "{upstream: {set: ['X-A: SECRET']}}",
    ],
)
def test_a_secret_that_is_put_too_high_is_not_told(headers: str) -> None:
    assert "SECRET" not in only_problem(f"headers: {headers}")


def test_a_cookie_name_with_a_value_is_refused() -> None:
    assert only_problem("headers: {forward_cookies: ['a=b']}").startswith("headers.forward_cookies[0]: ")


def test_client_addresses() -> None:
    client_ip = settings("client_ip: {forward: truncate, trusted_proxies: [10.0.0.0/8, '::1']}").client_ip
    assert client_ip.forward == "truncate"
    assert client_ip.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "client_ip", ["{forward: some}", "{trusted_proxies: [10.0.0.1/8]}", "{trusted_proxies: 10.0.0.0/8}"]
)
def test_bad_client_addresses_are_refused(client_ip: str) -> None:
    assert only_problem(f"client_ip: {client_ip}").startswith("client_ip.")


def test_by_default_nothing_is_held_back_of_pages_and_visitors() -> None:
    assert Settings().privacy.model_dump() == {
        "page_url": "full",
        "referer": "full",
        "keep_query": (),
        "gpc": "forward",
    }


@pytest.mark.parametrize("mode", ["full", "no_query", "origin", "none"])
def test_page_addresses_have_four_modes(mode: str) -> None:
    privacy = settings(f"privacy: {{page_url: {mode}, referer: {mode}, keep_query: [page, 'utm_*']}}").privacy
    assert (privacy.page_url, privacy.referer, privacy.keep_query) == (mode, mode, ("page", "utm_*"))


@pytest.mark.parametrize(
    "privacy",
    [
        "{page_url: query}",
        "{referer: true}",
        "{gpc: 1}",
        "{gpc: off}",
        *("{keep_query: ['*']}", "{keep_query: ['a*b']}", "{keep_query: ['a&b']}", "{keep_query: ['']}"),
        "{keep_query: page}",
    ],
)
def test_bad_privacy_is_refused(privacy: str) -> None:
    assert only_problem(f"privacy: {privacy}").startswith("privacy.")


@pytest.mark.parametrize(
    "keys", ["SECRET", "[SECRET]", "{allow: SECRET}", "{allow: ['SECRET X']}", "{SECRET: 1}", "{allow: {SECRET: 1}}"]
)
def test_bad_keys_are_refused_and_not_told(keys: str) -> None:
    told = only_problem(f"keys: {keys}")
    assert told.startswith("keys")
    assert "SECRET" not in told


def test_secrets_are_masked_when_shown() -> None:
    text = "{headers: {upstream: {set: {X-A: SECRET}}}, region: {api_keys: {SECRET: eu}}, "
    text += "keys: {allow: [SECRET], origins: {SECRET: ['https://a.example']}}}"
    given = settings(text)
    assert "SECRET" not in f"{given!r} {given} {masked(given)} {given.model_dump_json()}"
    assert masked(given)["headers"]["upstream"]["set"] == {"X-A": MASK}
    assert masked(given)["keys"]["allow"] == [MASK]
    assert masked(given)["region"]["api_keys"] == {f"{MASK} 1": "eu"}
    assert masked(given)["keys"]["origins"] == {f"{MASK} 1": ["https://a.example"]}


def test_pages_are_named_only_for_keys_that_are_served() -> None:
    told = only_problem("keys: {allow: [a], origins: {SECRET: ['https://a.example']}}")
    assert "found a key that keys.allow does not list" in told
    assert "SECRET" not in told
