"""The scenarios of the cost table, as data: what is asked, how, of whom. How it is measured is in `costs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from comparison.load import traffic

Kind = Literal["closed", "sessions", "handshakes", "open", "idle", "rest"]
ALL = ("gateway", "nginx-tuned", "nginx-vendor", "haproxy", "caddy", "express-2", "express-3", "aiohttp")
FRONTS = ("gateway", "nginx-tuned", "haproxy", "caddy")
PAIR = ("gateway", "nginx-tuned")
BASELINE = "nginx-tuned"
DIRECT = "direct"  # no proxy at all: the load asks the upstream itself
CLIENTS = 32
LINES = 64  # connections of an open loop: no more at once than every proxy here keeps open to the upstream
MANY = 1000  # connections that two workers share: with few, chance gives one of them more than its half
PACE = 200  # a session's pauses are divided by this: 2 to 10 s become 10 to 50 ms


@dataclass(frozen=True)
class Setting:
    """What a system must be started with. `far`: 40 ms to the upstream. `mirror`: each upload is copied to a sink.
    `fresh`: started for this alone, since a process that has served a crowd holds memory for the next one."""

    workers: int = 1
    far: bool = False
    mirror: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class Scenario:
    """One row. `size` is a body's in bytes. `rate` is the share of a capacity at which requests arrive (open loop):
    each system's own, or for all the lowest of those that are compared. `systems` are those that a full run asks, `quick` those of a
    quick one."""

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
    setting: Setting = Setting()
    systems: tuple[str, ...] = PAIR
    quick: tuple[str, ...] = ()

    @property
    def bytes(self) -> bytes:
        """The request, for scenarios that repeat one."""
        if self.request == "upload":
            return traffic.upload(self.size)
        return traffic.preflight() if self.request == "preflight" else traffic.configuration()


SIZES = (("0.5", 512), ("2", 2048), ("10", 10_240), ("50", 51_200), ("200", 204_800), ("1500", 1_500_000))
_QUICK_FOR_ALL = {"2", "50"}
_QUICK_TLS = {"2", "50"}


def _uploads(prefix: str, title: str, tls: bool, systems: tuple[str, ...]) -> list[Scenario]:
    scenarios = []
    for name, size in SIZES:
        shown = "1.5 MB" if name == "1500" else f"{name} KB"
        quick = systems if not tls and name in _QUICK_FOR_ALL else PAIR if not tls or name in _QUICK_TLS else ()
        scenarios.append(
            Scenario(f"{prefix}{name}k", f"upload of {shown}{title}", size=size, tls=tls, systems=systems, quick=quick)
        )
    return scenarios


def _small(prefix: str, title: str, tls: bool, systems: tuple[str, ...]) -> list[Scenario]:
    quick = () if tls else PAIR
    return [
        Scenario(f"{prefix}preflight", f"preflight{title}", request="preflight", tls=tls, systems=systems, quick=quick),
        Scenario(f"{prefix}config", f"configuration{title}", request="config", tls=tls, systems=systems, quick=quick),
    ]


FAR = Setting(far=True)
TWO = Setting(workers=2)
MIRROR = Setting(mirror=True)
FRESH = Setting(fresh=True)
SCENARIOS = (
    Scenario("rest", "a worker at rest", "rest", setting=FRESH, systems=ALL, quick=PAIR),
    Scenario(
        "idle", "5,000 idle TLS connections", "idle", tls=True, clients=5000, setting=FRESH, systems=FRONTS, quick=PAIR
    ),
    *_uploads("post-", "", False, ALL),
    *_small("", "", False, ALL),
    *_uploads("tls-post-", ", TLS", True, FRONTS),
    *_small("tls-", ", TLS", True, FRONTS),
    Scenario("sessions", "SDK mix, a TLS connection per visitor", "sessions", tls=True, systems=ALL, quick=PAIR),
    Scenario("sessions-plain", "SDK mix, plain HTTP", "sessions"),
    Scenario("handshake", "upload of 2 KB, new TLS connection", "handshakes", tls=True, clients=8, systems=FRONTS),
    Scenario("resumption", "the same, session resumed", "handshakes", tls=True, clients=8, resume=True, systems=FRONTS),
    Scenario("clients-1", "upload of 2 KB, 1 client", clients=1, systems=FRONTS),
    Scenario("clients-100", "upload of 2 KB, 100 clients", clients=100, systems=FRONTS),
    Scenario("clients-1000", "upload of 2 KB, 1,000 clients", clients=1000, systems=FRONTS),
    Scenario(
        "open-same",
        "upload of 2 KB at half the capacity of the slower of the two",
        "open",
        clients=LINES,
        rate=0.5,
        same_rate=True,
        systems=(*PAIR, "haproxy", DIRECT),
        quick=(*PAIR, DIRECT),
    ),
    Scenario("open-50", "upload of 2 KB at 50 % of its own capacity", "open", clients=LINES, rate=0.5),
    Scenario("open-80", "upload of 2 KB at 80 % of its own capacity", "open", clients=LINES, rate=0.8),
    Scenario("far", "upload of 2 KB, upstream 40 ms away", clients=100, setting=FAR, systems=FRONTS),
    Scenario("far-50k", "upload of 50 KB, upstream 40 ms away", size=51_200, clients=100, setting=FAR),
    Scenario("mirror-2k", "upload of 2 KB, copied to a sink", setting=MIRROR, systems=(BASELINE,)),
    Scenario("mirror-50k", "upload of 50 KB, copied to a sink", size=51_200, setting=MIRROR, systems=(BASELINE,)),
    Scenario("pair-closed", "upload of 2 KB, two workers, 256 clients", clients=256, setting=TWO),
    Scenario("single-open", "one worker at 30 % of its capacity", "open", clients=MANY, rate=0.3),
    Scenario("pair-open", "two workers at twice that rate", "open", clients=MANY, rate=0.6, setting=TWO),
)
SMOKE = ("rest", "post-2k", "sessions", "resumption", "open-same")
CAPACITY = next(one for one in SCENARIOS if one.name == "post-2k")  # whose requests per second are the capacity
