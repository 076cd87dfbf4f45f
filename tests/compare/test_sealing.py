"""Proves that what sealing costs is measured of whole segments with everything in them. The figures are not judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison.__main__ import main
from comparison.sealing import load, measure

from proxy.archive.naming import Codec
from proxy.archive.seal import SealOptions, seal
from tests.unit.archive.segments import NAME


def test_the_segment_holds_every_upload_and_each_can_be_spliced(tmp_path: Path) -> None:
    given = load(0.3, tmp_path)
    uploads = [upload for group in given.sessions.values() for upload in group]
    sealed = seal(given.segment, NAME, SealOptions(Codec.ZSTD, 3, "decoded", 1 << 24), tmp_path)
    assert (sealed.payloads, sealed.wire_bytes, sealed.sessions) == (len(uploads), given.wire, len(given.sessions))
    assert (sealed.damaged_bytes, sealed.unreadable) == (0, "")
    assert 3 < given.raw / given.wire < 15  # as replays are compressed
    assert len({body for _, body in uploads}) == len(uploads)


def test_each_part_is_measured(tmp_path: Path) -> None:
    found = measure(load(0.2, tmp_path), tmp_path, 3, runs=1)
    assert set(found) == {"sealing", "inflating", "hashing", "parsing", "compressing"}
    assert all(cost > 0 for cost in found.values())


def test_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sealing", "--megabytes", "0.1"]) == 0
    assert "sealing takes" in capsys.readouterr().out
