"""A process that offers uploads to a spool as fast as it can until it is killed or its parent is gone.

`python -m tests.faults.archive.spool_appender LEDGER FOLDER FIRST SYNC UID`: the ledger's descriptor, the number of the
first upload, and whose process it is to be (0: as it is). Where the spool is durable, it writes the numbers of the
uploads that are on the disk, a line each. With a UID it offers one upload for each line of its input, and ends with it.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  # it is needed when this process may not read it any more
import os
import sys
import time
from pathlib import Path

from proxy.observe.ledger import LedgerMemory
from proxy.spool.entries import Upload
from tests.faults.archive.spool_bench import Bench, body, number_of


def main(ledger: str, folder: str, first: str, sync: str, uid: str) -> None:
    """Offer uploads."""
    if int(uid):
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    memory = LedgerMemory(int(ledger))
    bench = Bench(Path(folder), memory, sync=sync, sync_interval=0.01, rotate_bytes=100_000, rotate_seconds=1.0)
    bodies: dict[int, bytes] = {}
    told = bench.tee._on_settled

    def tell(uploads: list[Upload]) -> None:
        os.write(1, b"".join(b"%d\n" % number_of(bodies.pop(each.sequence)) for each in uploads))
        told(uploads)

    if sync == "durable":
        bench.tee._writer._settled = tell
    number, parent = int(first), os.getppid()
    with bench:
        # A test that fails must not leave it behind.
        while sys.stdin.readline() if int(uid) else os.getppid() == parent:
            data = body(number, number % 7 * 1500)
            if sync == "durable":
                bodies[bench.tee._sequence + 1] = data
            bench.offer(data)
            number += 1
            if not int(uid) and bench.tee.held_bytes > 1 << 20:
                time.sleep(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
