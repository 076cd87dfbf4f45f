"""How problems, warnings and the effective configuration are shown. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
import yaml

from proxy.settings import Advice, Problem, Settings, masked


def show_problems(name: str, problems: Sequence[Problem]) -> None:
    """Every problem, one a line, on standard error."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    click.secho(f"{name}: {count}", err=True, bold=True)
    for problem in problems:
        click.echo(f"  {click.style('problem', fg='red')}  {problem}", err=True)


def show_advices(advices: Sequence[Advice]) -> None:
    """Every warning, one a line, on standard error."""
    for advice in advices:
        click.echo(f"{click.style('warning', fg='yellow')}  {advice}", err=True)


def show_settings(settings: Settings) -> None:
    """The effective configuration as YAML on standard output, secrets masked."""
    click.echo(yaml.safe_dump(masked(settings), sort_keys=False, allow_unicode=True), nl=False)


def show_json(settings: Settings | None, problems: Sequence[Problem], advices: Sequence[Advice]) -> None:
    """All of it as one JSON object on standard output."""
    document: dict[str, Any] = {
        "problems": [asdict(problem) for problem in problems],
        "warnings": [asdict(advice) for advice in advices],
        "settings": masked(settings) if settings else None,
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
