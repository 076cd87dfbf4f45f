"""The settings as one frozen tree: `Settings` and every section in it.

Names here are the keys of the file and a promise to operators. Values only: no file, environment
or clock is read here, and nothing looks at the world outside (`cli.preflight` does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from proxy.settings.archive import S3, Archive, Rotate, Spool, Upload
from proxy.settings.jwt import Jwt
from proxy.settings.limits import Breaker, ConfigCache, Limits, Rate, Timeouts
from proxy.settings.listen import Admin, Listener, ListenerTls
from proxy.settings.network import Address
from proxy.settings.privacy import Privacy
from proxy.settings.region import RegionHeader, RegionName, RegionRules, fields_of, named_regions
from proxy.settings.section import Fault, Section
from proxy.settings.traffic import ClientIp, Cors, HeaderEdits, Headers, Keys, Paths
from proxy.settings.units import Parsed, UnreadableError, choice, size_text, whole
from proxy.settings.upstreams import RegionUpstreams, Upstream, with_built_in

__all__ = [
    "S3",
    "Address",
    "Admin",
    "Archive",
    "Breaker",
    "ClientIp",
    "ConfigCache",
    "Cors",
    "HeaderEdits",
    "Headers",
    "Jwt",
    "Keys",
    "Limits",
    "Listener",
    "ListenerTls",
    "Log",
    "Paths",
    "Privacy",
    "Rate",
    "RegionHeader",
    "RegionRules",
    "RegionUpstreams",
    "Rotate",
    "Settings",
    "Spool",
    "Timeouts",
    "Upload",
    "Upstream",
]

WORKERS_MAX = 256


def worker_count() -> Parsed:
    """A number of processes, or `auto`."""
    number = whole(1, WORKERS_MAX)

    def parse(value: object) -> int | str:
        if value == "auto":
            return "auto"
        try:
            return int(number.parse(value))
        except UnreadableError as wrong:
            raise UnreadableError(f"auto, or {wrong}") from None

    return Parsed(parse, {"anyOf": [{"const": "auto"}, number.schema]}, lambda value: value)


class Log(Section):
    """What is written to standard error; `auto` is text on a terminal and JSON otherwise."""

    level: Annotated[Literal["debug", "info", "warning", "error"], choice("debug", "info", "warning", "error")] = "info"
    access: Annotated[Literal["all", "sampled", "errors", "off"], choice("all", "sampled", "errors", "off")] = "errors"
    sample: Annotated[int, whole(1, 1_000_000)] = 100
    format: Annotated[Literal["auto", "json", "text"], choice("auto", "json", "text")] = "auto"


class Settings(Section):
    """Everything that can be set. `upstreams` always holds `us` and `eu`."""

    listen: tuple[Listener, ...] = Field(
        default=(Listener(address=Address("0.0.0.0", 8080)),), min_length=1, max_length=64
    )
    admin: Admin | None = Admin()
    workers: Annotated[int | Literal["auto"], worker_count()] = "auto"
    upstreams: dict[RegionName, RegionUpstreams] = Field(default={}, validate_default=True)
    region: RegionRules = RegionRules()
    paths: Paths = Paths()
    cors: Cors = Cors()
    headers: Headers = Headers()
    client_ip: ClientIp = ClientIp()
    privacy: Privacy = Privacy()
    keys: Keys = Keys()
    jwt: Jwt | None = None
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    breaker: Breaker = Breaker()
    config_cache: ConfigCache = ConfigCache()
    archive: Archive | None = None
    log: Log = Log()

    @field_validator("listen", mode="before")
    @classmethod
    def _one_listener(cls, written: Any) -> Any:
        return [written] if isinstance(written, Mapping) else written

    @field_validator("upstreams", mode="before")
    @classmethod
    def _complete(cls, written: Any) -> Any:
        return with_built_in(written)

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        yield from self._twice_on_one_address()
        yield from self._queue_without_room()
        known = [*self.upstreams, *(name for name in fields_of(written.get("upstreams")) if name not in self.upstreams)]
        for where, name in named_regions(written.get("region")):
            if name not in known:
                yield Fault(("region", *where), f'"{name}"', f"a region that exists: {', '.join(known)}")

    def _queue_without_room(self) -> Iterator[Fault]:
        if self.archive is not None and self.archive.spool.queue_bytes < self.limits.body:
            least = f"at least limits.body, {size_text(self.limits.body)}: an upload must fit"
            found = size_text(self.archive.spool.queue_bytes)
            yield Fault(("archive", "spool", "queue_bytes"), found, least, frozenset(("archive", "limits")))

    def _twice_on_one_address(self) -> Iterator[Fault]:
        seen: set[Address] = set()
        for number, listener in enumerate(self.listen):
            if listener.address in seen:
                yield Fault(
                    ("listen", number, "address"), f"{listener.address} a second time", "each address once", _LISTEN
                )
            if listener.address.port:
                seen.add(listener.address)
        if self.admin is not None and self.admin.address in seen:
            yield Fault(("admin", "address"), f"{self.admin.address}", "an address that `listen` does not use", _LISTEN)


_LISTEN = frozenset(("listen", "admin"))
