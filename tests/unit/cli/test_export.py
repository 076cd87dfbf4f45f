"""Proves `export`: a configuration on standard output or in a new file, problems and wrong usage with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import EXPORTS, main
from proxy.export import FORMATS, plan
from proxy.settings import Settings

ORIGIN = "https://app.example.com"
NAMED = f"cors: {{allow_origins: [{ORIGIN!r}]}}\n"


def export(folder: Path, text: str, *arguments: str) -> Result:
    file = folder / "gateway.yaml"
    file.write_text(text)
    return CliRunner().invoke(main, ["export", *arguments, "--config", str(file)])


def test_every_format_that_is_offered_is_there() -> None:
    assert tuple(FORMATS) == EXPORTS


@pytest.mark.parametrize("name", EXPORTS)
def test_it_is_printed_and_nothing_else(tmp_path: Path, name: str) -> None:
    result = export(tmp_path, NAMED, name)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.endswith("\n")
    assert result.stdout == FORMATS[name](plan(Settings.model_validate({"cors": {"allow_origins": [ORIGIN]}})))


def test_without_a_file_the_defaults_are_exported() -> None:
    result = CliRunner().invoke(main, ["export", "nginx"])
    assert result.exit_code == 0
    assert "listen 0.0.0.0:8080 default_server;" in result.stdout


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    result = export(tmp_path, "limits: {body: 12 parsecs}\n", "nginx")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert 'limits.body: found "12 parsecs"' in result.stderr


def test_what_can_not_be_exported_is_told_with_its_path(tmp_path: Path) -> None:
    result = export(tmp_path, "region: {strict: true}\n", "nginx")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "region.strict: only hosts can be exported as rules" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["apache"],
        [],
        ["nginx", "caddy"],
        ["sdk", "--public-url", "replay"],
        ["nginx", "--public-url", "https://a.example"],
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    result = export(tmp_path, NAMED, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_options_of_another_format_are_refused(tmp_path: Path) -> None:
    result = export(tmp_path, NAMED, "caddy", "--resolver", "192.0.2.53")
    assert result.exit_code == 2
    assert "--resolver is for nginx" in result.stderr


def test_the_public_url_is_used(tmp_path: Path) -> None:
    result = export(tmp_path, NAMED, "csp", "--public-url", "https://replay.example.com")
    assert "connect-src 'self' https://replay.example.com;" in result.stdout


def test_a_file_is_written_for_its_owner_alone_and_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "replay.conf"
    assert export(tmp_path, NAMED, "nginx", "--output", str(output)).exit_code == 0
    written = output.read_text()
    assert "map $http_origin" in written
    assert output.stat().st_mode & 0o777 == 0o600
    again = export(tmp_path, NAMED, "haproxy", "--output", str(output))
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert output.read_text() == written
    assert export(tmp_path, NAMED, "haproxy", "--output", str(output), "--force").exit_code == 0
    assert output.read_text().startswith("# HAProxy")


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    result = export(tmp_path, NAMED, "nginx", "--output", str(tmp_path / "none" / "replay.conf"))
    assert result.exit_code == 1
    assert "can't write" in result.stderr


@pytest.mark.parametrize(
    ("name", "warns"), [("nginx", True), ("caddy", True), ("haproxy", True), ("cloudfront", False)]
)
def test_secrets_in_the_output_are_told(tmp_path: Path, name: str, warns: bool) -> None:
    result = export(tmp_path, NAMED + "headers: {upstream: {set: {X-A: TOPSECRET}}}\n", name)
    assert result.exit_code == 0
    assert ("TOPSECRET" in result.stdout) == warns
    assert ("headers.upstream.set: the output holds these values" in result.stderr) == warns
    assert "TOPSECRET" not in result.stderr
