"""Proves that `archive erase` changes nothing unless it is told to, says what it did, and what it ends with."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from proxy.archive.naming import index_key_of
from tests.unit.cli.archived import SPAN, Archived, Sent
from tests.unit.spool.spooled import OTHER_BOOT


def filled(folder: Path) -> tuple[Archived, str, str]:
    """Two objects; the second holds nothing of device d1."""
    archived = Archived(folder)
    first = archived.add(1, Sent(b'{"n":1}'), Sent(b'{"n":2}', 2000, "s2"), Sent(b'{"n":3}', 0, "s1", "d2"))
    return archived, first, archived.add(1, Sent(b'{"n":4}', 0, "s3", "d2"), boot=OTHER_BOOT)


def found(archived: Archived) -> list[tuple[str, str]]:
    rows = map(json.loads, archived.run("find", *SPAN, "--json").stdout.splitlines())
    return [(row["device_id"], row["session_id"]) for row in rows]


EVERYTHING = [("d1", "s1"), ("d1", "s2"), ("d2", "s1"), ("d2", "s3")]


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_without_being_told_it_changes_nothing(tmp_path: Path, how: tuple[str, ...]) -> None:
    archived, first, _ = filled(tmp_path)
    result = archived.run("erase", "--device", "d1", *how)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"would erase  {first}: 2 blocks with 2 payloads, 1 left",
        "2 payloads in 1 object would be erased, of all times: no problems",
    ]
    assert result.stderr == "nothing was changed; give --yes to do it\n"
    assert sorted(found(archived)) == EVERYTHING


def test_a_device_is_erased_and_a_second_time_there_is_nothing(tmp_path: Path) -> None:
    archived, first, _ = filled(tmp_path)
    result = archived.run("erase", "--device", "d1", "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"erased  {first}: 2 blocks with 2 payloads, 1 left",
        "2 payloads in 1 object erased, of all times: no problems",
    ]
    assert sorted(found(archived)) == EVERYTHING[2:]
    assert archived.run("verify", *SPAN).exit_code == 0
    again = archived.run("erase", "--device", "d1", "--yes")
    assert again.exit_code == 0
    assert again.stdout == "0 payloads in 0 objects erased, of all times: no problems\n"


def test_a_session_is_erased_of_every_device_or_of_one(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    archived.run("erase", "--session", "s1", "--device", "d2", "--yes")
    assert sorted(found(archived)) == [("d1", "s1"), ("d1", "s2"), ("d2", "s3")]
    archived.run("erase", "--session", "s1", "--yes")
    assert sorted(found(archived)) == [("d1", "s2"), ("d2", "s3")]


@pytest.mark.parametrize(
    ("span", "left"),
    [
        (("--from", "2025-11-24T16:00:01"), [("d1", "s1"), ("d2", "s1"), ("d2", "s3")]),
        (("--to", "2025-11-24T16:00:01"), [("d1", "s2"), ("d2", "s1"), ("d2", "s3")]),
        (("--to", "2025-11-24T15:00"), EVERYTHING),
    ],
)
def test_times_narrow_it(tmp_path: Path, span: tuple[str, ...], left: list[tuple[str, str]]) -> None:
    archived, _, _ = filled(tmp_path)
    assert archived.run("erase", "--device", "d1", *span, "--yes").exit_code == 0
    assert sorted(found(archived)) == left


def test_who_is_erased_is_remembered_without_a_name(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    archived.run("erase", "--device", "d1")
    assert not archived.path("v1/suppressed").exists()
    archived.run("erase", "--device", "d1", "--to", "2025-11-25", "--yes")
    archived.run("erase", "--device", "d1", "--to", "2025-11-25", "--yes")
    (rule,) = archived.path("v1/suppressed").iterdir()
    told = json.loads(rule.read_bytes())
    assert (told["device"], told["session"]) == (sha256(b"d1").hexdigest(), None)
    assert (told["from"], told["to"]) == (0, 1764028800000)


def test_json_holds_all_of_it(tmp_path: Path) -> None:
    archived, first, second = filled(tmp_path)
    archived.path(index_key_of(second)).unlink()
    told = json.loads(archived.run("erase", "--device", "d1", "--yes", "--json").stdout)
    assert told["erased"] == [{"key": first, "blocks": 2, "payloads": 2, "left": 1}]
    assert told["mended"] == [index_key_of(second)]
    assert (told["is_dry"], told["old_versions"], told["problems"]) == (False, "none", [])


def test_what_can_not_be_looked_through_makes_it_end_with_1(tmp_path: Path) -> None:
    archived, _, second = filled(tmp_path)
    archived.path(second).unlink()
    result = archived.run("erase", "--device", "d1", "--yes")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 payloads in 1 object erased, of all times: 1 problem"
    assert f"missing data  {second}: " in result.stdout


def test_nothing_is_left_where_objects_were_copied_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archived, _, _ = filled(tmp_path)
    scratch = tmp_path / "scratch-of-its-own"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    archived.run("erase", "--device", "d1", "--yes")
    assert list(scratch.iterdir()) == []
