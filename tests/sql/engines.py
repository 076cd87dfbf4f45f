"""Runs statements in a process of the engines' environment, and takes the rows back. Must not know what they mean."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.sql.fetch import ensure_engines, java_home

PROGRAMS: Final = Path(__file__).parent / "programs"
PATIENCE: Final = 100.0
Rows = list[dict[str, Any]]


class EngineError(Exception):
    """A statement that failed; the text is the engine's."""


def duckdb(folder: Path, *scripts: str) -> list[Rows]:
    """The rows of each script, one after the other in one DuckDB: of a script's last statement."""
    return _run("run_duckdb.py", folder, scripts)


def spark(folder: Path, *scripts: str) -> list[Rows]:
    """The same in one Spark."""
    return _run("run_spark.py", folder, scripts)


def parsed(folder: Path, *statements: str) -> list[Rows]:
    """For each statement of Athena's one row: its kind, and the columns that it makes, with their types."""
    return _run("parse_athena.py", folder, statements)


def _run(program: str, folder: Path, scripts: Sequence[str]) -> list[Rows]:
    """`folder` is for what an engine writes."""
    done = subprocess.run(
        [str(ensure_engines()), str(PROGRAMS / program)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "TZ": "UTC",
            "JAVA_HOME": str(java_home()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder),
            "SPARK_LOCAL_HOSTNAME": "localhost",
        },
        input=json.dumps(scripts),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise EngineError(done.stderr[-6000:])
    answers: list[Rows] = json.loads(done.stdout)
    return answers
