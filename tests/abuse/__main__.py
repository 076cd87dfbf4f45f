"""`make abuse`: measures it and tells the figures.

    python -m tests.abuse --connections 2000 --seconds 30

Exit code 1 when a promise is broken: fewer than 95 of a hundred requests within twice their usual 99th percentile, an
upload that was acknowledged and lost, or a trace of an exception in the log.
"""

from __future__ import annotations

import argparse
import sys

from tests.abuse.abuse import report, run, stamp

LEAST = 0.95


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="The gateway's visitors beside hostile clients.")
    parser.add_argument("--connections", type=int, default=2000, help="hostile ones, at the same time")
    parser.add_argument("--churn", type=float, default=300.0, help="how many of them come a second, anew or again")
    parser.add_argument("--rate", type=float, default=100.0, help="the visitors' requests per second")
    parser.add_argument("--seconds", type=float, default=30.0, help="alone, and again beside them")
    parser.add_argument(
        "--places", type=int, default=500, help="limits.connections of each worker; 0: 10,000, its default"
    )
    given = parser.parse_args()
    print(stamp(), flush=True)
    result = run(**vars(given))
    print(report(result))
    wrong = []
    if result.in_time < LEAST:
        wrong.append(f"only {result.in_time:.2%} within twice the usual p99")
    if result.lost:
        wrong.append(f"{result.lost} uploads were acknowledged and did not arrive")
    if "Traceback" in result.log:
        wrong.append("an exception is in the log")
    print("\n".join(["", *(f"BROKEN: {each}" for each in wrong)] if wrong else ["", "all promises kept"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
