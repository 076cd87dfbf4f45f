"""The faults: how each is caused and ended, what is promised for it, and what an operator can do.

A promise is in words; what `account.judge` holds it to is beside it: whether any upload may be lost at all.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conformance.wire import BadAnswer, NoAnswer
from tests.faults.archive.spool_bench import small_disk
from tests.faults.traffic import ask, upload
from tests.faults.wall_clock import WallClock
from tests.gateway import Gateway, eventually, is_alive, merged
from tests.reliability.door import Door
from tests.standin import StandIn


@dataclass
class Site:
    """What a fault can be done to. `clock` is that of the gateway's processes."""

    gateway: Gateway
    vendor: StandIn
    door: Door
    folder: Path
    clock: WallClock


Cause = Callable[[Site], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`is_lossless`: no upload may be lost, whatever the vendor or the gateway goes through; `cuts`: what can't be
    answered for want of something is cut. `settings` are laid over those of the run; `seconds` is how long the fault
    lasts; `is_kept`: a service manager keeps the listening sockets between two runs."""

    name: str
    what: str
    promise: str
    cause: Cause
    is_lossless: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 4.0
    archives: bool = False
    cuts: bool = False
    is_kept: bool = False


def vendor_does(action: str, **parameters: Any) -> Cause:
    @contextmanager
    def cause(site: Site) -> Iterator[None]:
        site.vendor.behave({"action": action, **parameters})
        yield
        site.vendor.behave()

    return cause


@contextmanager
def flapping(site: Site) -> Iterator[None]:
    """Half of the requests meet a reset."""
    site.vendor.behave({"match": {"probability": 0.5}, "action": "reset_before_answer"})
    yield
    site.vendor.behave()


def door(how: str) -> Cause:
    @contextmanager
    def cause(site: Site) -> Iterator[None]:
        with getattr(site.door, how)():
            yield

    return cause


def impostor(name: str) -> Cause:
    @contextmanager
    def cause(site: Site) -> Iterator[None]:
        with site.door.leading_to(site.vendor.ports[name]):
            yield

    return cause


@contextmanager
def workers_killed(site: Site) -> Iterator[None]:
    """One after the other."""
    os.kill(site.gateway.worker_pids()[0], signal.SIGKILL)
    time.sleep(1.0)
    os.kill(site.gateway.worker_pids()[-1], signal.SIGKILL)
    yield


@contextmanager
def supervisor_killed(site: Site) -> Iterator[None]:
    """And started again, as systemd or an orchestrator would."""
    workers = site.gateway.worker_pids()
    os.kill(site.gateway.pid, signal.SIGKILL)
    site.gateway.wait()
    eventually(lambda: not any(map(is_alive, workers)), 30)
    site.gateway.start_again()
    yield


@contextmanager
def archiver_killed(site: Site) -> Iterator[None]:
    for pid in site.gateway.archiver_pids():
        os.kill(pid, signal.SIGKILL)
    yield


@contextmanager
def workers_paused(site: Site) -> Iterator[None]:
    """Frozen, or without a processor."""
    pids = site.gateway.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    yield


@contextmanager
def clock_stepped(site: Site) -> Iterator[None]:
    for seconds in CLOCK_STEPS:
        site.clock.step(seconds)
        time.sleep(1.0)
    yield


@contextmanager
def descriptors_exhausted(site: Site) -> Iterator[None]:
    """No worker may have one more than it has."""

    def most(pid: int) -> int:
        return 1 + max(map(int, os.listdir(f"/proc/{pid}/fd")))

    with _limited(site, resource.RLIMIT_NOFILE, most):
        yield


@contextmanager
def memory_exhausted(site: Site) -> Iterator[None]:
    """No worker may have another page, while a crowd sends it more than it can hold."""

    def most(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()

    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            with suppress(NoAnswer, BadAnswer, OSError):
                ask(site.gateway, upload(os.urandom(LARGE)))

    with _limited(site, resource.RLIMIT_AS, most), ThreadPoolExecutor(CROWD) as crowd:
        for _ in range(CROWD):
            crowd.submit(send)
        yield
        is_over.set()


@contextmanager
def _limited(site: Site, what: int, most: Callable[[int], int]) -> Iterator[None]:
    before = {pid: resource.prlimit(pid, what) for pid in site.gateway.worker_pids()}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, what, (most(pid), hard))
    yield
    for pid, limits in before.items():
        if is_alive(pid):
            resource.prlimit(pid, what, limits)


@contextmanager
def reloaded(site: Site) -> Iterator[None]:
    for number in range(3):
        changed = merged(site.gateway.config, {"limits": {"body": f"{8 + number}MiB"}})
        site.gateway.config_file.write_text(json.dumps(changed))
        site.gateway.send_signal(signal.SIGHUP)
        time.sleep(1.0)
    yield


@contextmanager
def told_to_stop(site: Site) -> Iterator[None]:
    """SIGTERM, and another one started as soon as it has ended: the restart of a single gateway."""
    site.gateway.stop()
    site.gateway.start_again()
    yield


@contextmanager
def disk_full(site: Site) -> Iterator[None]:
    ballast = site.folder / "disk" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(resource.getpagesize()))
        except OSError:
            pass  # not another page
    yield
    ballast.unlink()


@contextmanager
def names_gone(site: Site) -> Iterator[None]:
    hosts = site.folder / "hosts"
    before = hosts.read_text()
    hosts.write_text("")
    yield
    hosts.write_text(before)


@contextmanager
def names_changed(site: Site) -> Iterator[None]:
    """The name leads elsewhere, and nobody is at the old address any more."""
    hosts = site.folder / "hosts"
    with Door(site.door.behind, "127.0.0.2", site.door.port), ExitStack() as stack:
        hosts.write_text("127.0.0.2 vendor.test\n")
        stack.enter_context(site.door.refusing())
        yield
        hosts.write_text("127.0.0.1 vendor.test\n")


PAUSE: Final = 2.0  # seconds; the SDK waits for ten
CLOCK_STEPS: Final = (3 * 3600, -3 * 3600)  # seconds, from what it is
CROWD: Final = 16
LARGE: Final = 2_000_000  # bytes
QUICK: Final = {"timeouts": {"first_byte": "1s", "track_total": "2s", "connect": "1s", "resolve": "1s"}}
OUT: Final = "nothing is acknowledged that the vendor does not have; every answer can be read: 502, 503 or 504"
FAULTS: Final = (
    Fault("upstream-slow", "answers take 2 s", "all arrive", vendor_does("delay", seconds=2.0), is_lossless=True),
    Fault("upstream-half-dead", "takes requests, never answers", OUT, vendor_does("hang"), settings=QUICK),
    Fault("upstream-resets", "resets every connection before it answers", OUT, vendor_does("reset_before_answer")),
    Fault("upstream-flaps", "resets half of the requests", OUT, flapping),
    Fault("upstream-refuses", "nobody listens", OUT, door("refusing")),
    Fault("upstream-blackholed", "packets vanish", OUT, door("swallowing"), settings=QUICK),
    Fault("upstream-garbage", "answers no HTTP", OUT, vendor_does("raw", preset="garbage")),
    Fault("certificate-expired", "shows an expired certificate", OUT, impostor("expired-tls")),
    Fault("certificate-of-another", "shows another name's certificate", OUT, impostor("wrong-name-tls")),
    Fault("dns-fails", "the vendor's name can't be resolved", "the last addresses are used: all arrive", names_gone,
          is_lossless=True, settings=QUICK),
    Fault("dns-changes", "the name leads elsewhere, nobody is at the old address", "the name is asked again at once; "
          "until the answer is there as if nobody listened", names_changed),
    Fault("worker-killed", "kill -9 of both workers, a second apart", "what a worker had in hand is cut; those that "
          "wait in its queue are answered by its successor", workers_killed),
    Fault("supervisor-killed", "kill -9 of the supervisor, then a start", "workers finish what they have in hand",
          supervisor_killed),
    Fault("stopped-and-started", "SIGTERM, then a start", "what is in hand is finished", told_to_stop),
    Fault("kept-supervisor-killed", "the same kill, under a service manager that keeps the sockets", "who connects "
          "meanwhile waits for the next run: all arrive", supervisor_killed, is_lossless=True, is_kept=True),
    Fault("kept-stopped-and-started", "the same restart, under such a manager", "who connects meanwhile waits for the "
          "next run: all arrive", told_to_stop, is_lossless=True, is_kept=True),
    Fault("reloaded", "SIGHUP three times, each with other settings", "all arrive", reloaded, is_lossless=True),
    Fault("archiver-killed", "kill -9 of the archiver", "the traffic does not notice: all arrive", archiver_killed,
          is_lossless=True, archives=True),
    Fault("spool-disk-full", "the spool's disk is full", "the traffic does not notice: all arrive; what is not "
          "archived is counted", disk_full, is_lossless=True, archives=True),
    Fault("workers-paused", f"workers don't run for {PAUSE:g} s", "nobody is given up for what only the workers did "
          "not see: all arrive", workers_paused, is_lossless=True),
    Fault("clock-stepped", "the wall clock jumps by hours, to either side", "nothing depends on it: all arrive",
          clock_stepped, is_lossless=True, archives=True),
    Fault("descriptors-exhausted", "no worker may open one more file or socket", "who is connected is served over "
          "the connections that there are; others are cut", descriptors_exhausted, cuts=True),
    Fault("memory-exhausted", f"no worker may have another page, while {CROWD} others send {LARGE // 1_000_000} MB "
          "each over and over", "workers live; what there is no memory for is cut, or answered 503", memory_exhausted,
          cuts=True),
)  # fmt: skip


@contextmanager
def prepared(folder: Path, fault: Fault) -> Iterator[dict[str, Any]]:
    """Settings, and what must be there before the gateway is started."""
    settings: dict[str, Any] = dict(fault.settings)
    with ExitStack() as stack:
        if fault.archives:
            disk = stack.enter_context(small_disk(folder / "disk", "24m"))
            spool = {"directory": str(disk), "min_free_bytes": 0}
            settings["archive"] = {"directory": str(folder / "archive"), "spool": spool, "rotate": {"seconds": 1}}
        yield settings
