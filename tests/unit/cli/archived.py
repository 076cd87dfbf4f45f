"""An archive in a folder, made by the pieces that the gateway makes it with, and the command that looks at it."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, NamedTuple

from click.testing import CliRunner, Result

from proxy.archive.directory import DirectoryStore
from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions, seal
from proxy.cli import main
from proxy.spool.folder import State, path_of
from proxy.spool.name import SegmentName
from proxy.spool.open_segment import OpenSegment
from proxy.spool.segment import Kind
from tests.unit.spool.spooled import BOOT, T0

ROOT = Path(__file__).resolve().parents[3]
# T0 is 2025-11-24, 16:00 UTC.
SPAN = ("--from", "2025-11-24T15:00", "--to", "2025-11-24T19:00")
OPTIONS = SealOptions(Codec.ZSTD, 3, "decoded", 1 << 20)


class Sent(NamedTuple):
    """An upload: its body as sent, `after` ms after T0."""

    body: bytes
    after: int = 0
    session: str = "s1"
    device: str = "d1"
    is_gzipped: bool = False

    def meta(self) -> bytes:
        """What the worker says of it."""
        query = f"device_id={self.device}&session_id={self.session}&type=replay"
        told: dict[str, Any] = {"id": "1", "path": "/sessions/v2/track", "query": query, "key": None, "headers": {}}
        return json.dumps(told | {"encoding": "gzip" if self.is_gzipped else "", "ip": None, "region": "us"}).encode()

    def wire(self) -> bytes:
        """The bytes that came."""
        return gzip.compress(self.body, mtime=0) if self.is_gzipped else self.body


def spooled(folder: Path, number: int, uploads: Iterable[Sent], state: State = State.SEALED, boot: str = BOOT) -> Path:
    """A segment of the spool with these uploads."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    segment = OpenSegment(folder, SegmentName("node", boot, number), T0)
    for sequence, upload in enumerate(uploads, 1):
        segment.append(Kind.PAYLOAD, sequence, T0 + upload.after, upload.meta(), [upload.wire()])
    segment.seal() if state is not State.OPEN else segment.close()
    if state is State.DAMAGED:
        path_of(folder, segment.name, State.SEALED).rename(path_of(folder, segment.name, state))
    return path_of(folder, segment.name, state)


class Archived:
    """A folder with `gateway.yaml`, `spool` and `archive`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.store = DirectoryStore(folder / "archive")
        self.config = folder / "gateway.yaml"
        self.options = OPTIONS
        archive = {"directory": str(folder / "archive"), "spool": {"directory": str(self.spool), "min_free_bytes": 0}}
        self.config.write_text(json.dumps({"admin": None, "archive": archive} | settings))

    def add(self, number: int, *uploads: Sent, boot: str = BOOT) -> str:
        """Store a segment with these uploads as one object, as the archiver does; its data key."""
        path = spooled(self.folder / "scratch", number, uploads, boot=boot)
        sealed = seal(path, SegmentName("node", boot, number), self.options, path.parent)
        self.store.put(sealed.data_key, sealed.data)
        self.store.put(sealed.index_key, sealed.index)
        return sealed.data_key

    def path(self, key: str) -> Path:
        """The file that an object is."""
        return self.folder / "archive" / key

    def run(self, command: str, *arguments: str) -> Result:
        """`replay-gateway archive COMMAND … --config …`."""
        return CliRunner().invoke(main, ["archive", command, "--config", str(self.config), *arguments])

    def process(self, command: str, *arguments: str, **streams: int) -> Popen[bytes]:
        """The same as a process of its own."""
        return python("-m", "proxy", "archive", command, "--config", str(self.config), *arguments, **streams)


def python(*arguments: str, stdout: int = PIPE, stderr: int = PIPE) -> Popen[bytes]:
    """Python in a process of its own; by default its output can be read."""
    return Popen([sys.executable, *arguments], cwd=ROOT, stdout=stdout, stderr=stderr)


def spoil(path: Path, at: int, data: bytes) -> None:
    """Overwrite a part of a file; a negative `at` counts from its end."""
    content = bytearray(path.read_bytes())
    begin = at if at >= 0 else len(content) + at
    content[begin : begin + len(data)] = data
    path.write_bytes(content)
