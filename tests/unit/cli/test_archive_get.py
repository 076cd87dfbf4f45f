"""Proves that `archive get` gives back what was uploaded, in order, and says when it can't."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions
from tests.unit.cli.archived import SPAN, Archived, Sent, spoil
from tests.unit.spool.spooled import OTHER_BOOT, T0

NOT_JSON = b"\xff\xfe no JSON"
WANTED = ("--session", "s1", *SPAN)


def filled(folder: Path, codec: Codec = Codec.ZSTD) -> Archived:
    """A session that came through two workers by turns, and another one."""
    archived = Archived(folder)
    archived.options = SealOptions(codec, 3, "decoded", 1 << 20)
    archived.add(1, Sent(b'{"n":1}', 0), Sent(b'{"n":3}', 2000, is_gzipped=True), Sent(b'{"n":"other"}', 0, "s2"))
    archived.add(1, Sent(b'{"n":2}', 1000), Sent(b'{"n":1}', 3000), boot=OTHER_BOOT)
    return archived


def bodies(output: bytes | str) -> list[object]:
    return [json.loads(line)["body"]["n"] for line in output.splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_session_comes_in_the_order_of_time(tmp_path: Path) -> None:
    result = filled(tmp_path).run("get", *WANTED)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert bodies(result.stdout) == [1, 2, 3, 1]


def test_what_came_twice_is_left_out_if_that_is_wished(tmp_path: Path) -> None:
    assert bodies(filled(tmp_path).run("get", *WANTED, "--dedupe").stdout) == [1, 2, 3]


def test_a_span_and_a_device_narrow_it(tmp_path: Path) -> None:
    archived = filled(tmp_path)
    one = archived.run("get", "--session", "s1", "--from", "2025-11-24T16:00:01", "--to", "2025-11-24T16:00:03")
    assert bodies(one.stdout) == [2, 3]
    assert archived.run("get", *WANTED, "--device", "d2").exit_code == 1


def test_lines_in_a_file_are_the_same_and_for_their_owner_alone(tmp_path: Path) -> None:
    archived, file = filled(tmp_path), tmp_path / "s1.ndjson"
    file.write_text("an earlier one")
    result = archived.run("get", *WANTED, "--output", str(file))
    assert (result.exit_code, result.output) == (0, "")
    assert file.read_text() == archived.run("get", *WANTED).stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_bodies_are_files_named_by_time_and_sequence(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.add(1, Sent(b'{"n":1}', 0), Sent(b'{"n":2}', 5, is_gzipped=True), Sent(NOT_JSON, 7))
    result = archived.run("get", *WANTED, "--format", "bodies", "--output", str(tmp_path / "out"))
    assert (result.exit_code, result.output) == (0, "")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        f"{T0}-1.json": b'{"n":1}',
        f"{T0 + 5}-2.json": b'{"n":2}',
        f"{T0 + 7}-3.bin": NOT_JSON,
    }
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_two_bodies_of_one_time_and_sequence_are_both_kept(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.add(1, Sent(b'{"n":1}'))
    archived.add(1, Sent(b'{"n":2}'), boot=OTHER_BOOT)
    archived.run("get", *WANTED, "--format", "bodies", "--output", str(tmp_path / "out"))
    assert names(tmp_path / "out") == [f"{T0}-1-2.json", f"{T0}-1.json"]


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    archived = filled(tmp_path)
    (tmp_path / "out").mkdir()
    result = archived.run("get", *WANTED, "--format", "bodies", "--output", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "name a new folder" in result.stderr
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("form", ["ndjson", "bodies"])
def test_a_session_that_is_not_there_is_told_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    archived = filled(tmp_path)
    before = names(tmp_path)
    result = archived.run("get", "--session", "s9", *SPAN, "--format", form, "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert result.stderr.startswith("nothing of session s9 is in the archive from 2025-11-24T15:00:00Z to ")
    assert names(tmp_path) == before


@pytest.mark.parametrize("form", ["ndjson", "bodies"])
def test_an_output_that_can_not_be_written_is_told(tmp_path: Path, form: str) -> None:
    nowhere = str(tmp_path / "none" / "out")
    result = filled(tmp_path).run("get", *WANTED, "--format", form, "--output", nowhere)
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


def test_a_payload_that_was_altered_is_told_and_the_others_come(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.options = SealOptions(Codec.NONE, 1, "decoded", 1 << 20)
    key = archived.add(1, Sent(b'{"n":1}', 0), Sent(b'{"n":2}', 1000))
    path = archived.path(key)
    spoil(path, path.read_bytes().index(b'{"n":1}'), b'{"n":7}')
    result = archived.run("get", *WANTED)
    assert result.exit_code == 1
    assert bodies(result.stdout) == [7, 2]
    expected = f"hash mismatch  ts {T0}, sequence 1: the body has another SHA-256"
    assert expected in result.stderr.splitlines()


def test_a_damaged_block_is_told_and_the_others_come(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    damaged = archived.add(1, Sent(b'{"n":1}', 0))
    archived.add(1, Sent(b'{"n":2}', 1000), boot=OTHER_BOOT)
    spoil(archived.path(damaged), 20, b"\0" * 8)
    result = archived.run("get", *WANTED, "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert bodies((tmp_path / "out").read_bytes()) == [2]
    assert result.stderr.startswith(f"bad block  {damaged}: the block at 0, ")


def test_as_a_process_it_writes_bytes_and_nothing_else(tmp_path: Path) -> None:
    archived = filled(tmp_path)
    with archived.process("get", *WANTED) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert bodies(out) == [1, 2, 3, 1]


def test_who_has_read_enough_causes_no_traceback(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.add(1, *(Sent(b'{"n":"%b"}' % (b"x" * 100_000), each) for each in range(20)))
    reading, writing = os.pipe()
    with archived.process("get", *WANTED, stdout=writing) as process:
        os.close(writing)
        assert os.read(reading, 10) == b'{"v":1,"se'
        os.close(reading)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"Traceback" not in err
