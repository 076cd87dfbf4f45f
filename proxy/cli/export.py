"""`replay-gateway export`: the settings as another server's configuration, printed or written into a file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from proxy.cli import report
from proxy.cli.exit_codes import CONFIGURATION, FAILURE, FINE
from proxy.export import FORMATS, ExportError, Wishes, plan
from proxy.settings import Advice, Problem, Settings, read

_OWNER_ONLY = 0o600


def export_settings(name: str, config: Path | None, wishes: Wishes, output: Path | None, force: bool) -> int:
    """Writes the configuration to standard output or a file. Returns the exit code."""
    _refuse_without_effect(name, wishes)
    settings = read(config)
    if not isinstance(settings, Settings):
        report.show_problems(str(config), settings)
        return CONFIGURATION
    try:
        planned = plan(settings, wishes)
        text = FORMATS[name](planned)
    except ExportError as error:
        report.show_problems(str(config or "defaults"), [Problem(error.path, error.text, "")])
        return CONFIGURATION
    if planned.set_headers and name in ("nginx", "caddy", "haproxy"):
        report.show_advices(
            [Advice("headers.upstream.set", "the output holds these values: keep it from others' eyes")]
        )
    if output is None:
        click.echo(text, nl=False)
        return FINE
    return _write(output, text, force)


def _refuse_without_effect(name: str, wishes: Wishes) -> None:
    if wishes.public_url is not None and name not in ("sdk", "csp"):
        raise click.UsageError("--public-url is for sdk and csp.")
    if wishes.resolver is not None and name != "nginx":
        raise click.UsageError("--resolver is for nginx.")


def _write(output: Path, text: str, force: bool) -> int:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with open(os.open(output, flags, _OWNER_ONLY), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        click.echo(f"{output} is there already; --force overwrites it", err=True)
        return FAILURE
    except OSError as error:
        click.echo(f"can't write {output}: {error.strerror}", err=True)
        return FAILURE
    return FINE
