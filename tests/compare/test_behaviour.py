"""The behaviour table's figures are what came of the cases: over the gateway and the vendor's recipe, known both.

The suites say what is right; here only that the table repeats what they say, case by case. No time is asserted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comparison import COMPARE, ROOT
from comparison.behaviour import load
from comparison.behaviour_groups import ASPECT_ROWS, BROWSER, CONFORMANCE, ROWS, rows_of
from comparison.behaviour_plugin import Outcome
from comparison.behaviour_table import Failed, System, Table, behind, column, markdown

SYSTEMS = ("gateway", "nginx-vendor")
# Of two groups. Through the recipe cookies pass, and an upload is carried as well as by anybody else.
CASES = ("test_cookies_stay_here", "test_two_clients_at_once_get_their_own_answers")
CORS_ROW = "CORS as browsers need it: preflights, errors, odd origins"
CLIENTS_ROW = "Who the client is; cookies stay here"
CONNECTION_ROW = "Many requests on one connection stay apart"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run of the command over two systems and two groups."""
    folder = tmp_path_factory.mktemp("behaviour")
    command = [sys.executable, "-m", "comparison", "behaviour", "--quick", "--jobs", "1", "--results", str(folder)]
    command += ["--systems", ",".join(SYSTEMS), "--select", " or ".join(CASES)]
    done = subprocess.run(command, cwd=COMPARE, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def played(folder: Path) -> Table:
    """What the run has written."""
    return load(folder)


def outcome(test: str, file: str = "test_cors", **aspects: list[str]) -> Outcome:
    """A made outcome; the aspect `own` is the case's own matter."""
    noted = {"" if aspect == "own" else aspect: texts for aspect, texts in aspects.items()}
    return Outcome("any", f"{CONFORMANCE}/{file}.py", 7, test, noted)


def table_of(**outcomes: list[Outcome]) -> Table:
    """A table with one system for each name."""
    return {name: System("1", "2026-01-31", "abc", column(ones)) for name, ones in outcomes.items()}


def test_every_case_is_counted_once_for_its_system(played: Table) -> None:
    assert tuple(played) == SYSTEMS
    for system in played.values():
        assert {row: system.cells[row].total for row in (CLIENTS_ROW, CONNECTION_ROW)} == {
            CLIENTS_ROW: 1,
            CONNECTION_ROW: 1,
        }


def test_the_gateway_passes(played: Table) -> None:
    assert [cell.failed for cell in played["gateway"].cells.values() if cell.failed] == []
    assert behind(played) == []


def test_what_the_recipe_is_known_to_do_wrong_is_told_with_its_reason(played: Table, folder: Path) -> None:
    (failed,) = played["nginx-vendor"].cells[CLIENTS_ROW].failed
    assert failed.case == CASES[0]
    assert any("cookie" in reason.lower() for reason in failed.reasons)
    page = (folder / "behaviour.md").read_text()
    assert f"| {CLIENTS_ROW} | **all 1** | 0 / 1 |" in page
    assert f"(../../{failed.file}#L{failed.line})" in page


def test_a_link_leads_to_the_case(played: Table) -> None:
    for failed in played["nginx-vendor"].cells[CLIENTS_ROW].failed:
        lines = (ROOT / failed.file).read_text().splitlines()
        assert any(failed.case.partition("[")[0] in line for line in lines[failed.line - 1 : failed.line + 8])


def test_an_unknown_system_is_named() -> None:
    command = [sys.executable, "-m", "comparison", "behaviour", "--systems", "gateway,squid"]
    done = subprocess.run(command, cwd=COMPARE, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "no such system: squid" in done.stderr) == (2, True)


def test_every_test_of_the_suites_belongs_to_one_row() -> None:
    for row in ROWS:
        assert (ROOT / row.suite / f"{row.file}.py").is_file()
    told = {(row.suite, row.file) for row in ROWS}
    assert len({row.title for row in (*ROWS, *ASPECT_ROWS)}) == len(ROWS) + len(ASPECT_ROWS)
    # One is not played over other systems by choice, since its table is of the gateway's settings or of itself,
    # or since they have no such page.
    others = {"test_differences", "test_wire", "test_vendor_recipe", "test_cors_of_an_allow_list", "test_dashboard"}
    others |= {"test_global_privacy_control", "test_corpus"}  # a setting of the gateway's; no requests
    for suite in (CONFORMANCE, BROWSER):
        for file in (ROOT / suite).glob("test_*.py"):
            assert (suite, file.stem) in told or file.stem in others


def test_a_case_of_no_row_is_an_error() -> None:
    with pytest.raises(KeyError):
        list(rows_of(f"{CONFORMANCE}/test_something_new.py", "test_new", ()))


def test_an_aspect_counts_where_it_was_looked_at() -> None:
    cells = column([outcome("test_a", traced=[]), outcome("test_b", traced=["none"]), outcome("test_c")])
    assert (cells["In all cases: the answer has one request id"].passed, cells[CORS_ROW].passed) == (1, 3)
    assert cells["In all cases: the answer has one request id"].failed == [
        Failed("test_b", f"{CONFORMANCE}/test_cors.py", 7, ("none",))
    ]


def test_where_another_system_passes_more_stays_visible() -> None:
    bad, good = outcome("test_a", own=["status 500"]), outcome("test_a")
    table = table_of(gateway=[bad], haproxy=[good], caddy=[bad])
    row, case = behind(table)
    assert row == f"{CORS_ROW}: 0 of 1; more pass over haproxy"
    assert "`test_a`" in case
    assert "status 500. It passes over haproxy" in case
    assert f"- {row}" in markdown(table)
    assert "In none of these rows" in markdown(table_of(gateway=[good], haproxy=[bad]))


def test_as_many_but_other_cases_is_told_too() -> None:
    table = table_of(
        gateway=[outcome("test_a", own=["x"]), outcome("test_b")],
        caddy=[outcome("test_a"), outcome("test_b", own=["y"])],
    )
    (case,) = behind(table)
    assert "It passes over caddy" in case


def test_a_table_survives_being_written(played: Table) -> None:
    written = json.loads(json.dumps({name: system.to_json() for name, system in played.items()}))
    assert {name: System.from_json(values) for name, values in written.items()} == played
