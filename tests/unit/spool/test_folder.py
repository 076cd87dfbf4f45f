"""Proves that a file's state and owner survive whatever happens to the processes, and that nobody takes what is in
use."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from proxy.spool.folder import (
    CREATED_SECONDS,
    Found,
    State,
    adopt_orphans,
    advance,
    claim,
    create,
    found_in,
    path_of,
    prepare,
    remove,
)
from proxy.spool.name import SegmentName

NAME = SegmentName("node", "0123456789abcdef", 7)
CREATIONS = 5000  # where files that are being created are claimed, one of the first hundreds fails


def test_what_is_created_is_open_and_nobody_elses(tmp_path: Path) -> None:
    descriptor = create(tmp_path, NAME)
    try:
        (found,) = found_in(tmp_path)
        assert (found.name, found.state) == (NAME, State.OPEN)
        assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
        assert claim(found.path) is None
        assert adopt_orphans(tmp_path, time.time()) == []
    finally:
        os.close(descriptor)


def test_the_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    prepare(tmp_path / "a" / "spool")
    assert stat.S_IMODE((tmp_path / "a" / "spool").stat().st_mode) == 0o700
    prepare(tmp_path / "a" / "spool")


def test_a_name_is_used_once(tmp_path: Path) -> None:
    path_of(tmp_path, NAME, State.NEW).touch()
    with pytest.raises(FileExistsError):
        create(tmp_path, NAME)


def test_the_open_file_of_a_killed_process_is_sealed_with_what_was_in_it(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, sys, time
from proxy.spool.folder import create
from proxy.spool.name import SegmentName
os.write(create(pathlib.Path(sys.argv[1]), SegmentName{tuple(NAME)!r}), b"kept")
print(1, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"1\n"
        assert adopt_orphans(tmp_path, time.time()) == []
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        assert adopt_orphans(tmp_path, time.time()) == [path_of(tmp_path, NAME, State.SEALED)]
    assert path_of(tmp_path, NAME, State.SEALED).read_bytes() == b"kept"


def test_what_was_half_created_is_removed_when_it_is_old(tmp_path: Path) -> None:
    path_of(tmp_path, NAME, State.NEW).touch()
    assert adopt_orphans(tmp_path, time.time() + CREATED_SECONDS - 1) == []
    assert [found.state for found in found_in(tmp_path)] == [State.NEW]
    assert adopt_orphans(tmp_path, time.time() + CREATED_SECONDS + 1) == []
    assert list(found_in(tmp_path)) == []


def test_who_looks_for_orphans_never_disturbs_who_creates_a_file(tmp_path: Path) -> None:
    """Two that look, over and over, while files are created and removed."""
    program = (
        "import pathlib, sys, time; from proxy.spool.folder import adopt_orphans\n"
        "print('looking', flush=True)\n"
        "while True: adopt_orphans(pathlib.Path(sys.argv[1]), time.time())"
    )
    lookers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for each in lookers:
            assert each.stdout is not None
            assert each.stdout.readline() == "looking\n"
        for number in range(CREATIONS):
            name = NAME._replace(number=number)
            descriptor = create(tmp_path, name)
            path = path_of(tmp_path, name, State.OPEN)
            remove(Found(name, State.OPEN, path))
            os.close(descriptor)
    finally:
        for each in lookers:
            each.kill()
            each.communicate()


def test_sealed_damaged_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    left = {f"{NAME}.sealed", f"{NAME}.damaged", "notes.txt", "node-xyz-1.open", f"{NAME}.other", f"{NAME}"}
    for name in left:
        (tmp_path / name).touch()
    assert adopt_orphans(tmp_path, time.time()) == []
    assert {path.name for path in tmp_path.iterdir()} == left
    assert {found.state for found in found_in(tmp_path)} == {State.SEALED, State.DAMAGED}


def test_who_claims_a_file_may_rename_and_remove_it_and_nobody_else_gets_it(tmp_path: Path) -> None:
    path_of(tmp_path, NAME, State.SEALED).write_bytes(b"x")
    (found,) = found_in(tmp_path)
    descriptor = claim(found.path)
    assert descriptor is not None
    try:
        assert claim(found.path) is None
        damaged = advance(found, State.DAMAGED)
        assert damaged.read_bytes() == b"x"
        remove(found._replace(path=damaged))
        assert list(found_in(tmp_path)) == []
        assert claim(damaged) is None
    finally:
        os.close(descriptor)


def test_a_file_that_was_renamed_while_it_was_claimed_is_not_claimed(tmp_path: Path) -> None:
    """Two sweepers: the second must not act on a name that by now belongs to another file."""
    path = path_of(tmp_path, NAME, State.OPEN)
    path.write_bytes(b"first")
    holder = os.open(path, os.O_RDWR)
    path.unlink()
    path.write_bytes(b"second")
    descriptor = claim(path)
    assert descriptor is not None
    assert os.fstat(descriptor).st_ino == path.stat().st_ino
    os.close(descriptor)
    os.close(holder)


def test_many_sweepers_adopt_each_orphan_once(tmp_path: Path) -> None:
    names = [NAME._replace(number=number) for number in range(50)]
    for name in names:
        path_of(tmp_path, name, State.OPEN).write_bytes(b"x")
    program = (
        "import pathlib, sys, time; from proxy.spool.folder import adopt_orphans\n"
        "sys.stdin.readline(); print(len(adopt_orphans(pathlib.Path(sys.argv[1]), time.time())))"
    )
    sweepers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    time.sleep(0.3)  # only to make them begin together; what is asserted holds without it
    adopted = sum(int(each.communicate("go\n", timeout=30)[0]) for each in sweepers)
    assert adopted == len(names)
    assert {found.state for found in found_in(tmp_path)} == {State.SEALED}
