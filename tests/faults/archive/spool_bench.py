"""What the disasters of the spool have in common: a worker's real way into it, small disks, and what came of it all."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proxy.archive.directory import DirectoryStore
from proxy.archive.index import GapRow, Row
from proxy.archive.line import Line
from proxy.archive.naming import Codec
from proxy.archive.reader import Reader
from proxy.archive.seal import SealOptions
from proxy.archive.store import Store
from proxy.archive.uploader import Uploader, UploadRules
from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.spool.entries import Outcome, Upload
from proxy.spool.segment import Damage, Kind
from proxy.spool.tee import Tee
from tests.gateway import Gateway, eventually
from tests.unit.spool.spooled import Kept, files, read, rules

PATIENCE = 60.0
PREFIX = "replay_gateway_"
META = json.dumps(
    {
        "id": "1",
        "path": "/sessions/v2/track",
        "query": "device_id=d&session_id=1&type=replay",
        "key": None,
        "headers": {},
        "encoding": "",
        "ip": None,
        "region": "us",
    }
).encode()
# The two rows of a gateway with one worker.
WORKER, ARCHIVER = 0, 1


def body(number: int, size: int = 0) -> bytes:
    """A body of at least so many bytes that says which one it is, and does not get much smaller by compression."""
    return json.dumps({"n": number, "pad": random.Random(number).randbytes(size // 2).hex()}).encode()


def number_of(data: bytes) -> int:
    """Which one a body is; it must be exactly what `body` gives."""
    value = json.loads(data)
    assert data == body(value["n"], len(value["pad"]))
    return int(value["n"])


class Bench:
    """A tee and its writer as a worker has them, without the worker. Left, the writer has ended."""

    def __init__(self, folder: Path, memory: LedgerMemory | None = None, **changed: Any) -> None:
        self.memory = memory or LedgerMemory.create(2)
        self.rules = rules(folder, **changed)
        self._loop = asyncio.new_event_loop()
        self.tee = Tee(self.rules, Ledger(self.memory.rows[WORKER]), self._loop)

    def __enter__(self) -> Self:
        self.tee.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self._loop.run_until_complete(self.tee.close(PATIENCE))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        assert error is not None or left == 0

    def offer(self, data: bytes, *, is_followed: bool = True) -> Upload:
        """An upload that came whole, and the end of its exchange."""
        upload = Upload()
        self.tee.hold(upload, data)
        self.tee.whole(upload, META)
        if is_followed and upload.sequence:
            self.tee._writer.put(Outcome(upload, upload.time_ms, b'{"status":200}'))
        return upload

    def settled(self) -> bool:
        """Whether each upload that was offered is written or dropped."""
        return is_settled(self.memory)

    def wait(self) -> None:
        """Until all that was offered is settled."""
        eventually(self.settled, PATIENCE)


def is_settled(memory: LedgerMemory) -> bool:
    """Whether each upload that was offered is written or dropped."""
    offered = memory.totals().of(Counter.SPOOL_OFFERED)
    return offered == memory.totals().of(Counter.SPOOL_WRITTEN) + sum(dropped(memory).values())


def dropped(memory: LedgerMemory) -> dict[Drop, int]:
    """The uploads that were dropped, by reason; only reasons that there were."""
    return {reason: number for reason, (number, _) in memory.totals().drops().items() if number}


def spooled(folder: Path) -> list[Kept]:
    """All frames of all files; none of the files may be damaged."""
    found = [each for file in files(folder) for each in read(file.path)]
    assert not [each for each in found if isinstance(each, Damage)]
    return [each for each in found if isinstance(each, Kept)]


def payloads(frames: list[Kept]) -> list[int]:
    """Which uploads are in the frames, in their order."""
    return [number_of(each.body) for each in frames if each.kind is Kind.PAYLOAD]


def gaps(frames: list[Kept]) -> dict[str, int]:
    """How many uploads the frames tell to be missing, by reason."""
    sums: dict[str, int] = {}
    for each in frames:
        if each.kind is Kind.GAP:
            sums[each.meta["reason"]] = sums.get(each.meta["reason"], 0) + each.meta["payloads"]
    return sums


# -- the archive behind it


@contextmanager
def archiving(spool: Path, store: Store, memory: LedgerMemory, parallel: int = 1) -> Iterator[Uploader]:
    """An archiver of the spool. Left, it has stored all that it could."""
    limits = UploadRules(parallel, 0.05, 0.2)
    options = SealOptions(Codec.ZSTD, 3, "decoded", 1 << 20)
    uploader = Uploader(spool, "node", store, options, limits, Ledger(memory.rows[ARCHIVER]))
    uploader.start()
    try:
        yield uploader
    finally:
        assert uploader.stop(PATIENCE)


def archived(folder: Path, from_ms: int = 0, to_ms: int = 0) -> list[Line]:
    """The lines in a folder's archive, in the order of its index. Without a span: those of now."""
    return list(_lines(folder, *_span(from_ms, to_ms)))


def archived_gaps(folder: Path, from_ms: int = 0, to_ms: int = 0) -> dict[str, int]:
    """How many uploads the archive tells to be missing, by reason."""
    sums: dict[str, int] = {}
    from_ms, to_ms = _span(from_ms, to_ms)
    for row in Reader(DirectoryStore(folder)).gaps(from_ms=from_ms, to_ms=to_ms):
        assert isinstance(row, GapRow)
        sums[row.gap["reason"]] = sums.get(row.gap["reason"], 0) + row.gap["payloads"]
    return sums


def _span(from_ms: int, to_ms: int) -> tuple[int, int]:
    now_ms = int(time.time() * 1000)
    return from_ms or now_ms - 7_200_000, to_ms or now_ms + 3_600_000


def _lines(folder: Path, from_ms: int, to_ms: int) -> Iterator[Line]:
    reader = Reader(DirectoryStore(folder))
    for row in reader.find(from_ms=from_ms, to_ms=to_ms):
        assert isinstance(row, Row)
        for line in reader.read_block(row):
            assert isinstance(line, Line)
            assert line.problems() == []
            yield line


def numbers(lines: list[Line]) -> list[int]:
    """Which uploads the lines are."""
    return [number_of(line.original()) for line in lines]


# -- a whole gateway


def config(folder: Path, **changed: Any) -> dict[str, Any]:
    """An archive in a folder, quick to seal and to try again."""
    archive: dict[str, Any] = {
        "directory": str(folder / "store"),
        "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0} | changed.pop("spool", {}),
        "rotate": {"seconds": 1},
        "upload": {"backoff": "100ms", "backoff_max": "500ms"},
    }
    return {"archive": archive | changed}


def account(gateway: Gateway) -> dict[str, int]:
    """Where the uploads are, by the metrics."""
    seen = gateway.metrics()
    names = ("spool_offered_total", "spool_written_total", "archived_total", "archive_damaged_total", "archive_pending")
    values = {name.removesuffix("_total"): int(seen[PREFIX + name]) for name in names}
    lost = sum(value for name, value in seen.items() if name.startswith(f"{PREFIX}archive_dropped_total"))
    return values | {"dropped": int(lost)}


def has_arrived(gateway: Gateway, offered: int) -> bool:
    """Whether that many were offered and none is on its way."""
    seen = account(gateway)
    gone = seen["archived"] + seen["dropped"] + seen["archive_damaged"]
    return seen["spool_offered"] == gone == offered and seen["archive_pending"] == 0


# -- disks


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in that folder, in memory. Only root may do that."""
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))  # also when something still has a file open there


def remounted(folder: Path, option: str) -> bool:
    """Whether the file system there could be made "ro" or "rw". Not "ro" while a file is open for writing."""
    return subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], stderr=subprocess.DEVNULL).returncode == 0


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all of the file system but so many bytes, in whole pages."""
    path = folder / "ballast"
    status = os.statvfs(folder)
    with path.open("wb") as file:
        file.write(bytes(status.f_bavail * status.f_frsize - leave))
    return path


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
