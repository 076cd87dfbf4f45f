"""Which archive a command is about, and what it ends with when that can't be had.

Must not know what the commands do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from proxy.archive.store import StoreError
from proxy.cli import report
from proxy.cli.exit_codes import CONFIGURATION, FAILURE
from proxy.settings import Archive, Settings, read

NO_ARCHIVE = (
    "there is no `archive` section, so nothing is archived; "
    "add `archive: {directory: /var/lib/replay-gateway/archive}`, or `archive: {s3: {recordingsBucket: …}}`"
)


def with_archive(config: Path | None, act: Callable[[Settings, Archive], int]) -> int:
    """The exit code of `act`, or of what kept it from being called or finished, which is told on standard error."""
    result = read(config)
    name = str(config or "defaults")
    if not isinstance(result, Settings):
        report.show_problems(name, result)
        return CONFIGURATION
    if result.archive is None:
        click.echo(f"{name}: {NO_ARCHIVE}", err=True)
        return CONFIGURATION
    try:
        return act(result, result.archive)
    except StoreError as error:
        click.echo(str(error), err=True)
    except BrokenPipeError:  # who reads has had enough; the command line's own affair
        raise
    except OSError as error:
        click.echo(f"{error.filename or 'the disk'}: {error.strerror or error}", err=True)
    return FAILURE
