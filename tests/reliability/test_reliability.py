"""Proves the promises of docs/reliability.md in short, and that its table is whole. The times in it are not judged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.reliability.__main__ import PAGE
from tests.reliability.faults import FAULTS, Fault
from tests.reliability.measuring import measure
from tests.reliability.table import BEGIN, END, HEAD, written

# The most telling ones; `make faults` has all of them.
SHORT = (
    *("upstream-flaps", "upstream-blackholed", "dns-changes", "worker-killed", "reloaded", "spool-disk-full"),
    *("workers-paused", "memory-exhausted"),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
TABLE = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


@pytest.mark.parametrize("fault", [BY_NAME[name] for name in SHORT], ids=lambda fault: fault.name)
def test_it_costs_no_more_than_is_promised(fault: Fault) -> None:
    result = measure(fault, seconds=1.5)
    assert result.wrong == ()
    assert result.uploads > 10
    if not fault.cuts:
        assert not [reason for reason in result.reasons if not reason[0].isdigit()], result.reasons
        assert result.configs_given == result.configs


def test_a_fault_that_is_none_costs_nothing_and_one_that_loses_is_told() -> None:
    lossless = Fault("all-is-lost", "", "", BY_NAME["upstream-refuses"].cause, is_lossless=True)
    (told,) = measure(lossless, seconds=1.5).wrong
    assert re.fullmatch(r"[1-9]\d* of \d+ uploads were lost", told)


def test_the_table_has_every_fault_with_its_promise() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)`: [^|]+\| ([^|]+) \|", TABLE, re.MULTILINE))
    assert rows == {fault.name: fault.promise for fault in FAULTS}


def test_the_table_shows_no_answer_that_could_not_be_read() -> None:
    cut = {f"| `{fault.name}`" for fault in FAULTS if fault.cuts}
    rows = [row for row in TABLE.splitlines() if row.startswith("| `") and row.partition(":")[0] not in cut]
    cells = [row.split(" | ") for row in rows]
    assert len(HEAD[0].split(" | ")) == len(cells[0])
    causes = {cause.partition(" × ")[2] for row in cells for cause in row[4].split(", ")} - {""}
    assert [cause for cause in causes if not re.fullmatch(r"50[234] `[a-z_]+`|no connection", cause)] == []


def test_every_fault_has_a_remedy() -> None:
    rows = PAGE.read_text().partition("## What to do")[2].partition("\n## ")[0].splitlines()
    cells = [row.split(" | ")[0] for row in rows]
    named = [name.removesuffix("…") for cell in cells for name in re.findall(r"`([a-z-]+…?)`", cell)]
    assert [fault.name for fault in FAULTS if not any(fault.name.startswith(name) for name in named)] == []


def test_a_page_keeps_what_is_around_its_table() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    made = written(page, [], 60.0, 0.0)
    assert made.startswith("before\n")
    assert made.endswith("\nafter\n")
    assert "old" not in made
    assert "1970-01-01" in made
    assert Path(PAGE).name == "reliability.md"
