"""Proves that what clients send does not decide how much memory sealing takes. Each case runs in a process of its own,
which tells the most that it ever had."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.unit.archive.segments import NAME, Upload, segment_of

MIB = 1024 * 1024
BOUND = 150 * MIB
INFLATE_MAX = 64 * MIB
SCRIPT = """
import sys
from pathlib import Path
from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions, seal
from proxy.spool.name import SegmentName
folder = Path(sys.argv[1])
options = SealOptions(Codec(sys.argv[2]), 3, "decoded", int(sys.argv[3]))
one = seal(folder / "segment", SegmentName("node-1", "00112233445566ff", 7), options, folder)
# Not ru_maxrss: it begins with what the process had that started this one.
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(one.payloads, int(peak) * 1024)
"""


def most(folder: Path, uploads: list[Upload], codec: str = "zstd") -> int:
    """The most memory, in bytes, that sealing these takes."""
    (folder / "segment").write_bytes(segment_of(uploads))
    command = [sys.executable, "-c", SCRIPT, str(folder), codec, str(INFLATE_MAX)]
    told = subprocess.run(command, check=True, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    payloads, peak = map(int, told.stdout.split())
    assert payloads == len(uploads)
    assert (folder / f"{NAME}.data").exists()
    return peak


def packed(part: bytes, times: int) -> bytes:
    """A gzip of a part many times over, made in little memory."""
    packer, pieces = zlib.compressobj(9, zlib.DEFLATED, 31), []
    for _ in range(times):
        pieces.append(packer.compress(part))
    return b"".join(pieces) + packer.flush()


def bomb(size: int) -> bytes:
    """A gzip that goes on for that many MiB of zeros, and has no end: nobody should get there."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    return head + (packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)) * size


def test_a_gigabyte_in_a_megabyte_is_not_unpacked(tmp_path: Path) -> None:
    wire = bomb(1024)
    assert len(zlib.decompressobj(31).decompress(wire, 100 * MIB)) == 100 * MIB
    assert most(tmp_path, [Upload(wire, 1, "gzip"), Upload(wire, 2, "gzip")]) < BOUND


@pytest.mark.parametrize("part", [b"[],", b'{"a":1},', b'"",'])
def test_json_that_would_be_many_objects_is_not_read(tmp_path: Path, part: bytes) -> None:
    many = MIB // len(part)
    wire = gzip.compress(b"[") + packed(part * many, 60) + gzip.compress(b"1]")
    assert most(tmp_path, [Upload(wire, 1, "gzip"), Upload(wire, 2, "gzip")]) < BOUND


@pytest.mark.parametrize("codec", ["zstd", "gzip", "none"])
def test_large_bodies_are_held_one_at_a_time(tmp_path: Path, codec: str) -> None:
    event = '"' + '{\\"type\\":3,\\"text\\":\\"größer 😀\\"}' * 5000 + '",'
    body = b'{"version":1,"events":[' + event.encode() * (10_000_000 // len(event.encode())) + b'""]}'
    assert len(body) > 9_500_000
    uploads = [Upload(body, number) for number in range(1, 4)]
    uploads.append(Upload(gzip.compress(body), 4, "gzip"))
    uploads.append(Upload(body[:-1], 5))
    assert most(tmp_path, uploads, codec) < BOUND


def test_many_small_payloads_take_little_each(tmp_path: Path) -> None:
    """A quarter of a segment of the usual size, so a quarter of what it may cost."""
    uploads = [
        Upload(b" " * 200, number, query=f"device_id={number}&session_id=" + "x" * 300) for number in range(1, 20_001)
    ]
    assert most(tmp_path, uploads) < 30 * MIB + BOUND // 4
