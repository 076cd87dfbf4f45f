"""Proves that `archive find` lists where sessions are, as a table for people and as lines for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proxy.archive.naming import index_key_of
from tests.unit.cli.archived import SPAN, Archived, Sent, spoil
from tests.unit.spool.spooled import OTHER_BOOT, T0


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def filled(folder: Path) -> tuple[Archived, str, str]:
    """Two objects: s1 of d1 in both, s2 of d2 in the second."""
    archived = Archived(folder)
    first = archived.add(1, Sent(b'{"n":1}', 0), Sent(b'{"n":2}', 1000))
    second = archived.add(2, Sent(b'{"n":3}', 2000), Sent(b'{"n":4}', 3000, "s2", "d2"), boot=OTHER_BOOT)
    return archived, first, second


def test_a_session_is_found_in_each_object_that_holds_it(tmp_path: Path) -> None:
    archived, first, second = filled(tmp_path)
    result = archived.run("find", "--session", "s1", *SPAN, "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    found = rows(result.stdout)
    assert [(row["key"], row["n"], row["t0"], row["t1"]) for row in found] == [
        (first, 2, T0, T0 + 1000),
        (second, 1, T0 + 2000, T0 + 2000),
    ]
    assert {row["session_id"] for row in found} == {"s1"}


def test_a_device_is_found_and_without_either_everything(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    assert [row["session_id"] for row in rows(archived.run("find", "--device", "d2", *SPAN, "--json").stdout)] == ["s2"]
    assert len(rows(archived.run("find", *SPAN, "--json").stdout)) == 3


def test_only_what_has_something_of_the_span_is_found(tmp_path: Path) -> None:
    archived, first, _ = filled(tmp_path)
    found = rows(archived.run("find", "--from", "2025-11-24T16:00", "--to", "2025-11-24T16:00:02", "--json").stdout)
    assert [row["key"] for row in found] == [first]


def test_the_table_has_a_line_for_each_block_and_a_sum(tmp_path: Path) -> None:
    archived, first, _ = filled(tmp_path)
    result = archived.run("find", "--session", "s1", *SPAN)
    assert result.exit_code == 0
    heading, one, other = (line.split() for line in result.stdout.splitlines())
    assert heading == ["FIRST", "LAST", "PAYLOADS", "STORED", "DEVICE", "SESSION", "OBJECT"]
    assert one[:3] == ["2025-11-24T16:00:00Z", "2025-11-24T16:00:01Z", "2"]
    assert one[-3:] == ["d1", "s1", f"{first}@0"]
    assert other[2] == "1"
    assert result.stderr == "3 payloads in 2 blocks from 2025-11-24T15:00:00Z to 2025-11-24T19:00:00Z\n"


def test_nothing_found_is_said_and_no_failure(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    result = archived.run("find", "--session", "s3", *SPAN)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith("nothing from 2025-11-24T15:00:00Z to ")


def test_by_default_old_sessions_are_not_looked_for(tmp_path: Path) -> None:
    archived, _, _ = filled(tmp_path)
    assert archived.run("find", "--json").stdout == ""


def test_what_a_client_calls_its_session_does_not_reach_the_terminal(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    archived.add(1, Sent(b"{}", 0, "%1b%5b2J%0aforged", ""))
    out = archived.run("find", *SPAN).stdout
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2
    assert out.splitlines()[1].split()[-3:-1] == ["-", "\\x1b[2J\\nforged"]


def test_an_index_that_can_not_be_read_is_told_and_the_rest_is_found(tmp_path: Path) -> None:
    archived, first, second = filled(tmp_path)
    spoil(archived.path(index_key_of(first)), 8, b"\0\0\0\0\0\0\0\0")
    result = archived.run("find", "--session", "s1", *SPAN, "--json")
    assert result.exit_code == 1
    assert [row["key"] for row in rows(result.stdout)] == [second]
    assert result.stderr.startswith(f"bad index  {index_key_of(first)}: ")
