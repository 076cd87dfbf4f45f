"""An archiver that is a process of its own: uploads what waits in a spool, and ends when nothing waits any
more, or never.

Told by JSON on stdin what `tests.s3.archiving.Program` says. With a `moment` it ends by SIGKILL at that one: before its
first call to the store, after that, before its second, and so on. Its log goes to stderr.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from proxy.archive.s3 import S3Options, S3Store
from proxy.archive.store import Entry, Store
from proxy.archive.uploader import Uploader, UploadRules
from proxy.observe.ledger import Ledger, LedgerMemory
from tests.gateway import eventually
from tests.s3.archiving import PATIENCE, waiting
from tests.unit.cli.archived import OPTIONS


class Deadly:
    """A store whose user is killed at the so manieth moment; 0: never."""

    def __init__(self, store: Store, moment: int) -> None:
        self._store = store
        self._left = moment

    def _passes(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(PATIENCE)  # not one more call

    def describe(self) -> str:
        return self._store.describe()

    def put(self, key: str, source: Path | bytes) -> None:
        self._passes()
        self._store.put(key, source)
        self._passes()

    def size(self, key: str) -> int | None:
        self._passes()
        size = self._store.size(key)
        self._passes()
        return size

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._store.read(key, start, length)

    def download(self, key: str, to: BinaryIO) -> None:
        self._store.download(key, to)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return self._store.entries(prefix, after)


def main() -> None:
    """Upload all that waits."""
    logging.basicConfig(format="%(message)s")
    told = json.load(sys.stdin)
    spool = Path(told["spool"])
    options = S3Options(**told["options"], ca_file=Path(told["ca_file"]) if told["ca_file"] else None)
    store = Deadly(S3Store(options), told["moment"])
    # One at a time: the moments come in one order.
    rules = UploadRules(1, 0.05, 0.2)
    uploader = Uploader(spool, "node", store, OPTIONS, rules, Ledger(LedgerMemory(told["ledger"]).rows[0]))
    uploader.start()
    if told["stays"]:
        signal.pause()  # until it is killed; libfaketime breaks every other way to wait
    eventually(lambda: not waiting(spool), PATIENCE)
    uploader.stop(PATIENCE)


if __name__ == "__main__":
    main()
