"""`replay-gateway check`: the settings and what they need, told and not acted upon."""

from __future__ import annotations

import json
from pathlib import Path

import click

from proxy.cli import preflight, report
from proxy.cli.exit_codes import CONFIGURATION, FINE
from proxy.settings import Advice, Problem, Settings, advices, read
from proxy.settings.editor import json_schema


def check_settings(config: Path | None, as_json: bool) -> int:
    """Prints all problems, or the effective settings and warnings. Returns the exit code."""
    result = read(config)
    settings = result if isinstance(result, Settings) else None
    problems = [] if isinstance(result, Settings) else result
    warnings: list[Advice] = []
    if settings is not None:
        warnings = [*advices(settings), *_taken_ports(settings)]
        for found in preflight.files(settings):
            problems.append(found) if isinstance(found, Problem) else warnings.append(found)
    if as_json:
        report.show_json(None if problems else settings, problems, warnings)
    else:
        _show(config, settings, problems, warnings)
    return CONFIGURATION if problems else FINE


def print_schema() -> int:
    """Prints the JSON Schema of the file. Returns the exit code."""
    click.echo(json.dumps(json_schema(), indent=2))
    return FINE


def _taken_ports(settings: Settings) -> list[Advice]:
    # The gateway itself may be what runs there: a file is checked before it is reloaded.
    return [
        Advice(problem.path, f"{problem.found} (fine if it is this gateway)") for problem in preflight.ports(settings)
    ]


def _show(config: Path | None, settings: Settings | None, problems: list[Problem], warnings: list[Advice]) -> None:
    report.show_advices(warnings)
    if problems:
        report.show_problems(str(config), problems)
    elif settings is not None:
        report.show_settings(settings)
