"""What a load saw: how many requests were answered well, in which time, how late; and how it is handed over.

Our own loads are processes: `launch` starts one of them with its order, `tell` is how it reports. It must not know
what any of them does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from comparison import COMPARE

KINDS = 5  # of failures that are told apart
GRACE_SECONDS = 60.0  # beyond the time that a load was asked to take


@dataclass(frozen=True)
class Outcome:
    """`requests` answered with 2xx within `seconds`, `errors` that were not, and `failures`: which, most frequent first.

    Latencies are in milliseconds. `cpu` is what the generator itself needed meanwhile, in seconds. `resumed` counts TLS
    sessions taken up again.
    """

    requests: int
    seconds: float
    errors: int
    p50: float
    p99: float
    p999: float
    cpu: float = 0.0
    failures: str = ""
    resumed: int = 0


def outcome(
    latencies: Sequence[float],
    seconds: float,
    errors: Sequence[str],
    *,
    cpu: float,
    requests: int | None = None,
    resumed: int = 0,
) -> Outcome:
    """The outcome of requests that took `latencies` seconds each, and of `errors`, one text each. `requests` is given
    when more were answered than are counted."""
    p50, p99, p999 = (1000 * percentile(latencies, share) for share in (0.5, 0.99, 0.999))
    answered = len(latencies) if requests is None else requests
    kinds = Counter(errors).most_common(KINDS)
    failures = "; ".join(f"{number:,} × {text}" for text, number in kinds)
    return Outcome(answered, seconds, len(errors), p50, p99, p999, cpu, failures, resumed)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all don't exceed; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def tell(found: Outcome) -> None:
    """The last act of a load's process: its outcome on stdout."""
    print(json.dumps(asdict(found)))


def launch(module: str, order: dict[str, object], seconds: float) -> Outcome:
    """Runs `comparison.load.<module>` with its order. Raises RuntimeError with its complaint when it fails."""
    argv = [sys.executable, "-m", f"comparison.load.{module}", json.dumps(order)]
    environment = {**os.environ, "PYTHONPATH": str(COMPARE)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{module}: {done.stderr[-2000:]}")
    return Outcome(**json.loads(done.stdout.splitlines()[-1]))
