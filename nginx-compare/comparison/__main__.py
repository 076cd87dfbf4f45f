"""The commands of the comparison: argv to one call each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from comparison import RESULTS, ROOT, behaviour, sealing
from comparison.costs import PLANS, Harness
from comparison.publish import README, publish, with_results
from comparison.results import load
from comparison.selection import chosen
from comparison.systems import archiving, build, every_system

SCRATCH = ROOT / "build" / "compare"  # of runs that are not for showing


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m comparison", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_costs(commands.add_parser("costs", help="measure what requests cost"))
    behaviour.add_options(commands.add_parser("behaviour", help="play the suites' cases"))
    sealing.add_options(commands.add_parser("sealing", help="measure what the archiver's objects cost"))
    commands.add_parser("readme", help="render the results anew, and put them into README.md")
    options = parser.parse_args(argv)
    return _COMMANDS[str(options.command)](options)


def _add_costs(parser: argparse.ArgumentParser) -> None:
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", dest="mode", action="store_const", const="quick", default="full", help="in 4 minutes")
    mode.add_argument("--smoke", dest="mode", action="store_const", const="smoke", help="only to see that it works")
    parser.add_argument(
        "--systems", type=_names, default=[], help="names, with commas; otherwise those that the scenarios name"
    )
    parser.add_argument("--scenarios", type=_names, default=[], help="names or patterns, with commas")
    parser.add_argument("--rounds", type=int, help="of each cell")
    parser.add_argument("--seconds", type=int, help="of each round")
    parser.add_argument(
        "--gateway-tree",
        nargs="+",
        metavar="[NAME=]DIR",
        default=[],
        help="builds of the gateway in place of this one, beside the tuned nginx",
    )
    parser.add_argument("--results", type=Path, help="folder for what is found")


def _costs(options: argparse.Namespace) -> int:
    plan = PLANS[options.mode]
    plan = replace(plan, rounds=options.rounds or plan.rounds, seconds=options.seconds or plan.seconds)
    try:
        builds = [build(one) for one in options.gateway_tree]
        wanted = chosen(options.mode, options.scenarios, options.systems, [one.name for one in builds])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    names = {name for one in wanted for name in one.systems}
    systems = [one for one in (*every_system(), *builds, *map(archiving, builds)) if one.name in names]
    for system in systems:
        system.install()
    harness = Harness(plan, wanted, systems)
    for name, get in harness.table.missing.items():
        print(f"{name} is left out: {get}", file=sys.stderr)
    try:
        harness.run()
    except BaseException:
        publish(harness.table, SCRATCH / "unfinished")
        raise
    print(publish(harness.table, folder := _folder(options)))
    print(f"written to {folder}")
    return 0


def _folder(options: argparse.Namespace) -> Path:
    """Only a full run over this tree takes the place of the results that the project shows."""
    is_whole = options.mode == "full" and not (options.gateway_tree or options.systems or options.scenarios)
    given: Path | None = options.results
    return given or (RESULTS if is_whole else SCRATCH)


def _readme(_: argparse.Namespace) -> int:
    report = publish(load(RESULTS / "costs.json"), RESULTS)
    README.write_text(with_results(README.read_text(), report))
    return 0


_COMMANDS = {"costs": _costs, "behaviour": behaviour.run, "sealing": sealing.run, "readme": _readme}


def _names(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


if __name__ == "__main__":
    sys.exit(main())
