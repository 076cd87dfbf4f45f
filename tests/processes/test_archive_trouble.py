"""Proves that an archive in trouble changes nothing of the traffic: cases of uploads, CORS and upstream answers are
played as they are, by a pytest of its own, over a gateway whose store hangs, whose spool is full, or whose archiver is
killed again and again. Each must come out as it does without an archive.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from proxy.spool.folder import State
from proxy.spool.look import look
from tests.gateway import ROOT
from tests.unit.cli.archived import Sent, spooled

FILES = ("test_carried_requests.py", "test_cors.py", "test_upstream_answers.py")
EVERY = 4  # one case of so many of each test: the whole suite is played without an archive
FEWEST = 25  # cases that must have been played
PATIENCE = 110.0
PAUSE = 0.2

# Of each case: which system it was played over, how it broke, and the differences that it noted, by aspect.
Outcomes = dict[str, tuple[str, str, dict[str, list[str]]]]


def played(settings: dict[str, Any], folder: Path) -> Outcomes:
    """What came of each case over a gateway with these settings laid over the usual ones. Each passes."""
    outcomes = folder / "outcomes.json"
    options = ["-p", "comparison.behaviour_plugin", "--systems", "gateway", "--every", str(EVERY)]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *options, "--outcomes", str(outcomes)]
    # What is in the archiver's hand at the end is tried for so long.
    settings = {"timeouts": {"drain": "1s"}, **settings}
    done = subprocess.run(
        [*command, *(f"tests/conformance/{name}" for name in FILES)],
        cwd=ROOT,
        env={**os.environ, "CONFORMANCE_SETTINGS": json.dumps(settings)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    found = json.loads(outcomes.read_text())
    return {f"{each['file']} {each['case']}": (each["system"], each["broke"], each["aspects"]) for each in found}


@pytest.fixture(scope="module")
def as_ever(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What comes of the cases without an archive."""
    found = played({}, tmp_path_factory.mktemp("as-ever"))
    assert len(found) >= FEWEST
    assert {Path(name.partition(" ")[0]).name for name in found} == set(FILES)
    return found


def archive(folder: Path, **changed: Any) -> dict[str, Any]:
    """An archive that is soon at work."""
    spool = {"directory": str(folder / "spool"), "min_free_bytes": 0} | changed.pop("spool", {})
    return {"archive": {"directory": str(folder / "store"), "spool": spool, "rotate": {"seconds": 1}} | changed}


@contextmanager
def silence() -> Iterator[tuple[int, Callable[[], int]]]:
    """A port where connections are taken and nothing is ever answered, and how many there were."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        thread = Thread(target=take, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], lambda: len(held)
        finally:
            server.shutdown(socket.SHUT_RDWR)  # closing alone would not wake who waits in it
            thread.join()
            for each in held:
                each.close()


def archivers_below(pid: int) -> list[int]:
    """The archivers among the descendants of a process."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # it has ended meanwhile
    return [each for each in found[1:] if b"proxy.archiver" in words_of(each)]


def words_of(pid: int) -> list[bytes]:
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@contextmanager
def killing() -> Iterator[set[int]]:
    """Kill every archiver that this process's children start; those killed."""
    killed: set[int] = set()
    over = Event()

    def kill() -> None:
        while not over.wait(PAUSE):
            for pid in archivers_below(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed.add(pid)

    thread = Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_a_store_that_hangs_is_not_noticed(as_ever: Outcomes, tmp_path: Path) -> None:
    with silence() as (port, connections):
        keys = {"accessKey": "a", "secretKey": "b"}
        s3 = {"endpoint": f"http://127.0.0.1:{port}", "recordingsBucket": "recordings", **keys}
        found = played(archive(tmp_path, store="s3", s3=s3), tmp_path)
        assert connections()  # of the three gateways, those whose archiver was quick enough
    assert found == as_ever
    waiting = look(tmp_path / "spool", time.time(), is_counted=True)[State.SEALED]
    assert waiting.payloads


def test_a_spool_that_is_full_is_not_noticed(as_ever: Outcomes, tmp_path: Path) -> None:
    spooled(tmp_path / "spool", 1, [Sent(b"x" * 8192)])
    (tmp_path / "store").write_text("a file where the folder should be: nothing leaves the spool")
    full = archive(tmp_path, spool={"max_bytes": "8KiB"}, rotate={"bytes": 1024, "seconds": 1})
    found = played(full, tmp_path)
    assert found == as_ever
    left = look(tmp_path / "spool", time.time(), is_counted=True)
    # The one that filled it; none came to it.
    assert sum(each.payloads or 0 for each in left.values()) == 1


def test_an_archiver_that_is_killed_all_the_time_is_not_noticed(as_ever: Outcomes, tmp_path: Path) -> None:
    with killing() as killed:
        found = played(archive(tmp_path), tmp_path)
    assert killed
    assert found == as_ever
