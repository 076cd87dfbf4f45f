"""A disk that loses power: what a process did to a folder is recorded, and folders are made of it as a power cut at
some moment may leave them.

The model is what POSIX promises and no more. What was written and not synced may be there, in part, in pages that are
zeros, or not at all, whatever came before or after it. A file's name is the old one or the new one until its folder was
synced. What was synced is there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pytest

_PAGE = 4096


class Step(NamedTuple):
    """Something that was done, in its order. `what` is written, cut, synced, named, removed, folder or promised."""

    what: str
    file: int = 0  # inode
    at: int = 0
    data: bytes = b""
    name: str = ""
    promised: tuple[int, ...] = ()


class Recorder:
    """What this process does to files of one folder while `watch` is in force, by the calls that the spool uses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self.steps: list[Step] = []

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Record from here on."""
        self._wrap(patch, "open", self._opened)
        self._wrap(patch, "writev", self._written)
        self._wrap(patch, "write", self._written)
        self._wrap(patch, "ftruncate", self._cut)
        self._wrap(patch, "fdatasync", self._synced)
        self._wrap(patch, "fsync", self._synced)
        self._wrap(patch, "rename", self._renamed)
        self._wrap(patch, "unlink", self._removed)

    def promise(self, numbers: Sequence[int]) -> None:
        """Somebody was told that these uploads are on the disk."""
        self._add(Step("promised", promised=tuple(numbers)))

    def _add(self, step: Step) -> None:
        with self._lock:
            self.steps.append(step)

    def _wrap(self, patch: pytest.MonkeyPatch, name: str, then: Callable[..., None]) -> None:
        real = getattr(os, name)

        def recorded(*arguments: Any, **named: Any) -> Any:
            # Looked up before: a rename leaves nothing under the old name.
            before = os.stat(arguments[0]) if name in ("rename", "unlink") else None
            result = real(*arguments, **named)
            then(result, before, *arguments)
            return result

        patch.setattr(os, name, recorded)

    def _is_here(self, path: Any) -> bool:
        return isinstance(path, str | Path) and Path(path).parent == self._folder

    def _opened(self, result: int, _: Any, path: Any, flags: int = 0, *more: Any) -> None:
        if flags & os.O_CREAT and self._is_here(path):
            self._add(Step("named", os.fstat(result).st_ino, name=Path(path).name))

    def _written(self, result: int, _: Any, descriptor: int, data: Any) -> None:
        status = os.fstat(descriptor)
        whole = b"".join(data) if isinstance(data, list) else bytes(data)
        if any(step.what == "named" and step.file == status.st_ino for step in self.steps):
            self._add(Step("written", status.st_ino, status.st_size - result, whole[:result]))

    def _cut(self, _: Any, __: Any, descriptor: int, length: int) -> None:
        self._add(Step("cut", os.fstat(descriptor).st_ino, length))

    def _synced(self, _: Any, __: Any, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        self._add(Step("folder" if inode == self._folder.stat().st_ino else "synced", inode))

    def _renamed(self, _: Any, before: os.stat_result, __: Any, to: Any) -> None:
        if self._is_here(to):
            self._add(Step("named", before.st_ino, name=Path(to).name))

    def _removed(self, _: Any, before: os.stat_result, path: Any) -> None:
        if self._is_here(path):
            self._add(Step("removed", before.st_ino))


def promised_before(steps: Sequence[Step]) -> set[int]:
    """The uploads of which somebody was told by then that they are on the disk."""
    return {number for step in steps for number in step.promised}


def lose_power(steps: Sequence[Step], folder: Path, chance: random.Random) -> None:
    """Make `folder`, which is empty, what a power cut right after these steps may leave."""
    for file in dict.fromkeys(step.file for step in steps if step.what == "named"):
        name = _name(file, steps, chance)
        if name is not None:
            (folder / name).write_bytes(_content([step for step in steps if step.file == file], chance))


def _name(file: int, steps: Sequence[Step], chance: random.Random) -> str | None:
    """One of the names that the file may have; None: it is not there."""
    names: list[str | None] = [None]
    for step in steps:
        if step.what == "folder":
            names = names[-1:]
        elif step.file == file and step.what in ("named", "removed"):
            names.append(step.name or None)
    return chance.choice(names)


def _content(steps: Sequence[Step], chance: random.Random) -> bytes:
    """What may be in the file of these steps."""
    last = max((at for at, step in enumerate(steps) if step.what == "synced"), default=-1)
    sure = bytearray()
    for step in steps[: last + 1]:
        _apply(step, sure)
    whole = bytearray(sure)
    for step in steps[last + 1 :]:
        _apply(step, whole)
    way = chance.randrange(4)
    if way == 0:
        return bytes(sure)  # nothing of the tail
    if way == 1:
        return bytes(whole[: chance.randint(len(sure), len(whole))] if len(whole) > len(sure) else whole)
    if way == 2:
        return bytes(whole)  # it was lucky
    for page in range(len(sure) // _PAGE, len(whole) // _PAGE + 1):  # the length came through, some pages did not
        first, end = max(page * _PAGE, len(sure)), min((page + 1) * _PAGE, len(whole))
        if first < end and chance.random() < 0.5:
            whole[first:end] = bytes(end - first)
    return bytes(whole)


def _apply(step: Step, content: bytearray) -> None:
    if step.what == "written":
        content[step.at : step.at + len(step.data)] = step.data
    elif step.what == "cut":
        del content[step.at :]
