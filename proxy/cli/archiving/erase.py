"""`replay-gateway archive erase`: what would be removed from the archive or, when that is wished, what was."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import click

from proxy.archive.erase import Erased, Mended, Unwanted, erase
from proxy.archive.open_store import open_store, s3_options
from proxy.archive.problem import Problem
from proxy.archive.store import Store
from proxy.archive.suppression import suppress
from proxy.cli.archiving.find import problem_text
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.progress import Progress
from proxy.cli.archiving.times import Given, Span, span_of
from proxy.cli.archiving.wording import counted, printable
from proxy.cli.exit_codes import FAILURE, FINE
from proxy.runtime.clock import wall
from proxy.settings import Archive, Settings

_ALWAYS: Final = Span(0, 253_402_300_800_000)  # until the end of the year 9999
_WARNINGS: Final = {
    "kept": "the bucket keeps old versions of objects: what was erased is in them until its lifecycle rules, or"
    " somebody with the right to delete versions, remove them",
    "unknown": "it could not be found out whether the bucket keeps old versions of objects; if it does, what was erased"
    " is in them until its lifecycle rules remove them",
}


class Asked(NamedTuple):
    """The command's options: who, from when to when, and whether to do it."""

    device: str | None
    session: str | None
    given: Given
    is_dry: bool


def erase_from_archive(config: Path | None, asked: Asked, as_json: bool) -> int:
    """Prints each object and a summary. Returns the exit code."""
    if not asked.device and not asked.session:
        raise click.UsageError("Name what to erase: --device ID, --session ID, or both.")
    span = _span(asked.given)

    def act(settings: Settings, archive: Archive) -> int:
        return _Erasing(archive, asked, span, as_json).run(open_store(archive))

    return with_archive(config, act)


def _span(given: Given) -> Span | None:
    """None: whatever its time."""
    begin, end = given
    if begin is None and end is None:
        return None
    now_ms = int(wall() * 1000)
    # Other than where something is looked for, a bound that is left out is none.
    return span_of((begin or "1970-01-01", end or "9999-12-31"), now_ms)


class _Erasing:
    """What was erased until now, told at once or, as JSON, at the end."""

    def __init__(self, archive: Archive, asked: Asked, span: Span | None, as_json: bool) -> None:
        self._archive = archive
        self._unwanted = Unwanted(asked.device, asked.session, *(span or _ALWAYS))
        self._when = f"from {span}" if span else "of all times"
        self._is_dry = asked.is_dry
        self._as_json = as_json
        self._progress = Progress()
        self._erased: list[Erased] = []
        self._mended: list[Mended] = []
        self._problems: list[Problem] = []

    def run(self, store: Store) -> int:
        """Erase, or tell what would be. Returns the exit code."""
        self._progress.show(self._so_far)
        if not self._is_dry:
            # The first: what the archiver stores from here on is without them, or is found below.
            suppress(store, self._unwanted, int(wall() * 1000))
        for each in erase(store, self._unwanted, Path(tempfile.gettempdir()), is_dry=self._is_dry):
            self._take(each)
            self._progress.show(self._so_far)
        self._progress.clear()
        versions = self._versions()
        if versions in _WARNINGS:
            click.echo(f"warning: {_WARNINGS[versions]}", err=True)
        if self._as_json:
            self._print(versions)
        else:
            self._sum_up()
        return FAILURE if self._problems else FINE

    def _take(self, each: Erased | Mended | Problem) -> None:
        if isinstance(each, Problem):
            self._problems.append(each)
            text = problem_text(each)
        elif isinstance(each, Mended):
            self._mended.append(each)
            text = f"{'would mend' if self._is_dry else 'mended'}  {printable(each.key)}"
        else:
            self._erased.append(each)
            blocks = f"{counted(each.blocks, 'block')} with {counted(each.payloads, 'payload')}"
            what = "would erase" if self._is_dry else "erased"
            text = f"{what}  {printable(each.key)}: {blocks}, {each.left} left"
        if not self._as_json:
            self._progress.tell(text)

    def _versions(self) -> str:
        options = s3_options(self._archive)
        if options is None or not self._erased:
            return "none"
        from proxy.archive.versions import old_versions

        return old_versions(options, self._erased[0].key)

    def _print(self, versions: str) -> None:
        told = {
            "from": self._unwanted.from_ms,
            "to": self._unwanted.to_ms,
            "is_dry": self._is_dry,
            "erased": [each._asdict() for each in self._erased],
            "mended": [each.key for each in self._mended],
            "old_versions": versions,
            "problems": [
                {"fault": each.fault.value, "key": each.key, "detail": each.detail} for each in self._problems
            ],
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))

    def _sum_up(self) -> None:
        found = counted(len(self._problems), "problem") if self._problems else "no problems"
        what = "would be erased" if self._is_dry else "erased"
        click.echo(f"{self._so_far()} {what}, {self._when}: {found}")
        if self._is_dry and (self._erased or self._mended):
            click.echo("nothing was changed; give --yes to do it", err=True)

    def _so_far(self) -> str:
        payloads = sum(each.payloads for each in self._erased)
        return f"{counted(payloads, 'payload')} in {counted(len(self._erased), 'object')}"
