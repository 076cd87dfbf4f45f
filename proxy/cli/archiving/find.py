"""`replay-gateway archive find`: what the index says, as a table or as its own lines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from proxy.archive import index
from proxy.archive.index import Row
from proxy.archive.open_store import open_store
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.times import Given, Span, shown, span_of
from proxy.cli.archiving.wording import counted, printable, sized
from proxy.cli.exit_codes import FAILURE, FINE
from proxy.runtime.clock import wall
from proxy.settings import Archive, Settings

# Rows are shown as they are found, so the columns can't fit themselves to what comes: 36 is a UUID.
_COLUMNS: Final = "{:<20}  {:<20}  {:>8}  {:>10}  {:<36}  {:<20}  {}"
_HEADINGS: Final = ("FIRST", "LAST", "PAYLOADS", "STORED", "DEVICE", "SESSION", "OBJECT")


def show_found(config: Path | None, session: str | None, device: str | None, given: Given, as_json: bool) -> int:
    """Prints the blocks that hold something of the span. Returns the exit code."""
    span = span_of(given, int(wall() * 1000))

    def act(settings: Settings, archive: Archive) -> int:
        found = Reader(open_store(archive)).find(session_id=session, device_id=device, **span._asdict())
        blocks = payloads = problems = 0
        for row in found:
            if isinstance(row, Problem):
                problems += 1
                click.echo(problem_text(row), err=True)
                continue
            _show(row, as_json, is_first=not blocks)
            blocks, payloads = blocks + 1, payloads + row.lines
        if not as_json:
            _sum_up(span, blocks, payloads)
        return FAILURE if problems else FINE

    return with_archive(config, act)


def problem_text(problem: Problem) -> str:
    """A damage in one line."""
    return f"{problem.fault.value}  {printable(problem.key)}: {printable(problem.detail)}"


def _show(row: Row, as_json: bool, is_first: bool) -> None:
    if as_json:
        click.echo(index.encode(row), nl=False)
        return
    if is_first:
        click.echo(_COLUMNS.format(*_HEADINGS))
    place = f"{row.key}@{row.offset}"
    who = printable(row.device_id), printable(row.session_id)
    click.echo(_COLUMNS.format(shown(row.first_ms), shown(row.last_ms), row.lines, sized(row.length), *who, place))


def _sum_up(span: Span, blocks: int, payloads: int) -> None:
    found = f"{counted(payloads, 'payload')} in {counted(blocks, 'block')}" if blocks else "nothing"
    click.echo(f"{found} from {span}", err=True)
