"""Proves that with CI set no test can leave without being run: whichever way it skips itself, pytest fails. Without CI
a skip stays what it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
ESCAPES = {
    "skip_in_the_test": "def test_it():\n    pytest.skip('no time')",
    "skip_mark": "@pytest.mark.skip(reason='no time')\ndef test_it():\n    pass",
    "skip_in_a_fixture": "@pytest.fixture\ndef tool():\n    pytest.skip('no time')\n\ndef test_it(tool):\n    pass",
    "skip_of_the_file": "pytest.skip('no time', allow_module_level=True)",
    "missing_module": "pytest.importorskip('no_such_module', reason='no time')",
    "expected_failure": "@pytest.mark.xfail(reason='no time')\ndef test_it():\n    assert False",
    "expected_failure_that_passes": "@pytest.mark.xfail(reason='no time')\ndef test_it():\n    pass",
}
HONEST = {"honest": "def test_it():\n    pass"}


def run(folder: Path, tests: dict[str, str], ci: str, *options: str) -> tuple[int, str]:
    """Exit code and output of pytest over these files, with our conftest beside them."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    for name, test in tests.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n\n{test}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", *options],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "parallel"])
def test_in_ci_nothing_escapes(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, output = run(tmp_path, ESCAPES | HONEST, "true", *options)
    assert code == 1, output
    complained = set(re.findall(r"^(?:FAILED|ERROR) test_(\w+)\.py", output, re.MULTILINE))
    assert complained == set(ESCAPES), output
    assert re.search(r"== 3 failed, 1 passed, 4 errors in ", output), output


def test_in_ci_the_reason_for_a_skip_is_told(tmp_path: Path) -> None:
    _, output = run(tmp_path, {"skip": ESCAPES["skip_mark"]}, "1")
    assert "in CI nothing is skipped" in output
    assert "no time" in output


def test_outside_ci_a_skip_is_a_skip(tmp_path: Path) -> None:
    code, output = run(tmp_path, ESCAPES | HONEST, "")
    assert code == 0, output
    assert re.search(r"== 1 passed, 5 skipped, 1 xfailed, 1 xpassed in ", output), output
