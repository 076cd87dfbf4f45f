"""Proves which build of the package is tested: the source tree, or with TEST_INSTALLED what is installed, and that what
is installed by `make` is compiled where a compiler is."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import proxy
import proxy.edge.connection
import proxy.wire.request
from proxy.cli import build
from tests.conftest import TEST_INSTALLED
from tests.gateway import COMMAND, ROOT

# What a bound of a slice may call: it changes nothing.
HARMLESS = {"find", "len", "max", "min"}

EXPECTED = "compiled" if shutil.which("cc") or shutil.which("gcc") else "plain Python"


def version_of(command: list[str], path: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": path}
    printed = subprocess.run([*command, "--version"], cwd="/", env=environment, capture_output=True, check=True)
    return printed.stdout.decode()


def test_the_package_under_test_is_the_one_that_is_meant() -> None:
    modules = [Path(str(module.__file__)) for module in (proxy.edge.connection, proxy.wire.request)]
    assert all(module.is_relative_to(ROOT / "proxy") is not TEST_INSTALLED for module in modules)
    if TEST_INSTALLED:
        suffix = ".so" if EXPECTED == "compiled" else ".py"
        assert (build(), {module.suffix for module in modules}) == (EXPECTED, {suffix})
    else:
        assert build() == "plain Python"


def test_the_installed_command_says_that_it_is_compiled() -> None:
    assert version_of([str(COMMAND)]).endswith(f"({EXPECTED})\n")


def test_the_source_tree_runs_as_it_is() -> None:
    assert version_of([sys.executable, "-m", "proxy"], str(ROOT)).endswith("(plain Python)\n")


def calls_in_bounds(source: str) -> set[str]:
    """What the bounds of a program's slices call."""
    slices = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Slice)]
    calls = [node for each in slices for node in ast.walk(each) if isinstance(node, ast.Call)]
    return {ast.unparse(call.func).rpartition(".")[2] for call in calls}


def test_no_bound_of_a_slice_does_anything() -> None:
    """mypyc evaluates those of what is neither bytes nor str twice: compiled, `view = view[os.write(fd, view) :]` wrote
    everything two times."""
    assert calls_in_bounds("rest = rest[os.write(fd, rest) : len(rest)]") == {"write", "len"}
    found = {path: calls_in_bounds(path.read_text()) - HARMLESS for path in (ROOT / "proxy").rglob("*.py")}
    assert {path.name: calls for path, calls in found.items() if calls} == {}
