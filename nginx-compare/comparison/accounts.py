"""What the operating system says of processes: the processor time that they were charged, the memory that they have.

A process is looked at together with all below it. Linux only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from comparison.peers import process_tree

TICK = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"  # proc(5), clear_refs


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """By process: user and system time since its start, of all its threads, to the nanosecond.

    Read from the process' own clock: the ticks of /proc/PID/stat are 10 ms wide, the run times of
    /proc/PID/schedstat are those of one thread and zero on some kernels. A process that has ended counts as 0.
    """
    return {pid: _clock(pid) for pid in pids}


def tick_seconds(pids: Iterable[int]) -> float:
    """The same sum as /proc/PID/stat tells it, to check the clocks against."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICK


def shared_out_bytes(pids: Iterable[int]) -> int:
    """Proportional set size: what is shared is divided by the number of those who share it."""
    return sum(_rollup(pid, "Pss") for pid in pids)


def resident_bytes(pid: int) -> int:
    """Resident set size of one process, whatever others share of it."""
    return _rollup(pid, "Rss")


def forget_peak(pids: Iterable[int]) -> None:
    """From now on `peak_bytes` counts anew."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)


def peak_bytes(pids: Iterable[int]) -> int:
    """The sum of each process' highest resident set size (VmHWM) since `forget_peak`."""
    return sum(_kilobytes(Path(f"/proc/{pid}/status").read_text(), "VmHWM") for pid in pids)


def members(pids: Iterable[int]) -> list[int]:
    """These processes and all below them."""
    return [member for pid in pids for member in process_tree(pid)]


def _clock(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the process' CPU clock, as clock_getcpuclockid(3) makes it
    except OSError:
        return 0.0


def _rollup(pid: int, name: str) -> int:
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text(), name)


def _kilobytes(text: str, name: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
