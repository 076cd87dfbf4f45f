"""Proves the command itself: help, version, usage errors, `python -m proxy`, and that a start stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import build, installed_version, main

ROOT = Path(__file__).resolve().parents[3]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in ("run", "check", "reload", "demo", "doctor", "export", "archive"):
        assert f"\n  {command} " in result.output


@pytest.mark.parametrize("command", ["run", "check", "reload", "demo", "doctor", "export"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(main, [command, "-h"])
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.output


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"replay-gateway, version {installed_version()} ({build()})\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "gateway.yaml"],
        ["check", "--config"],
        ["demo", "--port", "x"],
        ["demo", "--port", "0"],
        ["demo", "--port", "65536"],
        [],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_the_package_can_be_run() -> None:
    result = python("-m", "proxy", "check", "--config", "/none")
    assert result.returncode == 2
    assert "/none: found no readable file" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_package_names_itself_as_the_command() -> None:
    assert python("-m", "proxy", "--help").stdout.startswith("Usage: replay-gateway ")


def test_workers_do_not_load_what_only_the_command_needs() -> None:
    heavy = "{'rich', 'click', 'aiohttp', 'jsonschema', 'proxy.settings.editor'}"
    result = python("-c", f"import sys, proxy.settings; print(sorted({heavy} & set(sys.modules)))")
    assert result.stdout == "[]\n", result.stderr


def test_help_does_not_load_the_data_plane() -> None:
    result = python(
        "-c", "import sys, proxy.cli; print(sorted({'aiohttp', 'uvloop', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    assert result.stdout == "[]\n", result.stderr
