"""Proves that the page's tables have the fields that lines have, and that what is for Athena is at least its SQL."""

from __future__ import annotations

import json
import re
from pathlib import Path

from proxy.archive.directory import DirectoryStore
from proxy.archive.naming import Codec
from tests.sql.archived import HOUR_MS
from tests.sql.conftest import folder_archive
from tests.sql.engines import parsed
from tests.sql.page import statements
from tests.unit.archive.segments import OPENED

ENGINES = ("duckdb", "spark", "athena")
# What is in a line only in a case that nobody asks for, see docs/archive.md.
UNUSUAL = {"meta_b64", "truncated"}


def test_every_statement_is_for_an_engine_that_is_tested() -> None:
    assert {name.partition("-")[0] for name in statements()} == set(ENGINES)


def test_every_field_of_a_line_is_a_column_of_each_table(folder: Path) -> None:
    place = folder_archive(folder, Codec.NONE)
    text = b"".join(path.read_bytes() for path in sorted((place / "v1" / "data").rglob("*.ndjson")))
    fields = {name for line in text.splitlines() for name in json.loads(line)} - UNUSUAL
    page = statements()
    for name in ("duckdb-views", "spark-view", "spark-table", "athena-table"):
        words = set(re.findall(r"[a-z0-9_]+", page[name].partition("CREATE VIEW blocks")[0]))
        assert fields <= words, (name, fields - words)


def test_what_is_for_athena_parses_and_its_folders_are_those_of_the_archive(folder: Path) -> None:
    page = {name: text for name, text in statements().items() if name.startswith("athena-")}
    answers = dict(zip(page, parsed(folder, *page.values()), strict=True))
    assert {name: rows[0]["kind"] for name, rows in answers.items()} == {
        name: "create" if name == "athena-table" else "select" for name in page
    }
    properties = answers["athena-table"][0]["properties"]
    template = properties["storage.location.template"].removeprefix("s3://acme-recordings/")
    assert (properties["projection.dt.format"], properties["projection.hr.digits"]) == ("yyyy-MM-dd", "2")
    place = folder_archive(folder, Codec.ZSTD)
    keys = [entry.key for entry in DirectoryStore(place).entries("v1/data/")]
    folders = {template.replace("${dt}", "2026-11-21").replace("${hr}", hour) for hour in ("05", "06")}
    assert {key.rpartition("/")[0] + "/" for key in keys} == folders
    assert OPENED % (24 * HOUR_MS) // HOUR_MS == 5
