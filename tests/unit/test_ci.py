"""Proves that CI's entry can't hide a failure: `.ci/run` calls `make test`, hands its exit code on, says how long it
took, and never waits for input. `make` is a stand-in here.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ci_run(folder: Path, make: str) -> subprocess.CompletedProcess[str]:
    """`.ci/run`, called from elsewhere, with a shell script in the place of make."""
    program = folder / "make"
    program.write_text(f"#!/bin/sh\n{make}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment.pop("CI", None)
    return subprocess.run(
        [ROOT / ".ci" / "run"], cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("code", [1, 2, 7])
def test_a_failure_is_handed_on(tmp_path: Path, code: int) -> None:
    done = ci_run(tmp_path, f"exit {code}")
    assert done.returncode == code
    assert f"make test: FAILED (exit code {code})" in done.stdout


def test_it_runs_the_tests_of_this_checkout_and_says_how_long_it_took(tmp_path: Path) -> None:
    done = ci_run(tmp_path, 'echo "$1 in $PWD with CI=$CI"')
    assert done.returncode == 0
    assert f"test in {ROOT} with CI=true" in done.stdout
    assert re.search(r"make test: done in \d+ s", done.stdout)


def test_it_does_not_wait_for_input(tmp_path: Path) -> None:
    assert ci_run(tmp_path, "cat").returncode == 0
