"""Proves the command line of `doctor`: what it takes, what it refuses, and what its exit codes say."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.cli.doctor import config_url, page_origin
from proxy.settings import Settings
from tests.gateway import free_port

URL = "https://replay.example.com/sessions/v2/track"


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--url", "replay.example.com"), "--url: 'replay.example.com' is no http or https address"),
        (("--url", f"{URL}?a=b"), "--url: "),
        (("--url", "https://user@replay.example.com/t"), "--url: "),
        (("--url", URL, "--config-url", "ftp://a.example/c"), "--config-url: "),
        (("--url", URL, "--standin", "127.0.0.1:9100"), "--standin: "),
        (("--url", URL, "--api-key", "a/b"), "--api-key: "),
        (("--url", URL, "--origin", "www.example.com"), "--origin: "),
        (("--url", URL, "--origin", "https://www.example.com/"), "--origin: "),
        (("--url", URL, "--ca-file", "/nowhere/ca.pem"), "--ca-file: /nowhere/ca.pem can't be used"),
        (("--config-url", URL), "--config-url needs --url"),
        (("--api-key", "key"), "--api-key needs --url"),
        (("--origin", "https://www.example.com"), "--origin needs --url"),
        (("--config", "/nowhere/gateway.yaml"), "no readable file"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(arguments: tuple[str, ...], told: str) -> None:
    result = doctor(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


def test_a_failure_ends_with_1_and_says_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}/sessions/v2/track"
    result = doctor("--url", url)
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first.startswith(f"fail     unreachable ({url.removesuffix('/sessions/v2/track')}): no connection: ")
    assert second.startswith("         look at the name")


def test_json_has_the_fields_of_each_check() -> None:
    result = doctor("--url", f"http://127.0.0.1:{free_port()}/sessions/v2/track", "--json")
    assert result.exit_code == 1
    (check,) = json.loads(result.stdout)
    assert list(check) == ["name", "state", "what", "remedy", "where"]


def test_the_configuration_is_beside_the_uploads_by_the_settings_paths() -> None:
    assert config_url("https://a.example:8443/r/t", Settings()) == "https://a.example:8443/config"
    settings = Settings.model_validate({"paths": {"track": ["/r/t"], "config": ["/r/c", "/config"]}})
    assert config_url("https://a.example/r/t", settings) == "https://a.example/r/c"


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        (["*"], "https://app.example.com"),
        (["https://*.example.org"], "https://app.example.com"),
        (["https://*.example.org", "https://www.example.org"], "https://www.example.org"),
    ],
)
def test_the_page_is_one_that_the_settings_allow(allowed: list[str], origin: str) -> None:
    assert page_origin(Settings.model_validate({"cors": {"allow_origins": allowed}})) == origin
