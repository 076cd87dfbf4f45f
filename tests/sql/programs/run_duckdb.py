"""Runs scripts in one DuckDB that speaks to nobody but the S3 server: its extension is the one that pip has brought."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import duckdb  # type: ignore[import-not-found]
import duckdb_extension_httpfs  # type: ignore[import-not-found]

EXTENSION = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))


def plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def main() -> None:
    database = duckdb.connect(config={"autoinstall_known_extensions": False, "threads": 2})
    answers = []
    for script in json.load(sys.stdin):
        done = database.execute(script.replace("INSTALL httpfs;", "").replace("LOAD httpfs", f"LOAD '{EXTENSION}'"))
        names = [column[0] for column in done.description or ()]
        answers.append([dict(zip(names, row, strict=True)) for row in done.fetchall()])
    json.dump(answers, sys.stdout, default=plain)


main()
