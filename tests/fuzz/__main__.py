"""Search for bytes that make the gateway do what it must not, for so long, and say how far that got.

    python -m tests.fuzz --seconds 3600 [--target client] [--keep]

Inputs that lead somewhere new are kept in build/fuzz, for the next search; `--keep` brings those that matter into the
project's corpus. Exit code 1 when something was found; the input then lies in build/fuzz, and the traceback says what.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import FOLDER, LONGEST, dictionary, made_for, seeds

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
TARGETS: Final = ("client", "upstream", "heads")
SLOWEST: Final = 20  # seconds for one input
MERGE_SECONDS: Final = 600
SPARE_SECONDS: Final = 120  # what a target may need beside its time: imports, seeds, the last input
_DONE: Final = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)


@dataclass(frozen=True)
class Report:
    """What became of a search. `edges` and `features` are libFuzzer's measures of what was reached."""

    target: str
    executions: int
    edges: int
    features: int
    corpus: int
    seconds: float
    problem: str

    def __str__(self) -> str:
        figures = f"{self.executions:,} inputs, {self.executions / max(self.seconds, 1):,.0f} a second"
        reached = f"{self.edges} edges, {self.features} features, {self.corpus} inputs that differ in what they reach"
        return f"{self.target}: {figures}; {reached}; {'FOUND SOMETHING' if self.problem else 'nothing found'}"


def search(target: str, seconds: float, build: Path = BUILD) -> Report:
    """Let libFuzzer search in a process of its own. AssertionError if it did not search at all."""
    (kept := build / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        start = Path(name, "seeds")
        list(_written(seeds(target), start))
        (words := Path(name, "words")).write_text(dictionary())
        options = [f"-max_total_time={seconds:.0f}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-dict={words}"]
        done = _run(target, [*options, f"-artifact_prefix={build}/{target}-", str(kept), str(start)], seconds)
    figures = _DONE.search(done.stderr)
    problem = "" if done.returncode == 0 else f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    assert figures or problem, f"libFuzzer says nothing:\n{done.stderr[-2000:]}"
    executions, edges, features, corpus = map(int, figures.groups()) if figures else (0, 0, 0, 0)
    return Report(target, executions, edges, features, corpus, seconds, problem)


def keep(target: str, build: Path = BUILD) -> int:
    """Bring those inputs into the project's corpus that reach something which the conformance cases, and the others, do
    not; how many there are. AssertionError if libFuzzer can't tell."""
    (folder := FOLDER / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        made = list(_written(made_for(target), Path(name)))
        done = _run(target, ["-merge=1", f"-max_len={LONGEST}", name, str(folder), str(build / target)], MERGE_SECONDS)
        assert done.returncode == 0, done.stderr[-2000:]
        for path in folder.iterdir():
            path.unlink()
        new = set(Path(name).iterdir()) - set(made)
        for path in new:
            (folder / path.name[:16]).write_bytes(path.read_bytes())
    return len(new)


def _written(inputs: Iterable[bytes], folder: Path) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    for number, each in enumerate(inputs):
        (path := folder / f"{number:04}").write_bytes(each)
        yield path


def _run(target: str, options: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.target", target, *options]
    limit = seconds + SPARE_SECONDS
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=limit, check=False
    )


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what reads a stranger's bytes.")
    parser.add_argument("--seconds", type=float, default=3600.0, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--keep", action="store_true", help="bring what was new into tests/fuzz/corpus")
    arguments = parser.parse_args()
    targets = arguments.target or TARGETS
    found = False
    for target in targets:
        report = search(target, arguments.seconds / len(targets))
        print(report, report.problem, sep="\n" if report.problem else "", flush=True)
        found = found or bool(report.problem)
        if arguments.keep and not report.problem:
            print(f"{target}: {keep(target)} inputs are in {FOLDER / target}")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
