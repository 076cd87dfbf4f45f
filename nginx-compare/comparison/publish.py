"""The files of a cost comparison: JSON, Markdown, plots; and the part of README.md that shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from comparison import COMPARE, RESULTS
from comparison.plot import chart
from comparison.report import markdown
from comparison.results import CPU_US, P50, P99, P999, Figure, Table
from comparison.scenarios import SIZES

README = COMPARE / "README.md"
BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"


@dataclass(frozen=True)
class Plot:
    """One picture: its file, what it shows, and the picture itself."""

    name: str
    shows: str
    svg: str


def publish(table: Table, folder: Path) -> str:
    """Writes costs.json, costs.md and the plots into `folder`; the report as text."""
    folder.mkdir(parents=True, exist_ok=True)
    table.save(folder / "costs.json")
    files = rendered(table)
    for name, text in files.items():
        (folder / name).write_text(text)
    return files["costs.md"]


def rendered(table: Table) -> dict[str, str]:
    """The report and the plots that a table makes, by file name."""
    plots = list(_plots(table))
    report = markdown(table, [(plot.name, plot.shows) for plot in plots])
    return {"costs.md": report, **{plot.name: plot.svg for plot in plots}}


def with_results(readme: str, report: str) -> str:
    """The README with the report between its markers. Raises ValueError when it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} … {END} in it")
    shown = re.sub(
        r"\]\((?=[a-z-]+\.svg\))", f"]({RESULTS.name}/", report
    )  # the report's links start from its own folder
    return f"{before}{BEGIN}\n{shown}{END}{after}"


def _plots(table: Table) -> Iterator[Plot]:
    for prefix, front, name in (("", "plain HTTP in front", "cpu"), ("tls-", "TLS in front", "cpu-tls")):
        scenarios = [f"{prefix}{one}" for one in ("preflight", "config", *(f"post-{size}k" for size, _ in SIZES))]
        categories = ["preflight", "config", *(f"{size} KB" for size, _ in SIZES[:-1]), "1.5 MB"]
        title = f"CPU time per request, {front}"
        series = {one: [_value(table, one, each, CPU_US) for each in scenarios] for one in table.systems}
        if any(any(points) for points in series.values()):
            yield Plot(f"{name}.svg", title, chart(title, "µs", categories, series))
    if any(table.measured(one, "open-same") for one in table.systems):
        title = "Latency of an upload of 2 KB, the same arrivals for all"
        figures = (P50, P99, P999)
        series = {one: [_value(table, one, "open-same", each) for each in figures] for one in table.systems}
        yield Plot("latency.svg", title, chart(title, "ms", ("p50", "p99", "p99.9"), series))


def _value(table: Table, system: str, scenario: str, figure: Figure) -> float | None:
    cell = table.measured(system, scenario)
    return cell.value(figure) if cell else None
