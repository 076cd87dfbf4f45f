"""Proves that `archive status` beside a running gateway says where each upload is, and ends with 1 when some are not
going to be in the archive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.gateway import ROOT, Gateway, eventually
from tests.processes.client import Client, uploaded
from tests.processes.test_archive import config
from tests.standin import StandIn

NEVER = 3600


def status(gateway: Gateway, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command, given the gateway's own configuration."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "archive", "status", "--config", str(gateway.config_file), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def told(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """The same as JSON."""
    code, text = status(gateway, "--json", "--count")
    return code, json.loads(text)


def is_at(gateway: Gateway, place: str, number: int) -> tuple[int, dict[str, Any]] | None:
    """What is told, once so many uploads are there."""
    code, found = told(gateway)
    return (code, found) if found["gateway"][place] == number else None


def test_what_waits_and_what_is_archived_add_up_to_what_was_offered(vendor: StandIn, tmp_path: Path) -> None:
    with Gateway(config(tmp_path, rotate={"seconds": NEVER}), standin=vendor) as gateway:
        uploaded(gateway.port, 7)
        code, found = eventually(lambda: is_at(gateway, "pending", 7), 60)
        assert (code, found["problems"]) == (0, [])
        account = found["gateway"]
        assert account["is_reachable"]
        assert account["is_even"]
        assert (account["offered"], account["archived"], account["dropped"], account["damaged"]) == (7, 0, {}, 0)
        assert found["spool"]["open"]["payloads"] == 7
        assert found["spool"]["open"]["segments"] == 1
        gateway.stop()
        code, found = told(gateway)
        # One that does not run can't be asked, and has left nothing.
        assert (code, found["gateway"]["is_reachable"], found["problems"]) == (0, False, [])
        assert [found["spool"][state]["segments"] for state in ("open", "sealed", "damaged")] == [0, 0, 0]


def test_what_is_archived_is_told_for_people(vendor: StandIn, tmp_path: Path) -> None:
    with Gateway(config(tmp_path), standin=vendor) as gateway:
        uploaded(gateway.port, 3)
        code, found = eventually(lambda: is_at(gateway, "archived", 3), 60)
        assert (code, found["gateway"]["is_even"], found["gateway"]["pending"]) == (0, True, 0)
        code, text = status(gateway)
        assert code == 0
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert {"offered 3, and 0 from before this start", "archived 3", "dropped 0", "sum even"} <= set(lines)


def test_drops_end_it_with_1_and_are_told_by_reason(vendor: StandIn, tmp_path: Path) -> None:
    full = config(tmp_path, spool={"max_bytes": "4KiB", "queue_bytes": "16MiB"}, rotate={"bytes": 1024})
    with Gateway(full, standin=vendor) as gateway:
        with Client(gateway.port) as client:
            for _ in range(4):
                assert client.upload(b"x" * 5000)[0] == 200
        eventually(lambda: gateway.metric("replay_gateway_archive_dropped_total", reason="spool-full") == 4, 30)
        code, found = told(gateway)
        assert code == 1
        assert found["gateway"]["dropped"] == {"spool-full": 4}
        assert found["gateway"]["is_even"]
        assert found["problems"] == ["4 uploads dropped and not archived: spool-full 4"]
        code, text = status(gateway)
        assert code == 1
        assert "problem  4 uploads dropped and not archived: spool-full 4\n" in text
