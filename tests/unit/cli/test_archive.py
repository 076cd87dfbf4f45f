"""Proves what all commands of the archive have in common: help, wrong usage, a missing archive, a store that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.gateway import free_port
from tests.unit.cli.archived import Archived, python

COMMANDS = ("status", "find", "get", "verify", "reindex", "erase", "setup", "doctor")
ARGUMENTS = {"get": ("--session", "s1"), "erase": ("--device", "d1")}
READING = ("find", "get", "verify", "reindex", "erase")


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["archive", "--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(main, ["archive", command, "-h"])
    assert result.exit_code == 0
    assert f"archive {command} [OPTIONS]" in result.output
    assert "--config" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_without_an_archive_it_says_what_to_add(tmp_path: Path, command: str) -> None:
    (tmp_path / "gateway.yaml").write_text("workers: 1\n")
    arguments = ["archive", command, "--config", str(tmp_path / "gateway.yaml"), *ARGUMENTS.get(command, ())]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "gateway.yaml: there is no `archive` section" in result.stderr
    assert "add `archive: " in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_configuration_is_told(tmp_path: Path, command: str) -> None:
    archived = Archived(tmp_path, archive={"codec": "lzma"})
    result = archived.run(command, *ARGUMENTS.get(command, ()))
    assert result.exit_code == 2
    assert "archive.codec: found" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["get"],
        ["get", "--session", "s", "--format", "xml"],
        ["get", "--session", "s", "--format", "bodies"],
        ["find", "--from", "yesterday"],
        ["find", "--from", "1h", "--to", "2h"],
        ["verify", "--to", "2026-13-01"],
        ["erase"],
        ["erase", "--device", ""],
        ["erase", "--device", "d", "--yes", "--dry-run"],
        ["erase", "--device", "d", "--from", "2h", "--to", "3h"],
        ["setup", "--retention-days", "-1"],
        [],
    ],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["archive", *arguments])
    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", READING)
def test_a_folder_that_can_not_be_listed_is_told_without_a_traceback(tmp_path: Path, command: str) -> None:
    archived = Archived(tmp_path)
    (tmp_path / "archive" / "v1").mkdir(parents=True)
    for root in ("data", "index"):
        (tmp_path / "archive" / "v1" / root).symlink_to(root)
    result = archived.run(command, *ARGUMENTS.get(command, ()))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "can't be listed" in result.stderr


@pytest.mark.parametrize("command", READING)
def test_a_bucket_that_is_not_there_is_told_without_keys_and_traceback(tmp_path: Path, command: str) -> None:
    s3 = {"endpoint": f"http://127.0.0.1:{free_port()}", "recordingsBucket": "recordings"}
    keys = {"accessKey": "TOPSECRET", "secretKey": "TOPSECRET"}
    archived = Archived(tmp_path, archive={"s3": s3 | keys, "upload": {"timeout": "5s"}})
    result = archived.run(command, *ARGUMENTS.get(command, ()))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert s3["endpoint"] in result.stderr
    assert "TOPSECRET" not in result.output
    assert result.stdout == ""


def test_as_a_process_it_finds_nothing_in_an_empty_archive(tmp_path: Path) -> None:
    with Archived(tmp_path).process("find", "--json") as process:
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 0


def test_help_does_not_load_what_the_commands_need() -> None:
    heavy = "{'pydantic', 'orjson', 'boto3', 'yaml', 'prometheus_client', 'proxy.archive', 'proxy.settings'}"
    with python("-c", f"import sys, proxy.cli; print(sorted({heavy} & set(sys.modules)))") as process:
        assert process.communicate(timeout=60) == (b"[]\n", b"")
