"""The scenarios of the cost table, as data: what is asked, how, of whom. How it is measured is in `costs`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from comparison.load import traffic

Kind = Literal["closed", "sessions", "handshakes", "open", "idle", "rest"]
ALL = ("gateway", "nginx-tuned", "nginx-vendor", "haproxy", "caddy", "express-2", "express-3", "aiohttp")
FRONTS = ("gateway", "nginx-tuned", "haproxy", "caddy")
PAIR = ("gateway", "nginx-tuned")
BASELINE = "nginx-tuned"
ARCHIVE = "-archive"  # behind the name of a build of the gateway: the same with a copy of each upload in an archive
ARCHIVING = f"gateway{ARCHIVE}"
COPIERS = (*PAIR, ARCHIVING)
DIRECT = "direct"  # no proxy at all: the load asks the upstream itself
CLIENTS = 32
LINES = 64  # connections of an open loop: no more at once than every proxy here keeps open to the upstream
MANY = 1000  # connections that two workers share: with few, chance gives one of them more than its half
PACE = 200  # a session's pauses are divided by this: 2 to 10 s become 10 to 50 ms


@dataclass(frozen=True)
class Setting:
    """What a system must be started with. `far`: 40 ms to the upstream. `mirror`: each upload is copied, to a
    sink by nginx, to an archive by the gateway where the system is one that has an archive.
    `fresh`: started for this alone, since a process that has served a crowd holds memory for the next one."""

    workers: int = 1
    far: bool = False
    mirror: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class Scenario:
    """One row. `size` is a body's in bytes. `rate` is the share of a capacity at which requests arrive (open loop):
    each system's own, or for all the lowest of those that are compared. Capacity is what a core carries of requests that
    arrive one by one, as measured by ARRIVALS. `mixed`: a connection carries the requests of many visitors, as those of
    a load balancer in front do, so that no head is like the one before it. `systems` are those that a full run asks,
    `quick` those of a quick one."""

    name: str
    title: str
    kind: Kind = "closed"
    request: Literal["upload", "preflight", "config"] = "upload"
    size: int = 2048
    tls: bool = False
    clients: int = CLIENTS
    resume: bool = False
    rate: float = 0.0
    same_rate: bool = False
    mixed: bool = False
    setting: Setting = Setting()
    systems: tuple[str, ...] = PAIR
    quick: tuple[str, ...] = ()

    def bytes(self, visitor: int = 0) -> bytes:
        """The request of one visitor, for scenarios that repeat one."""
        session = traffic.FIRST_SESSION + visitor
        if self.request == "upload":
            return traffic.upload(self.size, session)
        if self.request == "preflight":
            return traffic.preflight(session)
        return traffic.configuration(f"{visitor:032x}" if self.mixed else traffic.KEY)


SIZES = (("0.5", 512), ("2", 2048), ("10", 10_240), ("50", 51_200), ("200", 204_800), ("1500", 1_500_000))
SHOWN = ("2", "50")  # the sizes that are asked of everybody, everywhere
WITHOUT_EXPRESS = tuple(one for one in ALL if not one.startswith("express"))


def _uploads() -> Iterator[Scenario]:
    for name, size in SIZES:
        is_shown = name in SHOWN
        systems, fronts = (ALL, FRONTS) if is_shown else (WITHOUT_EXPRESS, PAIR)
        title = f"upload of {'1.5 MB' if name == '1500' else f'{name} KB'}"
        yield Scenario(f"post-{name}k", title, size=size, systems=systems, quick=systems if is_shown else PAIR)
        quick = PAIR if is_shown else ()
        yield Scenario(f"tls-post-{name}k", f"{title}, TLS", size=size, tls=True, systems=fronts, quick=quick)


def _small() -> Iterator[Scenario]:
    yield Scenario("preflight", "preflight", request="preflight", systems=ALL, quick=PAIR)
    yield Scenario("config", "configuration, all of one project", request="config", systems=ALL, quick=PAIR)
    yield Scenario("tls-preflight", "preflight, TLS", request="preflight", tls=True, systems=FRONTS)
    yield Scenario("tls-config", "configuration, all of one project, TLS", request="config", tls=True)


FAR = Setting(far=True)
TWO = Setting(workers=2)
MIRROR = Setting(mirror=True)
FRESH = Setting(fresh=True)
SCENARIOS = (
    Scenario("rest", "a worker at rest", "rest", setting=FRESH, systems=ALL, quick=PAIR),
    Scenario(
        "idle", "5,000 idle TLS connections", "idle", tls=True, clients=5000, setting=FRESH, systems=FRONTS, quick=PAIR
    ),
    *sorted((*_uploads(), *_small()), key=lambda one: one.tls),  # which keeps the order of those alike
    Scenario("sessions", "SDK mix, a TLS connection per visitor", "sessions", tls=True, systems=ALL, quick=PAIR),
    Scenario("mixed-2k", "upload of 2 KB, each of another visitor", mixed=True, systems=FRONTS, quick=PAIR),
    Scenario("mixed-50k", "upload of 50 KB, each of another visitor", size=51_200, mixed=True),
    Scenario("mixed-config", "configuration, each of another project", request="config", mixed=True),
    Scenario("sessions-plain", "SDK mix, plain HTTP", "sessions"),
    Scenario("handshake", "upload of 2 KB, new TLS connection", "handshakes", tls=True, clients=8, systems=FRONTS),
    Scenario("resumption", "the same, session resumed", "handshakes", tls=True, clients=8, resume=True, systems=FRONTS),
    Scenario("clients-1", "upload of 2 KB, 1 client", clients=1),
    Scenario("clients-100", "upload of 2 KB, 100 clients", clients=100),
    Scenario("clients-1000", "upload of 2 KB, 1,000 clients", clients=1000),
    Scenario(
        "arrivals",
        "upload of 2 KB, arriving one by one",
        "open",
        clients=LINES,
        rate=0.5,
        systems=(*PAIR, "haproxy"),
        quick=PAIR,
    ),
    Scenario(
        "open-same",
        "upload of 2 KB at half the capacity of the slowest",
        "open",
        clients=LINES,
        rate=0.5,
        same_rate=True,
        systems=(*PAIR, "haproxy", DIRECT),
        quick=(*PAIR, DIRECT),
    ),
    Scenario("open-50", "upload of 2 KB at 50 % of its own capacity", "open", clients=LINES, rate=0.5),
    Scenario("open-80", "upload of 2 KB at 80 % of its own capacity", "open", clients=LINES, rate=0.8),
    Scenario("far", "upload of 2 KB, upstream 40 ms away", clients=100, setting=FAR),
    Scenario("far-50k", "upload of 50 KB, upstream 40 ms away", size=51_200, clients=100, setting=FAR),
    Scenario("mirror-2k", "upload of 2 KB, copied or not", setting=MIRROR, systems=COPIERS),
    Scenario("mirror-50k", "upload of 50 KB, copied or not", size=51_200, setting=MIRROR, systems=COPIERS),
    Scenario(
        "mirror-open",
        "upload of 2 KB, copied or not, at a quarter of the gateway's capacity",
        "open",
        clients=LINES,
        rate=0.25,
        same_rate=True,
        setting=MIRROR,
        systems=COPIERS,
    ),
    Scenario(
        "mirror-open-50k",
        "upload of 50 KB, copied or not, at an eighth of that capacity",
        "open",
        size=51_200,
        clients=LINES,
        rate=0.125,
        same_rate=True,
        setting=MIRROR,
        systems=COPIERS,
    ),
    Scenario("pair-closed", "upload of 2 KB, two workers, 256 clients", clients=256, setting=TWO),
    Scenario("single-open", "one worker at 30 % of its capacity", "open", clients=MANY, rate=0.3),
    Scenario("pair-open", "two workers at twice that rate", "open", clients=MANY, rate=0.6, setting=TWO),
)
SMOKE = ("rest", "post-2k", "sessions", "resumption", "arrivals", "open-same")
COPIES = tuple(one.name for one in SCENARIOS if one.setting.mirror)
CLOSED = next(one for one in SCENARIOS if one.name == "post-2k")
# Asked for its share of what CLOSED got through; its CPU time per request is what capacities follow from.
ARRIVALS = next(one for one in SCENARIOS if one.name == "arrivals")
