"""Runs the suites' cases over the systems and writes the behaviour table.

Each system has a run of pytest of its own, in which a failed case is a result. What a case does is for the suites,
what the table says for `behaviour_table`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comparison import COMPARE, RESULTS, ROOT
from comparison.behaviour_groups import BROWSER, CONFORMANCE
from comparison.behaviour_plugin import Outcome
from comparison.behaviour_table import System, Table, column, markdown
from comparison.peers import PEERS, peer

# Those that browsers are sent through: the vendor's recipes, and what an operator would take in their place.
BROWSED = ("gateway", "nginx-vendor", "nginx-tuned", "express-2", "express-3")
BROWSER_PATIENCE = 12  # seconds; three of the SDK's flushes, and not so long that what never comes costs minutes
CASE_SECONDS = 60  # at most, for any one case
EVERY = 8  # of how many cases a quick run plays one


@dataclass(frozen=True)
class Plan:
    """What is played: over which systems, which folders or tests, and one of how many cases each."""

    systems: tuple[str, ...]
    tests: tuple[str, ...] = (CONFORMANCE, BROWSER)
    every: int = 1
    select: str = ""
    jobs: int = 1


def play(plan: Plan, name: str) -> list[Outcome]:
    """What came of the plan's cases over one system. Raises RuntimeError when they could not be played."""
    peer(name).install()
    outcomes: list[Outcome] = []
    for tests in plan.tests:
        if not tests.startswith(BROWSER) or name in BROWSED:
            outcomes += _run(plan, name, tests)
    return outcomes


def _run(plan: Plan, name: str, tests: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="outcomes-") as folder:
        file = Path(folder, "outcomes.json")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "comparison.behaviour_plugin",
                *_options(plan, name, file),
                tests,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(COMPARE)},
            capture_output=True,
            text=True,
        )
        # 1: cases failed; 5: none was selected.
        if done.returncode not in (0, 1, 5) or not file.exists():
            raise RuntimeError(
                f"the cases could not be played over {name}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
            )
        return [Outcome(**values) for values in json.loads(file.read_text())]


def _options(plan: Plan, name: str, file: Path) -> list[str]:
    options = [f"--systems={name}", f"--outcomes={file}", f"--every={plan.every}", f"--timeout={CASE_SECONDS}"]
    options += [f"--patience={BROWSER_PATIENCE}", "--dist=worksteal"]
    options.append(f"--numprocesses={plan.jobs if plan.jobs > 1 else 0}")
    return [*options, "-k", plan.select] if plan.select else options


def add_to(table: Table, plan: Plan) -> None:
    """Plays the plan, and puts its systems' columns into the table, in place of what there is of them."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in plan.systems:
        began = time.monotonic()
        outcomes = play(plan, name)
        failed = sum(bool(outcome.broke or outcome.aspects.get("")) for outcome in outcomes)
        print(f"{name}: {len(outcomes)} cases, {failed} failed, in {time.monotonic() - began:.0f} s", flush=True)
        table[name] = System(peer(name).version(), time.strftime("%Y-%m-%d"), commit.strip(), column(outcomes))


def load(folder: Path) -> Table:
    """The table of an earlier run; an empty one when there is none."""
    file = folder / "behaviour.json"
    values = json.loads(file.read_text()) if file.exists() else {}
    return {name: System.from_json(system) for name, system in values.items()}


def save(table: Table, folder: Path) -> None:
    """Writes behaviour.json and behaviour.md."""
    ordered = {one.name: table[one.name] for one in PEERS if one.name in table}
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: system.to_json() for name, system in ordered.items()}
    (folder / "behaviour.json").write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n")
    (folder / "behaviour.md").write_text(markdown(ordered))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--quick", action="store_true", help=f"one of {EVERY} cases, and no browser")
    parser.add_argument("--systems", help="names, with commas; other systems keep the results that they have")
    parser.add_argument("--select", default="", help="only tests whose names match, as pytest's -k")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that play, one for each core")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")


def run(options: argparse.Namespace) -> int:
    """Plays, and writes the table; the exit code. A system that is not installed is named and left out."""
    names = tuple(options.systems.split(",")) if options.systems else tuple(one.name for one in PEERS)
    if unknown := sorted(set(names) - {one.name for one in PEERS}):
        print(
            f"no such system: {', '.join(unknown)}; there are {', '.join(one.name for one in PEERS)}", file=sys.stderr
        )
        return 2
    present = tuple(name for name in names if _is_there(name))
    tests = (CONFORMANCE,) if options.quick else (CONFORMANCE, BROWSER)
    table = load(options.results)
    add_to(table, Plan(present, tests, EVERY if options.quick else 1, options.select, options.jobs))
    save(table, options.results)
    return 0 if present == names else 1


def _is_there(name: str) -> bool:
    one = peer(name)
    get = one.missing()
    if get and not get.startswith("npm ci"):  # those packages are got when the system is played
        print(f"{name} is not installed: {get}", file=sys.stderr)
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m comparison.behaviour`, the same as `python -m comparison behaviour`."""
    parser = argparse.ArgumentParser(prog="python -m comparison behaviour", description=__doc__)
    add_options(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
