"""Proves that each finding is told in the manual, word for word, and that all of them can be told apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.doctor.finding import Finding
from proxy.doctor.inside_findings import Inside
from proxy.doctor.outside_findings import Outside

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
ALL: list[Finding] = [*Inside, *Outside]


def as_printed(text: str) -> str:
    """A text as in the manual: what differs from case to case is an ellipsis."""
    return re.sub(r"\{\w+\}", "…", text)


@pytest.mark.parametrize("finding", ALL, ids=[each.label for each in ALL])
def test_the_manual_has_it(finding: Finding) -> None:
    rows = [row for row in PAGE.splitlines() if f"| `{finding.label}` " in row]
    assert len(rows) == 1
    symptom, told, what, remedy = (cell.strip() for cell in rows[0].strip("|").split("|"))
    assert symptom
    assert told == f"`{finding.label}` {finding.state}"
    assert what == as_printed(finding.what)
    assert remedy == as_printed(finding.remedy)


def test_the_manual_has_no_other() -> None:
    rows = re.findall(r"\| `([a-z-]+)` (?:warn|fail|unknown) \|", PAGE)
    assert sorted(rows) == sorted(finding.label for finding in ALL)


def test_no_two_are_alike() -> None:
    labels = [finding.label for finding in ALL]
    assert len(set(labels)) == len(labels)
    # An enumeration takes a second member with the same value for another name of the first.
    assert len(Outside.__members__) == len(Outside)
    assert len(Inside.__members__) == len(Inside)


@pytest.mark.parametrize("finding", ALL, ids=[each.label for each in ALL])
def test_every_finding_says_what_to_do(finding: Finding) -> None:
    assert finding.state in ("warn", "fail", "unknown")
    assert finding.remedy
    words = dict.fromkeys(re.findall(r"\{(\w+)\}", finding.what + finding.remedy), "WORD")
    check = finding.at("there", **words)
    assert (check.name, check.state, check.where) == (finding.label, finding.state, "there")
    assert "{" not in check.what + check.remedy
