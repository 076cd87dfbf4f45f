"""Fixtures: the S3 server of tests/s3, started when the first test needs it, and a folder with an archive in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.archive.naming import Codec
from tests.s3.conftest import ceph, no_credentials_of_this_machine  # noqa: F401 (fixtures)
from tests.sql.archived import fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For what an engine and the tests write."""
    return tmp_path


def folder_archive(folder: Path, codec: Codec) -> Path:
    """An archive in a folder; where it lies."""
    place = folder / f"archive-{codec.value}"
    scratch = folder / f"scratch-{codec.value}"
    scratch.mkdir()
    fill(DirectoryStore(place), scratch, codec)
    return place
