"""`replay-gateway reload`: has the running gateway apply what its configuration says now, and tells what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from proxy.cli import report
from proxy.cli.admin import UnreachableError, ask
from proxy.cli.exit_codes import CONFIGURATION, FAILURE, FINE
from proxy.settings import Address, Settings, read

# Building everything anew takes a worker some milliseconds; one that hangs is given up by the gateway after 20 s.
SECONDS: Final = 60.0
_HEADINGS: Final = {
    "applied": "applied; changed:",
    "problems": "nothing was changed, the configuration is wrong:",
    "restart_needed": "nothing was changed; these need a restart:",
    "failed": "nothing was changed, because a worker could not take it over:",
}
_CODES: Final = {"applied": FINE, "problems": CONFIGURATION, "restart_needed": CONFIGURATION, "failed": FAILURE}


def reload_gateway(config: Path | None, as_json: bool) -> int:
    """Prints what came of it. Returns the exit code: 2 when the configuration can't be applied, 1 when nobody can."""
    settings = read(config)
    if not isinstance(settings, Settings):
        report.show_problems(str(config or "defaults"), settings)
        return CONFIGURATION
    if settings.admin is None:
        click.echo("there is no admin server in the settings: send SIGHUP to the gateway's process instead", err=True)
        return CONFIGURATION
    return _reload(settings.admin.address, as_json)


def _reload(admin: Address, as_json: bool) -> int:
    try:
        status, text = ask(admin, "/reload", "POST", SECONDS)
        document = json.loads(text)
        result, lines = document["result"], document["lines"]
        heading, code = _HEADINGS[result], _CODES[result]
    except UnreachableError as error:
        why = f"no gateway can be asked at admin.address {admin}: {error}. Is it running, with this configuration?"
        click.echo(why, err=True)
        return FAILURE
    except (ValueError, KeyError, TypeError):
        click.echo(f"what answers at admin.address {admin} is no gateway of this version: {status}", err=True)
        return FAILURE
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(heading if lines else "applied; nothing had changed, certificates and files were read again")
        for line in lines:
            click.echo(f"  {line}")
    return code
