"""How checks are shown, for people and for programs, and the exit code that they give. Decides nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import click

from proxy.cli.exit_codes import FAILURE, FINE
from proxy.model.check import Check

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "yellow"}
_REMEDY_INDENT: Final = " " * 9


def show_checks(checks: Iterable[Check], as_json: bool) -> int:
    """Prints each check as it comes, or all of them as JSON. Returns the exit code: 0 without a failed one."""
    shown = []
    for check in checks:
        shown.append(check)
        if not as_json:
            _show(check)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in shown], indent=2, ensure_ascii=False))
    return FAILURE if any(each.state == "fail" for each in shown) else FINE


def _show(check: Check) -> None:
    where = f" ({check.where})" if check.where else ""
    click.echo(f"{click.style(f'{check.state:<7}', fg=_COLOURS[check.state])}  {check.name}{where}: {check.what}")
    if check.remedy and check.state != "ok":
        click.echo(f"{_REMEDY_INDENT}{check.remedy}")
