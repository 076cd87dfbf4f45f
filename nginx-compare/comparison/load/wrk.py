"""A closed loop over kept connections by wrk: each client sends its next request when the last one is answered.

It finds out what a system can carry. Its latencies say little, since a slow answer delays the questions after it; for
those there is `arrivals`.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

from comparison.load.outcome import Outcome

# wrk formats its request once for each of its threads; it is given ours, whole, so that the fields have the browser's
# order. A `request` function is what makes wrk ask for the next one each time.
SCRIPT = """
local threads = 0
setup = function(thread)
  thread:set("number", threads)
  threads = threads + 1
end
init = function()
  local requests = {{}}
  local file = io.open("{file}", "rb")
  for at = 1, {count} do requests[at] = file:read({length}) end
  file:close()
  local at = number % {count}
  wrk.format = function() return requests[at + 1] end
  if {mixed} then
    request = function()
      at = (at + 1) % {count}
      return requests[at + 1]
    end
  end
end
done = function(summary, latency)
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write
  io.write(string.format("FOUND %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.errors.status,
    broken, summary.errors.timeout, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
GRACE_SECONDS = 30.0
LATE_SECONDS = 2  # an answer that takes longer is told of
THREADS = 8


def load(
    requests: Sequence[bytes], url: str, clients: int, seconds: float, folder: Path, *, mixed: bool = False
) -> Outcome:
    """`clients` connections that repeat a request for `seconds` (whole ones). `folder` takes two small files.

    The `requests` are all of one length. A connection keeps to one of them (there are as many different ones as wrk has
    threads), or, if they are `mixed`, each request on it is another one.
    """
    (folder / "requests").write_bytes(b"".join(requests))
    words = {"count": len(requests), "length": len(requests[0]), "mixed": "true" if mixed else "false"}
    script = folder / "load.lua"
    script.write_text(SCRIPT.format(file=folder / "requests", **words))
    most = 1 if mixed else min(THREADS, len(requests))
    threads = next(number for number in range(most, 0, -1) if clients % number == 0)  # else wrk opens fewer connections
    argv = [
        "wrk",
        f"-t{threads}",
        f"-c{clients}",
        f"-d{seconds:.0f}s",
        f"--timeout={LATE_SECONDS}s",
        "-s",
        str(script),
        f"{url}/",
    ]
    before = _children_cpu()
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + GRACE_SECONDS)
    return _read(done.stdout, _children_cpu() - before)


def _read(text: str, cpu: float) -> Outcome:
    total, micros, bad, broken, late, p50, p99, p999 = map(int, text.rpartition("FOUND ")[2].split())
    kinds = (
        (bad, "answers with 4xx or 5xx"),
        (broken, "connections broken"),
        (late, f"answers after more than {LATE_SECONDS} s"),
    )
    complaint = ", ".join(f"{number} {what}" for number, what in kinds if number)
    seconds = micros / 1e6
    return Outcome(total - bad, seconds, bad + broken + late, p50 / 1000, p99 / 1000, p999 / 1000, cpu, complaint)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
