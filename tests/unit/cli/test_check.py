"""Proves `check`: every problem and exit code 2, or the whole effective configuration and exit code 0."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from proxy.cli import main
from proxy.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
QUIET = "listen: {address: '127.0.0.1:0'}\nadmin: {address: '127.0.0.1:0'}\n"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def check_text(folder: Path, text: str, *arguments: str) -> Result:
    file = folder / "gateway.yaml"
    file.write_text(text)
    return check("--config", str(file), *arguments)


def test_a_good_file_is_shown_in_full(tmp_path: Path) -> None:
    result = check_text(tmp_path, QUIET + "workers: 3\n")
    assert result.exit_code == 0
    assert result.stderr == ""
    shown = yaml.safe_load(result.stdout)
    assert set(shown) == set(Settings.model_fields)
    assert shown["workers"] == 3
    assert shown["limits"]["body"] == "16MiB"


def test_without_a_file_the_defaults_are_shown() -> None:
    result = check()
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["listen"] == [{"address": "0.0.0.0:8080", "tls": None}]


@pytest.mark.parametrize("name", ["gateway.yaml", "reference.yaml"])
def test_the_files_we_ship_are_fine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert check("--config", f"config/{name}").exit_code == 0


def test_all_problems_are_told_and_nothing_is_shown(tmp_path: Path) -> None:
    result = check_text(tmp_path, "limits: {body: 12 parsecs}\nlog: {level: loud}\nnonsense: 1\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == f"{tmp_path}/gateway.yaml: 3 problems"
    assert lines[1] == '  problem  limits.body: found "12 parsecs"; expected a size such as 16MiB, 512KiB or 1GB'
    assert len(lines) == 4


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    text = f"{QUIET}headers: {{upstream: {{set: {{X-A: TOPSECRET}}}}}}\nkeys: {{allow: [TOPSECRET]}}\n"
    text += "region: {api_keys: {TOPSECRET: eu}}\n"
    text += "archive: {s3: {region: r, recordingsBucket: abc, accessKey: TOPSECRET, secretKey: TOPSECRET}}\n"
    for arguments in ((), ("--json",)):
        result = check_text(tmp_path, text, *arguments)
        assert result.exit_code == 0
        assert "TOPSECRET" not in result.output


def test_a_secret_in_a_broken_file_is_not_shown(tmp_path: Path) -> None:
    text = "headers: {upstream: {set: {X-A: 'TOPSECRET\n\n'}}}\nkeys: {allow: ['TOP SECRET']}\n"
    text += "region: {api_keys: {TOPSECRET: mars}}\n"
    text += "archive: {s3: {region: r, recordingsBucket: abc, accessKey: ' TOPSECRET', secretKey: [TOPSECRET]}}\n"
    result = check_text(tmp_path, text)
    assert result.exit_code == 2
    assert "SECRET" not in result.output


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    result = check("--config", str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "none.yaml: found no readable file" in result.stderr


def test_broken_yaml_is_a_problem_with_its_place(tmp_path: Path) -> None:
    result = check_text(tmp_path, "listen: [\n")
    assert result.exit_code == 2
    assert "gateway.yaml, line 2, column 1: found a mistake" in result.stderr


def test_a_missing_certificate_is_a_problem(tmp_path: Path) -> None:
    result = check_text(
        tmp_path, "listen: {address: '127.0.0.1:0', tls: {certificate: /none, key: /none}}\nadmin: null\n"
    )
    assert result.exit_code == 2
    assert "listen[0].tls.certificate: can't read /none" in result.stderr
    assert "listen[0].tls.key: can't read /none" in result.stderr


def test_a_port_in_use_is_only_a_warning_since_the_gateway_itself_may_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = check_text(tmp_path, f"listen: {{address: '127.0.0.1:{port}'}}\nadmin: null\n")
    assert result.exit_code == 0
    assert f"warning  listen[0].address: can't listen on 127.0.0.1:{port}" in result.stderr
    assert "fine if it is this gateway" in result.stderr


def test_warnings_are_told_beside_the_configuration(tmp_path: Path) -> None:
    result = check_text(tmp_path, QUIET + "timeouts: {config_total: 5s}\n")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning  timeouts.config_total: ")
    assert yaml.safe_load(result.stdout)["timeouts"]["config_total"] == "5s"


def test_json_of_a_good_file(tmp_path: Path) -> None:
    result = check_text(tmp_path, QUIET, "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert answer["problems"] == answer["warnings"] == []
    assert answer["settings"]["workers"] == "auto"


def test_json_of_a_bad_file(tmp_path: Path) -> None:
    result = check_text(tmp_path, "workers: 0\n", "--json")
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert answer["problems"] == [
        {"path": "workers", "found": "0", "expected": "auto, or a whole number from 1 to 256"}
    ]
    assert answer["settings"] is None


def test_json_does_not_show_settings_that_can_not_be_used(tmp_path: Path) -> None:
    text = "listen: {address: '127.0.0.1:0', tls: {certificate: /none, key: /none}}\nadmin: null\n"
    answer = json.loads(check_text(tmp_path, text, "--json").stdout)
    assert len(answer["problems"]) == 2
    assert answer["settings"] is None


def test_the_schema_is_printed() -> None:
    result = check("--schema")
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(Settings.model_fields)
