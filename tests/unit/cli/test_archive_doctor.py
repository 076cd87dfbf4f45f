"""Proves that `archive doctor` says what is wrong with a folder and a spool, and what to do. What it says of real
servers is proved in tests/s3/test_commands.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.gateway import free_port
from tests.unit.cli.archived import Archived, Sent, spooled


def examined(archived: Archived) -> tuple[int, dict[str, dict[str, Any]]]:
    result = archived.run("doctor", "--json")
    assert result.stderr == ""
    return result.exit_code, {check["name"]: check for check in json.loads(result.stdout)}


def test_a_folder_and_a_spool_that_can_be_used_are_fine(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.add(1, Sent(b"{}"))
    archived.spool.mkdir(mode=0o700)
    code, checks = examined(archived)
    assert code == 0
    assert list(checks) == ["folder", "spool medium", "spool access", "spool room", "spool nodes"]
    # What the disk of this machine is like is another matter.
    assert {checks[name]["state"] for name in ("folder", "spool access", "spool nodes")} == {"ok"}


def test_what_is_not_there_yet_is_left_to_the_gateway(tmp_path: Path) -> None:
    code, checks = examined(Archived(tmp_path))
    assert code == 0
    assert checks["folder"]["what"] == f"{tmp_path / 'archive'} is not there yet; the gateway makes it"
    assert [each.name for each in tmp_path.iterdir()] == ["gateway.yaml"]


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    (tmp_path / "archive").mkdir()
    assert examined(archived)[1]["folder"]["state"] == "ok"
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_folder_that_can_not_be_written_fails_with_a_remedy(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    (tmp_path / "archive").write_text("a file where the folder should be")
    code, checks = examined(archived)
    assert code == 1
    assert checks["folder"]["state"] == "fail"
    assert "can't be written" in checks["folder"]["what"]
    assert checks["folder"]["remedy"]


def test_what_is_no_failure_ends_with_0(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    spooled(archived.spool, 1, [Sent(b"{}")])
    code, checks = examined(archived)
    assert checks["spool nodes"]["state"] == "warn"
    assert code == 0


def test_people_get_a_line_for_each_and_the_remedy_below(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    spooled(archived.spool, 1, [Sent(b"{}")])
    result = archived.run("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ok       folder: ")
    at = next(number for number, line in enumerate(lines) if line.startswith("warn     spool nodes: "))
    assert lines[at + 1].startswith("         give every gateway a spool of its own")


def test_a_bucket_that_is_not_there_breaks_nothing_off(tmp_path: Path) -> None:
    s3 = {"endpoint": f"http://127.0.0.1:{free_port()}", "recordingsBucket": "recordings"}
    keys = {"accessKey": "TOPSECRET", "secretKey": "TOPSECRET"}
    archived = Archived(tmp_path, archive={"s3": s3 | keys, "spool": {"directory": str(tmp_path / "spool")}})
    code, checks = examined(archived)
    assert code == 1
    assert checks["s3:PutObject"]["state"] == "fail"
    assert checks["s3:GetObject"]["state"] == "unknown"
    assert checks["spool nodes"]["state"] == "ok"
    assert "TOPSECRET" not in json.dumps(checks)
