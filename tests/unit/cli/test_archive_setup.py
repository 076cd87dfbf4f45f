"""Proves that `archive setup --print` prints what a person has to enter, and that folders need no setting up. What is
done to real servers is proved in tests/s3/test_commands.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.bucket_documents import BucketNames, Retention, printed
from tests.gateway import free_port
from tests.unit.cli.archived import Archived

NAMES = BucketNames("acme-recordings", "acme-assets", "acme-sourcemaps")
BUCKETS = {"recordingsBucket": NAMES[0], "assetsBucket": NAMES[1], "sourcemapsBucket": NAMES[2]}


def in_s3(folder: Path) -> Archived:
    """Nobody listens at its endpoint: whoever asks there fails."""
    keys = {"accessKey": "TOPSECRET", "secretKey": "TOPSECRET", "endpoint": f"http://127.0.0.1:{free_port()}"}
    s3: dict[str, Any] = {**BUCKETS, **keys, "region": "eu-central-1", "prefix": "replays/"}
    return Archived(folder, archive={"s3": s3, "spool": {"directory": str(folder / "spool")}})


def test_the_documents_are_printed_exactly_and_nothing_is_asked(tmp_path: Path) -> None:
    result = in_s3(tmp_path).run("setup", "--print", "--retention-days", "30")
    assert (result.exit_code, result.stderr) == (0, "")
    documents = printed(NAMES, "eu-central-1", Retention(30, "replays/", {"retention": "default"}))
    blocks = result.stdout.split("\n\n")
    assert len(blocks) == len(documents) > 8
    for block, document in zip(blocks, documents, strict=True):
        title, where, text = block.split("\n", 2)
        assert title.endswith(document.title)
        assert document.bucket in title
        assert where == f"# {document.where}"
        assert json.loads(text) == document.content
    assert "TOPSECRET" not in result.stdout


def test_as_json_they_are_a_list(tmp_path: Path) -> None:
    result = in_s3(tmp_path).run("setup", "--print", "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert [each["title"] for each in told if each["bucket"] == "acme-assets"] == [
        "public access",
        "CORS",
        "public reading",
    ]
    assert "retention" not in [each["title"] for each in told]


def test_a_server_that_is_not_there_is_told_for_each_bucket(tmp_path: Path) -> None:
    result = in_s3(tmp_path).run("setup")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"failed       {bucket}, bucket" for bucket in NAMES]
    assert "TOPSECRET" not in result.output


@pytest.mark.parametrize("arguments", [(), ("--print",)])
def test_a_folder_needs_no_setting_up(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = Archived(tmp_path).run("setup", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "the archive is in a folder, which needs no setting up; this is for archive.s3\n"
