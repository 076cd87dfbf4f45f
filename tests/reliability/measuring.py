"""One run of one fault: visitors come, all is well for a while, the fault lasts, all is well again; and the account.

What no run may show, whatever the fault, is in `wrong`: an upload that was acknowledged and is not at the vendor, an
answer that no page can read, no recovery, and where the promise is that nothing is lost, an upload that is.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.traffic import QUIET
from tests.faults.wall_clock import WallClock
from tests.gateway import Gateway, eventually, merged, vendor_upstreams
from tests.processes.keeper import Keeper
from tests.reliability.door import Door
from tests.reliability.faults import Fault, Site, prepared
from tests.reliability.visitors import LATE, UNREADABLE, Account, Visitors, reasons
from tests.standin import StandIn

RATE: Final = 60.0  # requests per second
WELL: Final = 1.5  # seconds before the fault
AFTER: Final = 3.0  # and after it, at least
SITES: Final = ("expired", "wrong-name")
# /etc/hosts and a name server that answers nobody, for the gateway alone.
_OWN_NAMES: Final = (
    'mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/resolv.conf" /etc/resolv.conf && shift && exec "$@"'
)


@dataclass(frozen=True)
class Result:
    """Of the uploads that were begun while the fault lasted: how many there were, were acknowledged at once, by the
    retry, or lost; what the answers that were not good were; configurations asked and given. `twice` arrived twice.
    `recovery` is seconds from the end of the fault to the last answer that was not good, 0 if there was none."""

    fault: Fault
    uploads: int
    at_once: int
    by_retry: int
    lost: int
    reasons: Counter[str]
    configs: int
    configs_given: int
    twice: int
    recovery: float
    wrong: tuple[str, ...]


def measure(fault: Fault, seconds: float | None = None) -> Result:
    """Cause a fault and see what it costs."""
    tls = [part for name in SITES for part in ("--tls", f"{name}-tls=127.0.0.1:0,certificate={name}")]
    usual = [part for name in ("us", "eu") for part in ("--tls", f"{name}-tls=127.0.0.1:0")]
    with (
        tempfile.TemporaryDirectory(prefix="fault-") as name,
        StandIn("--quiet", *usual, *tls) as vendor,
        Door(vendor.ports["us-tls"]) as door,
        prepared(Path(name), fault) as settings,
        ExitStack() as stack,
    ):
        folder = Path(name)
        (folder / "hosts").write_text("127.0.0.1 localhost vendor.test\n")
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        config = merged(merged(dict(QUIET), _upstreams(vendor, door)), settings)
        clock = WallClock(folder)
        prefix: tuple[str, ...] = ("unshare", "--mount", "sh", "-c", _OWN_NAMES, "sh", name)
        env = dict(clock.env)
        if fault.is_kept:
            keeper = stack.enter_context(Keeper(folder))
            prefix += keeper.prefix
            env.update(keeper.env)
        with Gateway(config, standin=vendor, workers=2, clean=False, prefix=prefix, env=env) as gateway:
            site = Site(gateway, vendor, door, folder, clock)
            return _run(fault, site, fault.seconds if seconds is None else seconds)


def _upstreams(vendor: StandIn, door: Door) -> Mapping[str, Any]:
    made = vendor_upstreams(vendor)
    for route in made["us"].values():
        route["connect"] = f"vendor.test:{door.port}"
    return {"upstreams": made}


def _run(fault: Fault, site: Site, seconds: float) -> Result:
    visitors = Visitors(site.gateway.port, RATE)
    visiting = threading.Thread(target=lambda: asyncio.run(visitors.visit()))
    visiting.start()
    try:
        time.sleep(WELL)
        begin = time.monotonic()
        with fault.cause(site):
            time.sleep(max(seconds - (time.monotonic() - begin), 0))
        end = time.monotonic()
        time.sleep(AFTER)
    finally:
        visitors.leave()
        visiting.join()
    return _judge(fault, site, visitors.account, begin, end)


def _judge(fault: Fault, site: Site, account: Account, begin: float, end: float) -> Result:
    arrived = _arrived(site, account)
    uploads = [tries for _, tries in account.within(begin, end)]
    at_once = sum(tries[0].is_good for tries in uploads)
    by_retry = sum(not tries[0].is_good and tries[-1].is_good for tries in uploads)
    bad = [each for each in account.tries if begin <= each.asked and not each.is_good]
    configs = [each for each in account.configs if begin <= each.asked < end]
    late = [each.ended - end for each in bad if each.ended > end]
    missing = account.acknowledged - set(arrived)
    lost = len(uploads) - at_once - by_retry
    wrong = [f"{len(missing)} uploads were acknowledged and did not arrive"] if missing else []
    if fault.is_lossless and lost:
        wrong.append(f"{lost} of {len(uploads)} uploads were lost")
    unreadable = [each for each in bad if each.reason in (UNREADABLE, LATE)]
    if unreadable and not fault.cuts:
        wrong.append(f"{len(unreadable)} requests were received and not answered so that a page could read it")
    if not account.tries[-1].is_good:
        wrong.append("it has not recovered")
    return Result(
        fault,
        len(uploads),
        at_once,
        by_retry,
        lost,
        reasons([each for each in bad if each.asked < end]),
        len(configs),
        sum(each.is_good for each in configs),
        sum(number - 1 for name, number in arrived.items() if name in account.uploads),
        max(late, default=0.0),
        tuple(wrong),
    )


def _arrived(site: Site, account: Account) -> Counter[str]:
    """What the vendor has, and how often."""
    try:
        eventually(lambda: account.acknowledged <= set(site.vendor.digests()), 3.0)
    except AssertionError:
        pass  # `_judge` says how many
    return Counter(site.vendor.digests())
