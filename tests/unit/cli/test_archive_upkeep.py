"""Proves that `archive verify` tells what is damaged, that `archive reindex` mends what can be, and what each ends
with."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest

from proxy.archive.naming import Codec, index_key_of
from proxy.archive.seal import SealOptions
from tests.unit.cli.archived import SPAN, Archived, Sent, spoil
from tests.unit.spool.spooled import OTHER_BOOT

HOURS = "from the hours of 2025-11-24T15:00:00Z to 2025-11-24T19:00:00Z"


def filled(folder: Path, codec: Codec = Codec.ZSTD) -> tuple[Archived, str, str]:
    archived = Archived(folder)
    archived.options = SealOptions(codec, 3, "decoded", 1 << 20)
    uploads = (Sent(b'{"n":1}', 0), Sent(b'{"n":2}', 1, "s2"))
    return archived, archived.add(1, *uploads), archived.add(1, *uploads, boot=OTHER_BOOT)


def test_an_archive_that_is_whole_is_fine(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    result = archived.run("verify", *SPAN)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"2 objects, 4 payloads {HOURS}: no problems\n"


def test_what_was_looked_at_is_said_even_when_it_is_nothing(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    result = archived.run("verify")
    assert result.exit_code == 0
    assert result.stdout.startswith("0 objects, 0 payloads from the hours of ")


def test_every_problem_has_its_line(tmp_path: Path) -> None:
    archived, first, second = filled(tmp_path)
    spoil(archived.path(first), 20, b"\0" * 8)
    archived.path(index_key_of(second)).unlink()
    result = archived.run("verify", *SPAN)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"missing index  {index_key_of(second)}: no search finds what is in {second}" in lines
    assert [line for line in lines if line.startswith(f"bad block  {first}: ")]
    assert lines[-1].endswith(f"{HOURS}: {len(lines) - 1} problems")


def test_json_holds_all_of_it(tmp_path: Path) -> None:
    archived, first, _ = filled(tmp_path)
    archived.path(index_key_of(first)).unlink()
    result = archived.run("verify", *SPAN, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["objects"], told["blocks"], told["payloads"]) == (2, 4, 4)
    assert told["to"] - told["from"] == 4 * 3_600_000
    (problem,) = told["problems"]
    assert (problem["fault"], problem["key"]) == ("missing index", index_key_of(first))


@pytest.mark.parametrize(("codec", "how"), [(Codec.ZSTD, "copied from"), (Codec.GZIP, "from the data")])
def test_indexes_that_are_gone_are_made_anew(tmp_path: Path, codec: Codec, how: str) -> None:
    archived, first, _ = filled(tmp_path, codec)
    index = archived.path(index_key_of(first))
    before = archived.run("find", *SPAN, "--json").stdout
    index.unlink()
    result = archived.run("reindex", *SPAN)
    assert (result.exit_code, result.stderr) == (0, "")
    rebuilt, summary = result.stdout.splitlines()
    assert rebuilt.startswith(f"rebuilt  {index_key_of(first)}, {how}")
    assert summary == f"1 index object rebuilt, 1 as they should be {HOURS}: no problems"
    assert archived.run("find", *SPAN, "--json").stdout == before
    assert archived.run("verify", *SPAN).exit_code == 0


def test_what_can_not_be_mended_is_told(tmp_path: Path) -> None:
    archived, first, second = filled(tmp_path)
    archived.path(first).unlink()
    archived.path(index_key_of(second)).unlink()
    result = archived.run("reindex", *SPAN, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["rebuilt"] == [{"key": index_key_of(second), "is_copy": True}]
    assert [(each["fault"], each["key"]) for each in told["problems"]] == [("missing data", first)]


def test_a_second_time_nothing_has_to_be_done(tmp_path: Path) -> None:
    archived, first, _ = filled(tmp_path)
    archived.path(index_key_of(first)).unlink()
    archived.run("reindex", *SPAN)
    told = json.loads(archived.run("reindex", *SPAN, "--json").stdout)
    assert (told["good"], told["rebuilt"]) == (2, [])


@pytest.mark.parametrize("command", ["verify", "reindex"])
def test_nothing_is_left_where_objects_were_copied_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    archived, first, _ = filled(tmp_path, Codec.GZIP)
    archived.path(index_key_of(first)).unlink()
    scratch = tmp_path / "scratch-of-its-own"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    archived.run(command, *SPAN)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("command", ["verify", "reindex", "get"])
def test_how_far_it_is_stands_on_a_terminal_until_the_end(tmp_path: Path, command: str) -> None:
    archived, _, _ = filled(tmp_path)
    ours, theirs = pty.openpty()
    arguments = ("--session", "s1", *SPAN) if command == "get" else SPAN
    with archived.process(command, *arguments, stderr=theirs) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=60)
    shown = _all_of(ours)
    assert process.returncode == 0
    assert shown.startswith(b"\r")
    assert shown.endswith(b"\r\x1b[K")
    assert b"\r" not in out


def _all_of(terminal: int) -> bytes:
    found = b""
    with open(terminal, "rb", buffering=0) as file:
        while True:
            try:
                piece = file.read(1024)
            except OSError:  # the other end is closed: that is how a terminal says so
                return found
            if not piece:
                return found
            found += piece
