"""What the cost table says follows from what was measured: medians, ratios, marks, limits, and the report of them."""

from __future__ import annotations

import dataclasses
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from comparison import RESULTS, accounts
from comparison.budget import Line, added_ratio, budget, scaling
from comparison.costs import PLANS, Harness, Stage
from comparison.load import traffic
from comparison.load.answer import status_of
from comparison.load.outcome import outcome, percentile
from comparison.peers import Running
from comparison.plot import chart
from comparison.publish import BEGIN, END, README, rendered, with_results
from comparison.report import grid, markdown
from comparison.results import CPU_US, Cell, Round, Table, load
from comparison.scenarios import ALL, ARCHIVE, ARCHIVING, ARRIVALS, BASELINE, DIRECT, PAIR, SCENARIOS, SIZES
from comparison.selection import chosen


def cell(system: str, *cpu_us: float, scenario: str = "post-2k", **figures: Any) -> Cell:
    """A cell with a round for each of the CPU times."""
    base = Round(requests=1000, per_second=500.0, **figures)
    return Cell(system, scenario, [dataclasses.replace(base, cpu_us=one) for one in cpu_us])


def test_load_is_a_share_of_what_single_arrivals_cost() -> None:
    """A closed loop's rate only decides what is asked of the row that measures their cost."""
    harness = Harness(PLANS["smoke"], [], [])
    for name, cpu_us in (("gateway", 200), (BASELINE, 100), ("haproxy", 125)):
        harness.table.cells += [cell(name, 50), cell(name, cpu_us, scenario=ARRIVALS.name)]
    stage = Stage(dict.fromkeys(("gateway", BASELINE, "haproxy", DIRECT), cast(Running, None)), *cast(Any, (None,) * 3))
    rows = {one.name: one for one in SCENARIOS}
    assert harness._capacity(rows["open-50"], BASELINE, stage) == 10_000
    assert harness._capacity(rows["open-80"], "gateway", stage) == 5_000
    assert harness._capacity(rows["open-same"], BASELINE, stage) == 5_000
    assert harness._capacity(ARRIVALS, "gateway", stage) == 500


def table_of(*cells: Cell, kind: str = "closed") -> Table:
    """A table with these cells, of the gateway among others."""
    table = Table("full", "2026-01-01 00:00 UTC", gateways=["gateway"], cells=list(cells))
    table.titles = {one.scenario: one.scenario for one in cells}
    table.kinds = {one.scenario: kind for one in cells}
    return table


class TestStatistics:
    def test_a_cell_is_the_median_of_its_rounds(self) -> None:
        assert cell("gateway", 300, 100, 110).value(CPU_US) == 110
        assert cell("gateway", 300, 100, 110).spread(CPU_US) == (100, 300)

    def test_a_ratio_is_of_rounds_beside_each_other_not_of_medians(self) -> None:
        # The machine was three times as slow in the second round: for both.
        table = table_of(cell("gateway", 20, 60, 40), cell(BASELINE, 10, 30, 10))
        assert table.ratio("gateway", "post-2k", CPU_US) == (2, 2, 4)

    def test_there_is_no_ratio_to_what_was_not_measured(self) -> None:
        assert table_of(cell("gateway", 20)).ratio("gateway", "post-2k", CPU_US) is None
        assert table_of(cell("gateway", 20), cell(BASELINE)).ratio("gateway", "post-2k", CPU_US) is None

    @pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.99, 100), (0.999, 100), (0.0, 1)])
    def test_percentiles(self, share: float, value: int) -> None:
        assert percentile(list(range(100, 0, -1)), share) == value

    def test_an_outcome_is_in_milliseconds_and_tells_what_failed(self) -> None:
        found = outcome([0.001, 0.002, 0.003], 1.0, ["status 502", "status 500", "status 500"], cpu=0.5)
        assert (found.requests, found.errors, found.p50) == (3, 3, 2.0)
        assert found.failures == "2 × status 500; 1 × status 502"

    def test_a_table_survives_its_file(self, tmp_path: Path) -> None:
        table = table_of(cell("gateway", 1, 2), Cell("caddy", "post-2k", why_not="status 413"))
        table.save(tmp_path / "costs.json")
        assert load(tmp_path / "costs.json") == table

    def test_the_clocks_of_processes_agree_with_the_kernels_ticks(self) -> None:
        busy = "for _ in range(10**7): pass\nprint(flush=True)\ninput()"
        with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            pids = accounts.members([process.pid])
            precise, coarse = accounts.cpu_seconds(pids)[process.pid], accounts.tick_seconds(pids)
            process.communicate(b"\n")
        assert precise > 0.05
        assert abs(precise - coarse) <= 0.05 + 0.1 * precise

    def test_a_process_that_has_ended_costs_nothing_more(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        assert accounts.cpu_seconds([process.pid]) == {process.pid: 0.0}


class TestMarks:
    @pytest.mark.parametrize(
        ("figures", "full"), [({}, False), ({"load_use": 0.95}, True), ({"load_busy": 0.95}, True)]
    )
    def test_a_rate_that_the_load_may_have_limited_is_a_least(self, figures: dict[str, Any], full: bool) -> None:
        report = markdown(table_of(cell("gateway", 5, **figures), cell(BASELINE, 5)))
        assert ("| ≥ 500 |" in report) == full

    @pytest.mark.parametrize(("others", "marked"), [(0.02, False), (0.4, True)])
    def test_a_figure_of_a_machine_that_others_used_is_marked(self, others: float, marked: bool) -> None:
        report = markdown(table_of(cell("gateway", 5, others=others)))
        assert ("| ~ 5 (5 to 5) |" in report) == marked
        assert ("**With care**" in report) == marked

    def test_what_a_system_could_not_do_has_a_mark_and_a_reason(self) -> None:
        broken = cell("haproxy", 7)
        broken.why_not = "round 2: connection refused"
        refused = Cell("caddy", "post-2k", why_not="status 413")
        report = markdown(table_of(cell("gateway", 5), broken, refused, cell("caddy", 6, scenario="config")))
        assert "| post-2k | 5 (5 to 5) | 7 (7 to 7) ✗ | ✗ |" in report
        assert "| post-2k | caddy | status 413 |" in report
        assert "| post-2k | haproxy | round 2: connection refused |" in report

    def test_copies_are_told_apart_from_what_is_only_forwarded(self) -> None:
        plain, mirror = (cell(name, cpu, scenario="mirror-2k") for name, cpu in (("gateway", 100), (BASELINE, 200)))
        archive = cell(ARCHIVING, 300, scenario="mirror-2k", archiver_us=180, archived=3, unarchived=1)
        report = markdown(table_of(plain, mirror, archive))
        assert "| mirror-2k | gateway, no copy | 100 (100 to 100) | – | – |" in report
        assert "| mirror-2k | nginx-tuned, mirror | 200 (200 to 200) | **2.00** (2.00 to 2.00) | – |" in report
        assert (
            "| mirror-2k | gateway, archive: worker | 120 (120 to 120) | **1.20** (1.20 to 1.20) | 75.00% |" in report
        )
        assert "gateway, archive: all processes | 300 (300 to 300) | **3.00** (3.00 to 3.00) | 75.00% |" in report
        assert "### CPU time per request" not in report

    def test_requests_that_failed_are_counted_beside_the_figure(self) -> None:
        assert "5 (5 to 5) (3 failed)" in markdown(table_of(cell("gateway", 5, errors=3)))


class TestBudget:
    @pytest.mark.parametrize(("measured", "met"), [(2.0, True), (2.2, True), (2.3, False)])
    def test_a_limit_is_met_or_not(self, measured: float, met: bool) -> None:
        lines = budget(table_of(cell("gateway", 100 * measured), cell(BASELINE, 100)), "gateway")
        assert [(one.limit, one.met) for one in lines if one.measured] == [(2.2, met)]

    def test_what_must_be_at_least_is_not_met_below(self) -> None:
        assert Line("scaling", 1.8, 1.7, least=True).met is False
        assert Line("scaling", 1.8, 1.9, least=True).met is True

    def test_nobody_knows_about_what_was_not_measured(self) -> None:
        assert {one.met for one in budget(table_of(), "gateway")} == {None}

    def test_every_limit_is_about_a_scenario_that_exists(self) -> None:
        systems = ("gateway", BASELINE, "nginx-vendor", "caddy", "aiohttp", ARCHIVING, DIRECT)
        every = [
            cell(name, 10, scenario=one.name, memory=1000, busiest_us=5, p99=2 if name != DIRECT else 1)
            for one in SCENARIOS
            for name in systems
            if name in one.systems
        ]
        assert [one.what for one in budget(table_of(*every), "gateway") if one.measured is None] == []

    def test_added_latency_is_beside_the_direct_way(self) -> None:
        cells = (
            cell(name, 1, scenario="open-same", p99=p99) for name, p99 in ((DIRECT, 1), ("gateway", 4), (BASELINE, 3))
        )
        assert added_ratio(table_of(*cells), "gateway") == 1.5

    def test_two_workers_that_share_the_work_carry_twice_as_much(self) -> None:
        one, two = (
            cell("gateway", 9, scenario=name, busiest_us=busy)
            for name, busy in (("single-open", 100), ("pair-open", 50))
        )
        assert scaling(table_of(one, two), "gateway") == 2

    def test_an_archive_is_measured_by_the_workers_time_beside_the_same_gateway(self) -> None:
        with_archive = cell(ARCHIVING, 400, scenario="mirror-50k", archiver_us=250)
        table = table_of(with_archive, cell("gateway", 100, scenario="mirror-50k"))
        assert [(one.measured, one.met) for one in budget(table, "gateway") if one.measured] == [(1.5, False)]

    def test_the_report_says_what_failed(self) -> None:
        some, more = Round(requests=10, errors=1, failures="1 × a|b"), Round(requests=20, errors=3, failures="3 × c")
        report = markdown(table_of(Cell("gateway", "post-2k", [some, more]), Cell("caddy", "post-2k", [Round()])))
        assert "| post-2k | gateway | 4 | 30 | 3 × c |" in report
        assert "| post-2k | caddy | 0" not in report

    def test_the_report_says_what_is_missed(self) -> None:
        report = markdown(table_of(cell("gateway", 300), cell(BASELINE, 100)))
        assert "### Budget of gateway: 0 of 1 limits met" in report
        assert "| 3.00 | ≤ 2.2 | ≤ 1.6 | **missed** |" in report


class TestTraffic:
    @pytest.mark.parametrize("size", [80, 81, *(size for _, size in SIZES)])
    def test_a_body_is_gzip_of_just_that_size(self, size: int) -> None:
        body = traffic.upload(size).partition(b"\r\n\r\n")[2]
        assert len(body) == size
        assert gzip.decompress(body).startswith(b'{"version":1,"events":["')

    def test_visitors_differ_in_device_session_and_page_and_in_nothing_else(self) -> None:
        one, two = (traffic.upload(512, traffic.FIRST_SESSION + number).split(b"\r\n") for number in range(2))
        assert [first[:12] for first, second in zip(one, two, strict=True) if first != second] == [
            b"POST /sessio",
            b"X-Client-Url",
        ]
        first, second = (line[0].split(b"?")[1].split(b"&") for line in (one, two))
        assert [left != right for left, right in zip(first, second, strict=True)] == [True, True, False]

    def test_a_visit_is_configuration_preflight_uploads_and_a_beacon_with_its_preflight(self) -> None:
        steps = traffic.visit(3, 200)
        methods = [step.request.split(b" ")[0] for step in steps]
        assert methods == [b"GET", b"OPTIONS", *[b"POST"] * (len(steps) - 4), b"OPTIONS", b"POST"]
        assert b"api_key=" in steps[-1].request

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", 0),
            (b"HTTP/1.1 204 No Content\r\n", 0),
            (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
            (b"HTTP/1.1 502 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", 0),
            (b"HTTP/1.1 502 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 502),
        ],
    )
    def test_an_answer_counts_when_it_is_whole(self, answer: bytes, status: int) -> None:
        assert status_of(answer) == status


class TestSelection:
    def test_a_full_run_asks_each_scenarios_own_systems(self) -> None:
        assert chosen("full", [], [], []) == list(SCENARIOS)
        assert {name for one in SCENARIOS for name in one.systems} == {*ALL, ARCHIVING, DIRECT}
        assert all(one.systems[: len(PAIR)] == PAIR for one in SCENARIOS)

    def test_builds_of_the_gateway_run_beside_the_tuned_nginx(self) -> None:
        assert [one.systems for one in chosen("full", ["post-2k"], [], ["old", "new"])] == [(BASELINE, "old", "new")]

    def test_builds_of_the_gateway_are_asked_for_copies_with_and_without_an_archive(self) -> None:
        systems = (BASELINE, "old", f"old{ARCHIVE}")
        assert [one.systems for one in chosen("full", ["mirror-2k"], [], ["old"])] == [systems]

    def test_patterns_choose_in_the_tables_order(self) -> None:
        assert [one.name for one in chosen("quick", ["tls-post-5*", "post-2k"], ["caddy"], [])] == [
            "post-2k",
            "tls-post-50k",
        ]


class TestRendering:
    def test_a_chart_is_well_formed_and_has_a_name_and_a_dot_for_each_value(self) -> None:
        picture = ElementTree.fromstring(
            chart("a < b", "µs", ["x", "y"], {"one": [1.0, 20.0], "two & more": [None, 3.0]})
        )
        names = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
        assert {"one", "two & more", "x", "y"} <= names
        assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == 3

    def test_a_larger_value_is_higher_up(self) -> None:
        picture = ElementTree.fromstring(chart("t", "µs", ["x", "y"], {"one": [1.0, 20.0]}))
        low, high = (float(one.attrib["cy"]) for one in picture.iter("{http://www.w3.org/2000/svg}circle"))
        assert high < low

    def test_columns_of_figures_are_set_to_the_right(self) -> None:
        assert grid([["", "a"], ["x", "1"]]) == "|  | a |\n|---|---:|\n| x | 1 |"

    def test_the_readme_takes_the_report_between_its_markers_with_links_from_its_own_folder(self) -> None:
        text = with_results(f"before\n{BEGIN}\nold\n{END}\nafter\n", "![plot](cpu.svg)\n")
        assert text == f"before\n{BEGIN}\n![plot](results/cpu.svg)\n{END}\nafter\n"
        with pytest.raises(ValueError, match="no <!-- costs -->"):
            with_results("nothing", "report")


class TestWhatIsShown:
    """The results in the tree, and the README, are what one run of the comparison wrote."""

    def test_the_report_and_the_plots_follow_from_the_figures(self) -> None:
        for name, text in rendered(load(RESULTS / "costs.json")).items():
            assert (RESULTS / name).read_text() == text, f"{name} is not of this run: python -m comparison readme"

    def test_the_readme_shows_them(self) -> None:
        readme = README.read_text()
        assert readme == with_results(readme, (RESULTS / "costs.md").read_text()), "python -m comparison readme"

    def test_they_name_no_folder_of_the_machine_they_were_made_on(self) -> None:
        text = (RESULTS / "costs.json").read_text()
        assert os.sep + "tmp" + os.sep not in text
        assert str(RESULTS) not in text
