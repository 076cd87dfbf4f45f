"""Proves that with CI set no test can leave without being run: whichever way it skips itself, pytest fails. Without CI
a skip stays what it is. Proves too that no property fails for being slow, and that in CI its examples are the same each
time.
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


SLOW = """from time import sleep
from hypothesis import given, settings, strategies as st

@given(st.integers(1, 2))
def test_as_it_is(number):
    sleep(0.21)

@settings(max_examples=2)
@given(st.integers(1, 2))
def test_with_settings_of_its_own(number):
    sleep(0.21)
"""
NOTED = """from pathlib import Path
from hypothesis import given, strategies as st

@given(st.integers())
def test_it(number):
    with Path("seen").open("a") as seen:
        print(number, file=seen)
"""


@pytest.mark.parametrize(("ci", "options"), [("", ()), ("true", ("-n", "1"))], ids=["alone", "in parallel in CI"])
def test_a_slow_example_is_no_failure(tmp_path: Path, ci: str, options: tuple[str, ...]) -> None:
    code, output = run(tmp_path, {"slow": SLOW}, ci, *options)
    assert code == 0, output


@pytest.mark.parametrize("ci", ["", "true"])
def test_examples_are_the_same_again_in_ci_and_others_elsewhere(tmp_path: Path, ci: str) -> None:
    seen = tmp_path / "seen"
    runs = []
    for _ in range(2):
        assert run(tmp_path, {"noted": NOTED}, ci)[0] == 0
        runs.append(seen.read_text())
        seen.unlink()
    assert (runs[0] == runs[1]) is bool(ci)


def test_no_property_sets_a_deadline_of_its_own() -> None:
    texts = {path: path.read_text() for path in CONFTEST.parent.rglob("test_*.py") if path != Path(__file__)}
    assert [str(path) for path, text in texts.items() if re.search(r"\bdeadline=", text)] == []
