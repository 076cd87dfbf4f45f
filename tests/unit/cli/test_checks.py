"""Proves how checks are shown, and which of them make a command fail."""

from __future__ import annotations

import json

import pytest

from proxy.cli.checks import show_checks
from proxy.model.check import Check, State


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warn", 0), ("unknown", 0), ("fail", 1)])
def test_only_a_failure_is_one(state: State, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_checks([Check("one", "ok", "fine"), Check("two", state, "so", "do it")], as_json=True) == code
    shown = json.loads(capsys.readouterr().out)
    assert shown[1] == {"name": "two", "state": state, "what": "so", "remedy": "do it", "where": ""}


def test_people_see_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("one", "ok", "fine", "not shown"),
        Check("two", "warn", "not so good", "mend it", "here"),
        Check("three", "fail", "broken"),
    ]
    assert show_checks(checks, as_json=False) == 1
    assert capsys.readouterr().out == (
        "ok       one: fine\nwarn     two (here): not so good\n         mend it\nfail     three: broken\n"
    )


def test_nothing_at_all_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_checks([], as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == []
