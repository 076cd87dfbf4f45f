"""`replay-gateway archive get`: a session as lines, or as the bodies that were uploaded, checked on the way.

What is damaged is told and does not keep the rest from being read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from proxy.archive.line import BadLine, Line
from proxy.archive.open_store import open_store
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.cli.archiving.files import new_file, new_folder, write_body
from proxy.cli.archiving.find import problem_text
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.progress import Progress
from proxy.cli.archiving.times import Given, Span, span_of
from proxy.cli.archiving.wording import counted, printable, sized
from proxy.cli.exit_codes import FAILURE, FINE
from proxy.runtime.clock import wall
from proxy.settings import Archive, Settings


class Wanted(NamedTuple):
    """What is asked for; `distinct`: each body once."""

    session: str
    device: str | None
    given: Given
    distinct: bool


def get_lines(config: Path | None, wanted: Wanted, output: Path | None) -> int:
    """Writes the lines to standard output or a file. Returns the exit code."""
    span = span_of(wanted.given, int(wall() * 1000))

    def act(settings: Settings, archive: Archive) -> int:
        if output is None:
            out = sys.stdout.buffer
            return _Reading(archive, wanted, span).write(lambda line: _put(out.write, line))
        with new_file(output) as file:
            reading = _Reading(archive, wanted, span)
            code = reading.write(lambda line: _put(file.write, line))
            if not reading.lines:
                file.discard()
            return code

    return with_archive(config, act)


def get_bodies(config: Path | None, wanted: Wanted, output: Path | None) -> int:
    """Writes each body into a file of its own, in a new folder. Returns the exit code."""
    span = span_of(wanted.given, int(wall() * 1000))
    if output is None:
        raise click.UsageError("--format bodies needs --output FOLDER, one that is not there yet.")
    if output.exists():
        raise click.BadParameter(f"{output} is there already; name a new folder.", param_hint="--output")

    def act(settings: Settings, archive: Archive) -> int:
        with new_folder(output) as folder:
            reading = _Reading(archive, wanted, span)
            code = reading.write(lambda line: write_body(folder.path, line))
            if not reading.lines:
                folder.discard()
            return code

    return with_archive(config, act)


def _put(write: Callable[[bytes], object], line: Line) -> None:
    write(line.text)
    write(b"\n")


class _Reading:
    """A session on its way out. `lines` and `bytes` were read, `problems` were told."""

    def __init__(self, archive: Archive, wanted: Wanted, span: Span) -> None:
        self._archive = archive
        self._wanted = wanted
        self._span = span
        self._progress = Progress(not sys.stdout.isatty())
        self.lines = self.bytes = self.problems = 0

    def write(self, put: Callable[[Line], None]) -> int:
        """Give every line to `put`, which may raise BadLine. Returns the exit code."""
        for line in self._good():
            try:
                put(line)
            except BadLine:
                continue  # its check has told
            self.lines += 1
            self.bytes += len(line.text)
            self._progress.show(self._so_far)
        self._progress.clear()
        if not self.lines:
            session = printable(self._wanted.session)
            click.echo(f"nothing of session {session} is in the archive from {self._span}", err=True)
        return FINE if self.lines and not self.problems else FAILURE

    def _good(self) -> Iterator[Line]:
        """The lines, those with another hash included; all that is wrong is told."""
        wanted = self._wanted
        found = Reader(open_store(self._archive)).export(
            session_id=wanted.session, device_id=wanted.device, distinct=wanted.distinct, **self._span._asdict()
        )
        for line in found:
            if isinstance(line, Problem):
                self._tell(problem_text(line))
                continue
            for problem in line.problems():
                self._tell(f"hash mismatch  ts {line.time_ms}, sequence {line.head['seq']}: {problem}")
            yield line

    def _tell(self, text: str) -> None:
        self.problems += 1
        self._progress.tell(text, err=True)

    def _so_far(self) -> str:
        return f"{counted(self.lines, 'payload')}, {sized(self.bytes)}"
