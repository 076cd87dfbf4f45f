"""Proves that a file or folder of `archive get` is there only when it is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.archiving.files import new_file, new_folder


def break_off(path: Path, error: type[BaseException]) -> None:
    with new_file(path) as file:
        file.write(b"half")
        raise error


def break_off_in(path: Path, error: type[BaseException]) -> None:
    with new_folder(path) as folder:
        (folder.path / "half").touch()
        raise error


def meet_another(path: Path) -> None:
    with new_folder(path) as folder:
        (folder.path / "ours").touch()
        path.mkdir()
        (path / "theirs").touch()


def test_until_the_end_the_earlier_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"earlier")
    with new_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"earlier"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_file_that_breaks_off_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"earlier")
    with pytest.raises(error):
        break_off(path, error)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_folder_that_breaks_off_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        break_off_in(tmp_path / "out", error)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_wanted_is_not_there(tmp_path: Path) -> None:
    with new_file(tmp_path / "file") as file:
        file.discard()
    with new_folder(tmp_path / "folder") as folder:
        folder.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_appeared_meanwhile_is_not_written_into(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with pytest.raises(OSError, match="not empty"):
        meet_another(path)
    assert [each.name for each in tmp_path.rglob("*")] == ["out", "theirs"]
