"""The machine: which cores the proxies get and which the load gets, and what should be said of it beside a figure."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Those of the proxy under test, those of load and upstream, and in words what was done."""

    proxy: tuple[int, ...]
    load: tuple[int, ...]
    words: str

    @property
    def apart(self) -> bool:
        """Whether proxy and load can't take each other's time."""
        return not set(self.proxy) & set(self.load)

    @property
    def all(self) -> tuple[int, ...]:
        """Both sides' cores, each once."""
        return tuple(sorted({*self.proxy, *self.load}))

    @property
    def command(self) -> tuple[str, ...]:
        """What starts a program on the proxy's cores."""
        return ("taskset", "--cpu-list", ",".join(map(str, self.proxy)))


def divided(workers: int, available: Iterable[int] | None = None) -> Cores:
    """The cores for a proxy of so many workers: the first ones, if that leaves the load any, else all for all."""
    cores = tuple(sorted(available or os.sched_getaffinity(0)))
    if workers < len(cores):
        proxy, load = cores[:workers], cores[workers:]
        return Cores(proxy, load, f"proxy on {_named(proxy)}, load and upstream on {_named(load)}")
    return Cores(cores, cores, f"proxy, load and upstream share {_named(cores)}, too few to be divided")


def description() -> dict[str, str]:
    """What is needed to judge the figures, by name."""
    return {
        "processor": f"{len(os.sched_getaffinity(0))} cores, {_processor()}",
        "hypervisor": _hypervisor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "python": platform.python_version(),
        "wrk": _wrk(),
        "transparent huge pages": _line("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def busy_seconds(cores: Iterable[int]) -> float:
    """Time in which these cores were not idle, since the machine started: whoever used them, other guests included."""
    wanted = {f"cpu{core}" for core in cores}
    lines = (line.split() for line in Path("/proc/stat").read_text().splitlines())
    return sum(sum(map(int, one[1:9])) - int(one[4]) - int(one[5]) for one in lines if one[0] in wanted) / TICK


def _named(cores: tuple[int, ...]) -> str:
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, cores))}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _hypervisor() -> str:
    flags = Path("/proc/cpuinfo").read_text()
    return "yes: times vary with what its other guests do" if " hypervisor" in flags else "no"


def _line(path: str) -> str:
    file = Path(path)
    return file.read_text().strip() if file.exists() else "unknown"


def _wrk() -> str:
    program = shutil.which("wrk")
    if not program:
        return "not installed"
    told = subprocess.run([program, "-v"], capture_output=True, text=True)
    return (told.stdout + told.stderr).split(" [")[0].removeprefix("wrk ").removeprefix("debian/")
