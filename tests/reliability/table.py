"""The table of docs/reliability.md, between its marks, from what was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.reliability.measuring import Result

BEGIN, END = "<!-- measured: make faults -->", "<!-- end -->"
HEAD = (
    "| fault | what is promised | uploads | lost | answers that were not good | configurations | twice | recovery |",
    "|---|---|---|---|---|---|---|---|",
)


def row(result: Result) -> str:
    """One fault."""
    fault = result.fault
    causes = ", ".join(f"{number} × {reason}" for reason, number in result.reasons.most_common(4)) or "none"
    uploads = f"{result.at_once} at once, {result.by_retry} by the SDK's retry"
    recovery = f"{result.recovery:.1f} s" if result.recovery else "at once"
    lost = f"**{result.lost}** of {result.uploads}" if result.lost else f"0 of {result.uploads}"
    given = f"{result.configs_given} of {result.configs}"
    cells = (f"`{fault.name}`: {fault.what}", fault.promise, uploads, lost, causes, given, str(result.twice), recovery)
    return f"| {' | '.join(cells)} |"


def written(page: str, results: Sequence[Result], rate: float, at: float) -> str:
    """The page with these results in place of those that it has."""
    day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    said = f"Measured on {day}: {rate:g} requests a second, two workers, two cores for visitors, vendor and gateway."
    table = "\n".join((BEGIN, "", said, "", *HEAD, *map(row, results), "", END))
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: table, page, flags=re.DOTALL)
