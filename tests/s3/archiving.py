"""An archiver over a real server: segments that wait for it, what must become of them, and programs that die over it.

Must not know what spoils the way to the server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proxy.archive.s3 import S3Options, S3Store
from proxy.archive.seal import seal
from proxy.archive.uploader import Uploader, UploadRules
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.folder import State, found_in
from proxy.spool.name import SegmentName
from tests.gateway import ROOT, eventually
from tests.unit.cli.archived import OPTIONS, Sent, spooled
from tests.unit.spool.spooled import BOOT

PATIENCE = 60.0
PAYLOADS = 3  # in each segment
RULES = UploadRules(2, 0.05, 0.2)
Objects = dict[str, bytes]


def segment(spool: Path, number: int = 1, noise: int = 0) -> tuple[Path, Objects]:
    """A segment that waits for its upload, with `noise` more bytes that nothing compresses in each payload, and the
    objects that must become of it."""
    sent = [Sent(json.dumps({"n": each, "noise": os.urandom(noise).hex()}).encode()) for each in range(PAYLOADS)]
    path = spooled(spool, number, sent)
    scratch = spool.parent / f"expected-{spool.name}-{number}"
    scratch.mkdir()
    made = seal(path, SegmentName("node", BOOT, number), OPTIONS, scratch)
    return path, {made.data_key: made.data.read_bytes(), made.index_key: made.index.read_bytes()}


def objects(options: S3Options) -> Objects:
    """All that is stored, by key."""
    store = S3Store(options)
    return {entry.key: store.read(entry.key) for entry in store.entries("")}


def waiting(spool: Path) -> list[Path]:
    """What is not uploaded yet."""
    return [each.path for each in found_in(spool) if each.state is State.SEALED]


@contextmanager
def archiving(
    spool: Path, options: S3Options, memory: LedgerMemory | None = None, rules: UploadRules = RULES
) -> Iterator[LedgerMemory]:
    """An archiver at work, until the block is left; its ledger."""
    memory = memory or LedgerMemory.create(1)
    uploader = Uploader(spool, "node", S3Store(options), OPTIONS, rules, Ledger(memory.rows[0]))
    uploader.start()
    try:
        yield memory
    finally:
        uploader.stop(PATIENCE)


def finish(spool: Path, options: S3Options, memory: LedgerMemory | None = None) -> LedgerMemory:
    """An archiver that has nothing left to do; its ledger."""
    with archiving(spool, options, memory) as used:
        eventually(lambda: not waiting(spool), PATIENCE, "everything is uploaded")
    return used


def failures(memory: LedgerMemory) -> int:
    """How often an upload has failed."""
    return memory.totals().of(Counter.ARCHIVE_UPLOAD_FAILURES)


def archived(memory: LedgerMemory) -> int:
    """Payloads that are archived."""
    return memory.totals().of(Counter.ARCHIVED)


class Program:
    """An archiver in a process of its own (`uploading_program`), ended with its block. `changes` are the environment's.
    One that `stays` does not end by itself."""

    def __init__(
        self,
        spool: Path,
        options: S3Options,
        memory: LedgerMemory,
        *,
        moment: int = 0,
        stays: bool = False,
        changes: Mapping[str, str] | None = None,
    ) -> None:
        os.set_inheritable(memory.number, True)
        told: dict[str, Any] = {
            "spool": str(spool),
            "ledger": memory.number,
            "moment": moment,
            "stays": stays,
            "options": {
                name: getattr(options, name)
                for name in ("bucket", "endpoint", "region", "access_key", "secret_key", "prefix")
            },
            "ca_file": str(options.ca_file or ""),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.s3.uploading_program"],
            cwd=ROOT,
            env={**os.environ, **(changes or {})},
            pass_fds=(memory.number,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told))
        self._process.stdin.close()
        self._process.stdin = None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self) -> tuple[int, str]:
        """Its exit code, -9 for one that was killed, and all that it has written."""
        text, _ = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, text

    def killed(self) -> str:
        """End it; all that it has written."""
        self._process.kill()
        return self.wait()[1]
