"""A closed loop over kept connections by wrk: each client sends its next request when the last one is answered.

It finds out what a system can carry. Its latencies say little, since a slow answer delays the questions after it; for
those there is `arrivals`.
"""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

from comparison.load.outcome import Outcome

# wrk formats its request once; it is given ours, whole, so that the fields have the browser's order.
SCRIPT = """
init = function()
  local file = io.open("{request}", "rb")
  local bytes = file:read("*a")
  file:close()
  wrk.format = function() return bytes end
end
done = function(summary, latency)
  local broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("FOUND %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.errors.status,
    broken, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
GRACE_SECONDS = 30.0


def load(request: bytes, url: str, clients: int, seconds: float, folder: Path) -> Outcome:
    """`clients` connections that repeat `request` for `seconds` (whole ones). `folder` takes two small files."""
    (folder / "request").write_bytes(request)
    script = folder / "load.lua"
    script.write_text(SCRIPT.format(request=folder / "request"))
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "-s", str(script), f"{url}/"]
    before = _children_cpu()
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + GRACE_SECONDS)
    return _read(done.stdout, _children_cpu() - before)


def _read(text: str, cpu: float) -> Outcome:
    total, micros, bad, broken, p50, p99, p999 = map(int, text.rpartition("FOUND ")[2].split())
    complaint = f"{bad} answers with 4xx or 5xx, {broken} connections broken" if bad or broken else ""
    seconds = micros / 1e6
    return Outcome(total - bad, seconds, bad + broken, p50 / 1000, p99 / 1000, p999 / 1000, cpu, complaint)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
