"""`replay-gateway archive …`: argv to one call each, as in `proxy.cli`. What a command does is in `cli.archiving`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from proxy.cli.options import CONFIG

TIMES = "TIME: 2026-11-21T05:30 (UTC unless it has an offset), or 2h, 3d: so long ago."

Command = Callable[..., Any]


def span(command: Command) -> Command:
    """The options --from and --to, given to the command as `begin` and `end`, which are texts or None."""
    end = click.option("--to", "end", metavar="TIME", help="Until before then; now by default.")
    begin = click.option("--from", "begin", metavar="TIME", help="From then on; 24 h ago by default.")
    return begin(end(command))


JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
SESSION = "The session's id, as the browser sent it."
DEVICE = "The device's id, as the browser sent it."
RETENTION = click.option(
    "--retention-days",
    type=click.IntRange(0, 36_500),
    default=0,
    metavar="DAYS",
    help="Objects are to be removed after so many days; 0, the default: no rule is asked for.",
)


@click.group()
def archive() -> None:
    """Look after the archive: what waits, what is in it, whether it is whole, how its buckets are set up.

    Exit codes: 0 fine, 1 something is wrong or failed, 2 wrong configuration or usage.
    """


@archive.command()
@CONFIG
@click.option("--count", is_flag=True, help="Count the payloads that wait, too: reads the whole spool.")
@JSON
@click.pass_context
def status(context: click.Context, config: Path | None, count: bool, as_json: bool) -> None:
    """Tell what waits in the spool, and what the running gateway says of its archive."""
    from proxy.cli.archiving.status import show_status

    context.exit(show_status(config, count, as_json))


@archive.command(epilog=TIMES)
@CONFIG
@click.option("--session", metavar="ID", help=SESSION)
@click.option("--device", metavar="ID", help=DEVICE)
@span
@JSON
@click.pass_context
def find(
    context: click.Context,
    config: Path | None,
    session: str | None,
    device: str | None,
    begin: str | None,
    end: str | None,
    as_json: bool,
) -> None:
    """List where in the archive a session, a device, or everything is. With --json, a line of JSON for each."""
    from proxy.cli.archiving.find import show_found

    context.exit(show_found(config, session, device, (begin, end), as_json))


@archive.command(epilog=TIMES)
@CONFIG
@click.option("--session", metavar="ID", required=True, help=SESSION)
@click.option("--device", metavar="ID", help=DEVICE)
@span
@click.option("--dedupe", is_flag=True, help="Leave out uploads whose body has been there before.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "bodies"]),
    default="ndjson",
    show_default=True,
    help="Lines as they are in the archive, or each body in a file of its own.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="PATH", help="A file, or a new folder for bodies."
)
@click.pass_context
def get(
    context: click.Context,
    config: Path | None,
    session: str,
    device: str | None,
    begin: str | None,
    end: str | None,
    dedupe: bool,
    form: str,
    output: Path | None,
) -> None:
    """Read a session back, in the order of time, and check that it is what was uploaded."""
    from proxy.cli.archiving.get import Wanted, get_bodies, get_lines

    wanted = Wanted(session, device, (begin, end), dedupe)
    context.exit(get_bodies(config, wanted, output) if form == "bodies" else get_lines(config, wanted, output))


@archive.command(epilog=TIMES)
@CONFIG
@span
@JSON
@click.pass_context
def verify(context: click.Context, config: Path | None, begin: str | None, end: str | None, as_json: bool) -> None:
    """Read all objects of those hours and tell what is not as it was sealed. TMPDIR must have room for one object."""
    from proxy.cli.archiving.upkeep import verify_archive

    context.exit(verify_archive(config, (begin, end), as_json))


@archive.command(epilog=TIMES)
@CONFIG
@span
@JSON
@click.pass_context
def reindex(context: click.Context, config: Path | None, begin: str | None, end: str | None, as_json: bool) -> None:
    """Make the index objects of those hours anew that are missing or damaged."""
    from proxy.cli.archiving.upkeep import reindex_archive

    context.exit(reindex_archive(config, (begin, end), as_json))


@archive.command(epilog=TIMES)
@CONFIG
@click.option("--device", metavar="ID", help=DEVICE)
@click.option("--session", metavar="ID", help=SESSION)
@click.option("--from", "begin", metavar="TIME", help="From then on; without it from the first.")
@click.option("--to", "end", metavar="TIME", help="Until before then; without it until the last.")
@click.option("--yes", "is_wanted", is_flag=True, help="Do it.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only tell what would be done; so it is without --yes.")
@JSON
@click.pass_context
def erase(
    context: click.Context,
    config: Path | None,
    device: str | None,
    session: str | None,
    begin: str | None,
    end: str | None,
    is_wanted: bool,
    is_dry: bool,
    as_json: bool,
) -> None:
    """Remove a device or a session from the archive, for good. Blocks that reach into the given times go as a whole.

    Needs no right to delete objects: they are overwritten. TMPDIR must have room for two objects.
    """
    from proxy.cli.archiving.erase import Asked, erase_from_archive

    if is_wanted and is_dry:
        raise click.UsageError("--yes and --dry-run contradict each other.")
    context.exit(erase_from_archive(config, Asked(device, session, (begin, end), not is_wanted), as_json))


@archive.command()
@CONFIG
@click.option("--print", "only_print", is_flag=True, help="Print the documents for a console; touch nothing.")
@RETENTION
@JSON
@click.pass_context
def setup(context: click.Context, config: Path | None, only_print: bool, retention_days: int, as_json: bool) -> None:
    """Set up the buckets: made, closed to the public (but the assets'), CORS, retention."""
    from proxy.cli.archiving.setup import print_documents, set_up_buckets

    act = print_documents if only_print else set_up_buckets
    context.exit(act(config, retention_days, as_json))


@archive.command()
@CONFIG
@RETENTION
@JSON
@click.pass_context
def doctor(context: click.Context, config: Path | None, retention_days: int, as_json: bool) -> None:
    """Try out everything that the archive needs, and say what to do where it fails."""
    from proxy.cli.archiving.doctor import examine

    context.exit(examine(config, retention_days, as_json))
