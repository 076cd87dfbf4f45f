"""Cause every fault, print what each one cost, and write the table of docs/reliability.md.

    python -m tests.reliability [--only NAME] [--seconds 4] [--write]

Needs root: name files and disks of its own are mounted for the gateway. Exit code 1 when anything was acknowledged and
lost, or lost where nothing may be.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from proxy.runtime.clock import wall
from tests.reliability.faults import FAULTS
from tests.reliability.measuring import RATE, Result, measure
from tests.reliability.table import written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"


def main() -> int:
    """The exit code."""
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(description="What each fault costs visitors, measured.")
    parser.add_argument("--only", choices=names, action="append")
    parser.add_argument("--seconds", type=float, help="how long each lasts, in place of its own time")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md; not with --only")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("this needs root: it mounts name files and disks for the gateway", file=sys.stderr)
        return 2
    results = []
    for fault in FAULTS:
        if not arguments.only or fault.name in arguments.only:
            results.append(measure(fault, arguments.seconds))
            told(results[-1])
    if arguments.write and not arguments.only:
        PAGE.write_text(written(PAGE.read_text(), results, RATE, wall()))
    return int(any(result.wrong for result in results))


def told(result: Result) -> None:
    """One run in a line."""
    counts = f"{result.uploads} uploads: {result.at_once} at once, {result.by_retry} by retry, {result.lost} lost"
    configs = f"{result.configs_given} of {result.configs} configurations"
    causes = ", ".join(f"{number} {reason}" for reason, number in result.reasons.most_common())
    more = f"{result.twice} twice; recovery {result.recovery:.1f} s; {causes or 'no bad answer'}"
    print(f"{result.fault.name}: {counts}; {configs}; {more}", *(f"  WRONG: {each}" for each in result.wrong), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
