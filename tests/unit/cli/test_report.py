"""Proves what goes to standard output and what to standard error, and that neither shows a secret."""

from __future__ import annotations

import json

import pytest
import yaml

from proxy.cli import report
from proxy.settings import Advice, Problem, Settings, masked

PROBLEMS = [Problem("a.b", "1", "2"), Problem("c", "in use", "")]
SECRETIVE = Settings.model_validate(
    {
        "keys": {"allow": ["TOPSECRET"]},
        "headers": {"upstream": {"set": {"X-A": "TOPSECRET"}}},
        "region": {"api_keys": {"TOPSECRET": "eu"}},
    }
)


def test_problems_are_counted_and_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_problems("a.yaml", PROBLEMS)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["a.yaml: 2 problems", "  problem  a.b: found 1; expected 2", "  problem  c: in use"]


def test_a_single_problem_is_not_called_several(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_problems("a.yaml", PROBLEMS[:1])
    assert capsys.readouterr().err.startswith("a.yaml: 1 problem\n")


def test_warnings_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_advices([Advice("a", "b")])
    assert capsys.readouterr() == ("", "warning  a: b\n")


def test_settings_are_yaml_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_settings(SECRETIVE)
    out, err = capsys.readouterr()
    assert err == ""
    assert yaml.safe_load(out) == masked(SECRETIVE)
    assert "TOPSECRET" not in out


def test_json_holds_all_of_it_but_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_json(SECRETIVE, PROBLEMS, [Advice("x", "y")])
    out, _ = capsys.readouterr()
    assert json.loads(out) == {
        "problems": [{"path": "a.b", "found": "1", "expected": "2"}, {"path": "c", "found": "in use", "expected": ""}],
        "warnings": [{"path": "x", "text": "y"}],
        "settings": masked(SECRETIVE),
    }
    assert "TOPSECRET" not in out


def test_json_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    report.show_json(None, PROBLEMS, [])
    assert json.loads(capsys.readouterr().out)["settings"] is None
