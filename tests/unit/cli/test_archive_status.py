"""Proves that `archive status` counts what waits, reads the gateway's account, and ends with 1 when somebody is
needed."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.folder import State
from tests.gateway import free_port
from tests.unit.cli.admin import counted, held, metrics, serving
from tests.unit.cli.archived import Archived, Sent, spoil, spooled
from tests.unit.spool.spooled import OTHER_BOOT

ONE, TWO = (Sent(b"{}"),), (Sent(b"{}"), Sent(b"{}"))


@pytest.fixture
def memory() -> Iterator[LedgerMemory]:
    made = LedgerMemory.create(1)
    yield made
    made.close()


def status(archived: Archived, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = archived.run("status", "--json", *arguments)
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


def against(folder: Path, *answers: bytes, code: int = 200) -> tuple[int, dict[str, Any], int]:
    """The status when a gateway answers so, and how often it was asked."""
    with serving(*answers, status=code) as (address, asked):
        found = status(Archived(folder, admin={"address": address}))
    assert set(asked) == {"/metrics"}
    return *found, len(asked)


def test_a_spool_that_is_not_there_is_empty(tmp_path: Path) -> None:
    code, told = status(Archived(tmp_path))
    assert code == 0
    assert told["spool"]["directory"] == str(tmp_path / "spool")
    nothing = {"segments": 0, "bytes": 0, "oldest_seconds": 0.0, "payloads": None}
    assert [told["spool"][state] for state in ("open", "sealed", "damaged")] == [nothing] * 3
    assert told["problems"] == []


def test_segments_are_counted_by_their_state(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    paths = [spooled(archived.spool, 1, ONE, State.OPEN), spooled(archived.spool, 2, TWO)]
    paths.append(spooled(archived.spool, 3, ONE))
    os.utime(paths[1], (time.time() - 100, time.time() - 100))
    code, told = status(archived)
    assert code == 0
    found = told["spool"]
    assert [found[state]["segments"] for state in ("open", "sealed", "damaged")] == [1, 2, 0]
    assert found["sealed"]["bytes"] == paths[1].stat().st_size + paths[2].stat().st_size
    assert 100 <= found["sealed"]["oldest_seconds"] < 160
    assert found["sealed"]["payloads"] is None


def test_payloads_are_counted_where_that_is_wished(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    spooled(archived.spool, 1, ONE, State.OPEN)
    spooled(archived.spool, 2, TWO)
    half = spooled(archived.spool, 3, TWO)
    spoil(half, -1, b"!")
    spoil(spooled(archived.spool, 4, TWO, State.DAMAGED), 0, b"no head")
    _, told = status(archived, "--count")
    assert [told["spool"][state]["payloads"] for state in ("open", "sealed", "damaged")] == [1, 3, 0]


def test_looking_changes_nothing(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    spooled(archived.spool, 1, ONE, State.OPEN)
    spooled(archived.spool, 2, ONE)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in archived.spool.iterdir()}
    status(archived, "--count")
    assert before == {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in archived.spool.iterdir()}


def test_a_damaged_segment_needs_somebody(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    spooled(archived.spool, 1, ONE, State.DAMAGED)
    code, told = status(archived)
    assert code == 1
    assert told["problems"] == [f"1 damaged segment kept in {archived.spool}: archived as far as they could be read"]


def test_without_the_gateway_it_goes_by_how_long_the_oldest_has_waited(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    path = spooled(archived.spool, 1, ONE)
    os.utime(path, (time.time() - 590, time.time() - 590))
    assert status(archived)[0] == 0
    os.utime(path, (time.time() - 610, time.time() - 610))
    code, told = status(archived)
    assert code == 1
    assert told["problems"] == ["nothing was stored for 10.2 min while 1 segment waited"]


def test_the_gateways_account_is_read(tmp_path: Path, memory: LedgerMemory) -> None:
    counted(Ledger(memory.rows[0]), offered=10, written=10, archived=7, stored_at=time.time() - 60)
    code, told, asked = against(tmp_path, metrics(memory))
    assert (code, asked) == (0, 1)
    found = told["gateway"]
    assert found["is_reachable"]
    names = ("offered", "found", "archived", "pending", "queued", "damaged", "upload_failures", "dropped", "is_even")
    assert [found[name] for name in names] == [10, 0, 7, 3, 0, 0, 0, {}, True]
    assert time.time() - 120 < found["last_stored"] < time.time()


def test_what_was_stored_just_now_outweighs_a_segment_that_waits_long(tmp_path: Path, memory: LedgerMemory) -> None:
    counted(Ledger(memory.rows[0]), offered=2, written=2, archived=1, stored_at=time.time() - 60)
    path = spooled(tmp_path / "spool", 1, ONE)
    os.utime(path, (time.time() - 5000, time.time() - 5000))
    assert against(tmp_path, metrics(memory))[0] == 0
    counted(Ledger(memory.rows[0]), offered=0, written=0, archived=0, stored_at=time.time() - 1000)
    code, told, _ = against(tmp_path, metrics(memory))
    assert code == 1
    assert told["problems"] == ["nothing was stored for 16.7 min while 1 segment waited"]


def test_drops_and_damage_need_somebody(tmp_path: Path, memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    counted(ledger, offered=10, written=6, archived=5)
    ledger.count(Counter.ARCHIVE_DAMAGED, 1)
    ledger.drop(Drop.QUEUE_FULL, 3, 300)
    ledger.drop(Drop.CRASH, 1, 100)
    code, told, _ = against(tmp_path, metrics(memory))
    assert code == 1
    assert told["gateway"]["dropped"] == {"queue-full": 3, "crash": 1}
    assert told["gateway"]["is_even"]
    assert told["problems"] == [
        "1 upload could not be read from the spool again",
        "4 uploads dropped and not archived: queue-full 3, crash 1",
    ]


def test_what_is_held_in_memory_is_queued(tmp_path: Path, memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    counted(ledger, offered=10, written=8, archived=8)
    held(ledger, 4096)
    code, told, asked = against(tmp_path, metrics(memory))
    assert (code, asked) == (0, 1)
    assert (told["gateway"]["queued"], told["gateway"]["is_even"]) == (2, True)


def test_a_sum_that_stays_uneven_is_told(tmp_path: Path, memory: LedgerMemory) -> None:
    counted(Ledger(memory.rows[0]), offered=10, written=8, archived=8)
    code, told, asked = against(tmp_path, metrics(memory))
    assert (code, asked) == (1, 2)
    assert told["problems"] == ["the sum is not even: 2 of the offered uploads are in none of the others"]


def test_a_sum_that_was_uneven_for_a_moment_is_not(tmp_path: Path, memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    counted(ledger, offered=10, written=8, archived=8)
    first = metrics(memory)
    counted(ledger, offered=0, written=2, archived=0)
    code, told, asked = against(tmp_path, first, metrics(memory))
    assert (code, asked) == (0, 2)
    assert told["gateway"]["pending"] == 2


def test_what_an_earlier_run_left_is_part_of_the_sum(tmp_path: Path, memory: LedgerMemory) -> None:
    ledger = Ledger(memory.rows[0])
    counted(ledger, offered=1, written=1, archived=6)
    ledger.count(Counter.ARCHIVE_FOUND, 5)
    code, told, _ = against(tmp_path, metrics(memory))
    assert code == 0
    assert (told["gateway"]["found"], told["gateway"]["pending"], told["gateway"]["is_even"]) == (5, 0, True)


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        (b"nothing of the kind\n", 200, "are not those of this gateway"),
        (b"# TYPE other counter\nother_total 1\n", 200, "are not those of this gateway"),
        (b"", 404, "/metrics is answered 404"),
    ],
)
def test_another_server_is_not_taken_for_the_gateway(tmp_path: Path, answer: bytes, code: int, why: str) -> None:
    exit_code, told, _ = against(tmp_path, answer, code=code)
    assert exit_code == 0
    assert not told["gateway"]["is_reachable"]
    assert why in told["gateway"]["why_not"]


def test_a_gateway_that_does_not_run_is_said_to_be_unreachable(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    code, told = status(Archived(tmp_path, admin={"address": address}))
    assert code == 0
    assert told["gateway"] == {"address": address, "is_reachable": False, "why_not": "Connection refused"}


def test_a_gateway_without_an_admin_server_is_said_to_be_so(tmp_path: Path) -> None:
    _, told = status(Archived(tmp_path))
    assert told["gateway"]["why_not"] == "there is no admin server in the settings"


def test_a_gateway_that_listens_everywhere_is_asked_on_this_machine(tmp_path: Path, memory: LedgerMemory) -> None:
    with serving(metrics(memory)) as (address, _):
        port = address.rpartition(":")[2]
        code, told = status(Archived(tmp_path, admin={"address": f":{port}"}))
    assert (code, told["gateway"]["is_reachable"]) == (0, True)


def test_people_get_it_in_lines(tmp_path: Path, memory: LedgerMemory) -> None:
    counted(Ledger(memory.rows[0]), offered=10, written=10, archived=9, stored_at=1_795_237_513.0)
    spooled(tmp_path / "spool", 1, ONE)
    spooled(tmp_path / "spool", 1, ONE, State.DAMAGED, boot=OTHER_BOOT)
    with serving(metrics(memory)) as (address, _):
        result = Archived(tmp_path, admin={"address": address}).run("status", "--count")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"spool    {tmp_path / 'spool'}"
    assert lines[1] == "  open            none"
    assert lines[2].startswith("  sealed          1 segment, ")
    assert lines[2].endswith(" B, 1 payload, the oldest unchanged for 0 s")
    assert lines[4] == f"gateway  {address}"
    assert "  offered         10, and 0 from before this start" in lines
    assert "  pending         1" in lines
    assert "  sum             even" in lines
    assert [line for line in lines if line.startswith("  last stored     2026-11-21T05:05:13Z, ")]
    assert lines[-1].startswith("problem  1 damaged segment kept in ")


def test_interrupted_while_it_waits_it_ends_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        archived = Archived(tmp_path, admin={"address": f"127.0.0.1:{silent.getsockname()[1]}"})
        # It waits for 2 s, which a busy machine may let pass before the signal is sent: then once more.
        code, out, err = next(each for each in (_interrupted(archived, silent) for _ in range(10)) if each[0])
    assert (code, out, err.split()) == (1, b"", [b"Aborted!"])


def _interrupted(archived: Archived, silent: socket.socket) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors of a call that is interrupted as soon as it asks."""
    with archived.process("status") as process:
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(4096).startswith(b"GET /metrics ")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_gateway_that_does_not_answer_is_not_waited_for_long(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, told = status(Archived(tmp_path, admin={"address": f"127.0.0.1:{silent.getsockname()[1]}"}))
    assert (code, told["gateway"]["why_not"]) == (0, "no answer within 2 s")
