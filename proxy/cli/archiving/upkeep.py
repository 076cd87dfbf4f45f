"""`replay-gateway archive verify` and `reindex`: what is wrong with objects, and indexes made anew."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from proxy.archive.audit import verify
from proxy.archive.open_store import open_store
from proxy.archive.problem import Problem
from proxy.archive.reindex import Good, Rebuilt, reindex
from proxy.archive.store import Store
from proxy.cli.archiving.find import problem_text
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.progress import Progress
from proxy.cli.archiving.times import Given, Span, span_of
from proxy.cli.archiving.wording import counted
from proxy.cli.exit_codes import FAILURE, FINE
from proxy.runtime.clock import wall
from proxy.settings import Archive, Settings


def verify_archive(config: Path | None, given: Given, as_json: bool) -> int:
    """Prints every problem, and a summary. Returns the exit code."""
    span = span_of(given, int(wall() * 1000))

    def act(settings: Settings, archive: Archive) -> int:
        return _Verified(span, as_json).run(open_store(archive))

    return with_archive(config, act)


def reindex_archive(config: Path | None, given: Given, as_json: bool) -> int:
    """Prints what was made anew, and what can't be. Returns the exit code."""
    span = span_of(given, int(wall() * 1000))

    def act(settings: Settings, archive: Archive) -> int:
        return _Reindexed(span, as_json).run(open_store(archive))

    return with_archive(config, act)


class _Upkeep:
    """What was found until now, told at once or, as JSON, at the end."""

    def __init__(self, span: Span, as_json: bool) -> None:
        self._span = span
        self._as_json = as_json
        self._problems: list[Problem] = []
        self._progress = Progress()
        # Objects may be larger than what fits into memory.
        self._scratch = Path(tempfile.gettempdir())

    def _found(self, problem: Problem) -> None:
        self._problems.append(problem)
        if not self._as_json:
            self._progress.tell(problem_text(problem))

    def _end(self, summary: str, **told: Any) -> int:
        self._progress.clear()
        problems = [{"fault": each.fault.value, "key": each.key, "detail": each.detail} for each in self._problems]
        if self._as_json:
            span = {"from": self._span.from_ms, "to": self._span.to_ms}
            click.echo(json.dumps({**span, **told, "problems": problems}, indent=2, ensure_ascii=False))
        else:
            found = counted(len(problems), "problem") if problems else "no problems"
            click.echo(f"{summary} from the hours of {self._span}: {found}")
        return FAILURE if problems else FINE


class _Verified(_Upkeep):
    def run(self, store: Store) -> int:
        """Check all objects. Returns the exit code."""
        self.objects = self.blocks = self.payloads = 0
        self._progress.show(self._so_far)
        for each in verify(store, *self._span, self._scratch):
            if isinstance(each, Problem):
                self._found(each)
                continue
            self.objects += 1
            self.blocks += each.blocks
            self.payloads += each.payloads
            self._progress.show(self._so_far)
        return self._end(self._so_far(), objects=self.objects, blocks=self.blocks, payloads=self.payloads)

    def _so_far(self) -> str:
        return f"{counted(self.objects, 'object')}, {counted(self.payloads, 'payload')}"


class _Reindexed(_Upkeep):
    def run(self, store: Store) -> int:
        """Rebuild what has to be. Returns the exit code."""
        self.rebuilt: list[Rebuilt] = []
        self.good = 0
        self._progress.show(self._so_far)
        for each in reindex(store, *self._span, self._scratch):
            if isinstance(each, Problem):
                self._found(each)
            elif isinstance(each, Good):
                self.good += 1
                self._progress.show(self._so_far)
            else:
                self._made(each)
        rebuilt = [each._asdict() for each in self.rebuilt]
        return self._end(self._so_far(), good=self.good, rebuilt=rebuilt)

    def _made(self, made: Rebuilt) -> None:
        self.rebuilt.append(made)
        if not self._as_json:
            how = "copied from the data object's end" if made.is_copy else "from the data"
            self._progress.tell(f"rebuilt  {made.key}, {how}")
        self._progress.show(self._so_far)

    def _so_far(self) -> str:
        return f"{counted(len(self.rebuilt), 'index object')} rebuilt, {self.good} as they should be"
