"""Outcomes of cases in, a table of rows and systems out, and the table as JSON and as Markdown.

Pure. It knows nothing of how the outcomes came about.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from comparison.behaviour_groups import ASPECT_ROWS, ROWS, Row, rows_of
from comparison.behaviour_plugin import Outcome

KINDS = 6  # of reasons that are told for one row of one system; the JSON file has all
GONE = "the process has ended"


@dataclass(frozen=True)
class Failed:
    """A case that failed, where it is (file relative to the project), and what was wrong."""

    case: str
    file: str
    line: int
    reasons: tuple[str, ...]


@dataclass
class Cell:
    """What came of one row's cases over one system."""

    passed: int = 0
    failed: list[Failed] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many cases were played."""
        return self.passed + len(self.failed)

    @property
    def share(self) -> float:
        """How many of them passed, as a share of 1."""
        return self.passed / self.total if self.total else 0.0


Column = dict[str, Cell]  # by the row's title


def column(outcomes: Iterable[Outcome]) -> Column:
    """One system's cells."""
    cells: Column = defaultdict(Cell)
    for outcome in outcomes:
        for row in rows_of(outcome.file, outcome.case, outcome.aspects):
            reasons = reasons_of(outcome, row)
            if reasons:
                cells[row.title].failed.append(Failed(outcome.case, outcome.file, outcome.line, reasons))
            else:
                cells[row.title].passed += 1
    return dict(cells)


def reasons_of(outcome: Outcome, row: Row) -> tuple[str, ...]:
    """Why a case failed in a row; nothing when it passed."""
    found = [text for aspect in row.aspects for text in outcome.aspects.get(aspect, ())]
    if row.file and outcome.broke:
        found.append(GONE if "ConnectionRefused" in outcome.broke else outcome.broke)
    return tuple(found)


@dataclass
class System:
    """One system's part of the table, and what it was."""

    version: str
    date: str
    commit: str
    cells: Column

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> System:
        """The inverse of `to_json`."""
        cells = {
            title: Cell(cell["passed"], [Failed(**{**one, "reasons": tuple(one["reasons"])}) for one in cell["failed"]])
            for title, cell in values["cells"].items()
        }
        return cls(values["version"], values["date"], values["commit"], cells)


Table = dict[str, System]  # by name, in the order in which they are shown


def behind(table: Table, name: str = "gateway") -> list[str]:
    """The rows in which another system passes more, and the cases that others pass and this one does not."""
    own = table[name].cells
    lines = []
    for row in (*ROWS, *ASPECT_ROWS):
        mine = own.get(row.title)
        others = {other: system.cells[row.title] for other, system in table.items() if row.title in system.cells}
        better = [other for other, cell in others.items() if mine and cell.share > mine.share]
        if mine and better:
            lines.append(f"{row.title}: {mine.passed} of {mine.total}; more pass over {', '.join(better)}")
        for failed in mine.failed if mine else ():
            able = [other for other, cell in others.items() if failed.case not in {one.case for one in cell.failed}]
            if able:
                lines.append(f"{link(failed)}: {'; '.join(failed.reasons)}. It passes over {', '.join(able)}")
    return lines


def link(failed: Failed) -> str:
    """The case, linked to its test from the folder of the results."""
    return f"[`{failed.case}`](../../{failed.file}#L{failed.line})"


def markdown(table: Table) -> str:
    """The whole page."""
    names = list(table)
    lines = [
        "# What each system does with the same requests",
        "",
        "Written by `python -m comparison behaviour`. A case is one test of the project's suites, played unchanged over each",
        "system as a process; the systems' configurations are in [../peers](../peers). A figure is how many cases passed, of how",
        "many. What most cases look at besides their own matter is counted in rows of its own, below the line, so that a",
        "missing request id does not make everything fail. The gateway is one process for a whole file of cases, and so are the",
        "Express recipes, which have no pool of connections; the others are started anew for each case. So what one case does to",
        "a pool is only ever held against the gateway. A row in which most cases fail often fails for one reason: see the reasons.",
        "–: not played.",
        "",
        *_grid(["", *names], [_cells(row, table) for row in (*ROWS, *ASPECT_ROWS) if _is_used(row, table)]),
        "",
        "## Where the gateway is not the best",
        "",
        *(_where_behind(table)),
        "",
        "## The systems",
        "",
        *_grid(
            ["system", "version", "run on", "project at"],
            [[name, system.version, system.date, system.commit] for name, system in table.items()],
        ),
        "",
        "# Failures",
        "",
        "By system and row: how many cases noted it, what it is, and one of the cases. A case can have several.",
        "",
    ]
    for name, system in table.items():
        lines += _failures(name, system)
    return "\n".join(lines).rstrip() + "\n"


def _where_behind(table: Table) -> list[str]:
    if "gateway" not in table:
        return ["The gateway was not part of this run."]
    return [f"- {line}" for line in behind(table)] or ["In none of these rows and cases."]


def _is_used(row: Row, table: Table) -> bool:
    return any(row.title in system.cells for system in table.values())


def _cells(row: Row, table: Table) -> list[str]:
    return [row.title, *(_figure(system.cells.get(row.title)) for system in table.values())]


def _figure(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"**all {cell.total}**" if not cell.failed else f"{cell.passed} / {cell.total}"


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def _failures(name: str, system: System) -> list[str]:
    lines = [f"## {name}", ""]
    for row in (*ROWS, *ASPECT_ROWS):
        cell = system.cells.get(row.title)
        if cell and cell.failed:
            lines += [f"**{row.title}**: {len(cell.failed)} of {cell.total} failed", "", *_reasons(cell), ""]
    return lines if len(lines) > 2 else [*lines, "None.", ""]


def _reasons(cell: Cell) -> list[str]:
    counts: Counter[str] = Counter()
    examples: dict[str, Failed] = {}
    for failed in cell.failed:
        for reason in failed.reasons:
            counts[reason] += 1
            examples.setdefault(reason, failed)
    lines = [f"- {count} × {_safe(reason)}: {link(examples[reason])}" for reason, count in counts.most_common(KINDS)]
    rest = len(counts) - KINDS
    return [*lines, f"- and {rest} more kinds"] if rest > 0 else lines


def _safe(text: str) -> str:
    """As code where Markdown or HTML could take it for something else."""
    return f"`{text}`" if re.search(r"[<>|*_\[\]\\]", text) else text
