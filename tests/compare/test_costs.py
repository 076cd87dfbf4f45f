"""The cost table's harness works end to end, over the gateway and the tuned nginx. No time is asserted anywhere."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from comparison import COMPARE, ROOT, machine
from comparison.archive import Archive, Counts
from comparison.asking import refusal
from comparison.costs import PLANS, Harness
from comparison.load import traffic, wrk
from comparison.load.answer import status_of
from comparison.peers import peer
from comparison.results import Table, load
from comparison.scenarios import ARCHIVING, BASELINE, CLIENTS, COPIERS, DIRECT, SMOKE, Scenario, Setting
from comparison.selection import chosen
from comparison.systems import System, every_system
from comparison.upstream import Upstream, upstream

from tests.standin import StandIn

# A system that breaks down: it answers the first request, and ends when the next one comes.
GOES = """#!{python}
import os, socket
listeners = [socket.create_server(("127.0.0.1", int(os.environ[name]))) for name in ("PORT", "TLS_PORT")]
def connection_with_a_request():
    while True:  # whoever waits for it to listen sends nothing
        client = listeners[0].accept()[0]
        if client.recv(65536):
            return client
with connection_with_a_request() as client:
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
connection_with_a_request()
"""


@pytest.fixture(scope="module")
def behind() -> Iterator[Upstream]:
    """The upstream of the cost table."""
    with upstream() as running:
        yield running


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the results of a smoke run, as CI and an operator start it."""
    folder = tmp_path_factory.mktemp("costs")
    argv = [sys.executable, "-m", "comparison", "costs", "--smoke", "--results", str(folder)]
    done = subprocess.run(argv, cwd=COMPARE, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def table(smoke: Path) -> Table:
    """What it measured."""
    return load(smoke / "costs.json")


def test_every_cell_of_the_smoke_run_is_measured_without_an_error(table: Table) -> None:
    wanted = {(name, one.name) for one in chosen("smoke", [], [], []) for name in one.systems}
    assert {(cell.system, cell.scenario) for cell in table.cells} == wanted
    assert [cell.why_not for cell in table.cells if cell.why_not] == []
    assert [one.failures for cell in table.cells for one in cell.rounds if one.errors] == []
    assert all(len(cell.rounds) == PLANS["smoke"].rounds for cell in table.cells)


def test_what_is_measured_fits_together(table: Table) -> None:
    loaded = [(cell.system, one) for cell in table.cells for one in cell.rounds if cell.scenario != "rest"]
    for system, one in loaded:
        assert one.requests > 0
        assert 0 < one.p50 <= one.p99 <= one.p999
        assert (one.cpu_us > 0) == (system != DIRECT)
        assert one.cpu_us >= one.busiest_us
        assert one.load_busy > 0
    assert all(cell.rounds[0].memory > 1_000_000 for cell in table.cells if cell.scenario == "rest")


def test_tls_sessions_are_resumed_where_they_should_be(table: Table) -> None:
    for cell in table.cells:
        assert (cell.rounds[0].resumed > 0) == (cell.scenario == "resumption")


def test_the_files_are_whole(smoke: Path) -> None:
    report = (smoke / "costs.md").read_text()
    assert {"gateway", BASELINE} <= set(report.split())
    pictures = sorted(smoke.glob("*.svg"))
    assert [one.name for one in pictures] == ["cpu.svg", "latency.svg"]
    for one in pictures:
        assert f"]({one.name})" in report
        assert ElementTree.parse(one).getroot().tag.endswith("svg")


@pytest.mark.parametrize("words", [["--scenarios", "post-3k"], ["--systems", "apache"], ["--gateway-tree", "/nowhere"]])
def test_a_name_that_nothing_has_is_refused(words: list[str]) -> None:
    argv = [sys.executable, "-m", "comparison", "costs", *words]
    done = subprocess.run(argv, cwd=COMPARE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert words[1] in done.stderr


def test_the_upstream_answers_an_upload_when_it_has_all_of_it(behind: Upstream) -> None:
    request = traffic.upload(204_800)
    with socket.create_connection(("127.0.0.1", behind.plain_port), 20) as client:
        client.sendall(request[:-1])
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(20)
        client.sendall(request[-1:])
        answer = b""
        while not status_of(answer):
            answer += client.recv(65_536)
    assert status_of(answer) == 200


@pytest.mark.parametrize("mixed", [False, True])
def test_visitors_keep_to_their_connection_unless_they_are_mixed(mixed: bool, standin: StandIn, tmp_path: Path) -> None:
    standin.clear()
    requests = [traffic.preflight(traffic.FIRST_SESSION + number) for number in range(16)]
    url = f"http://127.0.0.1:{standin.ports['us']}"
    found = wrk.load(requests, url, 8, 1, tmp_path, mixed=mixed)
    assert found.errors == 0
    targets: dict[int, list[str]] = {}
    for record in standin.requests():
        targets.setdefault(record["connection"], []).append(record["target"])
    used = [one for one in targets.values() if len(one) > 1]
    assert len(used) == 8
    assert len({target for one in used for target in one}) == (16 if mixed else 8)
    # Mixed, each connection takes the next request when it is free: on a busy machine one may wait until its last one's
    # turn comes again.
    repeated = [first == second for one in used for first, second in itertools.pairwise(one)]
    assert sum(repeated) < len(repeated) / 4 if mixed else all(repeated)


def test_an_answer_that_comes_late_is_told_apart_from_a_broken_connection(tmp_path: Path) -> None:
    request = traffic.preflight(1)
    with socket.create_server(("127.0.0.1", 0)) as late:

        def serve() -> None:
            late.accept()[0].close()  # wrk tries an address before it uses it
            client, _ = late.accept()
            with client:
                assert client.recv(len(request), socket.MSG_WAITALL) == request
                time.sleep(wrk.LATE_SECONDS + 0.2)
                client.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                assert client.recv(len(request), socket.MSG_WAITALL) == request  # and closes without an answer

        server = threading.Thread(target=serve)
        server.start()
        found = wrk.load([request], f"http://127.0.0.1:{late.getsockname()[1]}", 1, wrk.LATE_SECONDS + 1, tmp_path)
        server.join()
    assert found.requests == 1
    assert found.failures == f"1 connections broken, 1 answers after more than {wrk.LATE_SECONDS} s"


def test_a_system_that_breaks_down_is_a_marked_cell_and_the_others_go_on(tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.write_text(GOES.format(python=sys.executable))
    start.chmod(0o755)
    here = dataclasses.replace(peer(BASELINE), name=str(tmp_path))
    nowhere = dataclasses.replace(here, name=str(tmp_path / "nowhere"))
    tuned = next(one for one in every_system() if one.name == BASELINE)
    plan = dataclasses.replace(PLANS["smoke"], rounds=2)
    scenario = Scenario("post-2k", "upload", systems=("goes", "starts not", BASELINE))
    harness = Harness(plan, [scenario], [System("goes", here), System("starts not", nowhere), tuned])
    harness.run()
    goes, starts_not, fine = harness.table.cells
    assert goes.why_not.startswith("round 1: ")
    assert goes.rounds == []
    assert str(ROOT) not in goes.why_not
    assert "did not start" in starts_not.why_not
    assert (len(fine.rounds), fine.why_not) == (2, "")


def test_what_the_gateway_answers_while_it_is_measured_is_in_its_archive() -> None:
    systems = [one for one in every_system() if one.name in COPIERS]
    harness = Harness(PLANS["smoke"], chosen("full", ["mirror-2k"], [], []), systems)
    harness.run()
    cells = {cell.system: cell for cell in harness.table.cells}
    assert set(cells) == set(COPIERS)
    assert [cell.why_not for cell in cells.values() if cell.why_not] == []
    (found,) = cells.pop(ARCHIVING).rounds
    # Those that wrk did not wait for at its end are archived, and not counted by it.
    assert found.requests <= found.archived <= found.requests + CLIENTS
    assert (found.errors, found.unarchived) == (0, 0)
    assert 0 < found.busiest_us <= found.serving_us < found.cpu_us
    assert all(one.archived == one.archiver_us == 0 for cell in cells.values() for one in cell.rounds)


def test_a_gateway_with_an_archive_stores_as_many_uploads_as_it_answers(behind: Upstream) -> None:
    system = next(one for one in every_system() if one.name == ARCHIVING)
    cores = machine.divided(1)
    with system.running(behind, Setting(), cores) as running:
        archive = Archive(running, cores.load)
        assert len(archive.pids()) == 1
        answered = sum(refusal(Scenario("one", "one"), running) == "" for _ in range(20))
        archive.wait_until_written()
        assert archive.wait_until_stored() == Counts(offered=20, written=20, archived=answered, lost=0)
        stored = running.folder / "archive"
        assert any(one.is_file() for one in stored.rglob("*"))
        archive.clear()
        assert list(stored.iterdir()) == []


def test_every_smoke_scenario_exists() -> None:
    assert {one.name for one in chosen("smoke", [], [], [])} == set(SMOKE)
