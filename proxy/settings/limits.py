"""How much and how long: sizes, counts, rates, times, the breaker and the config cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from proxy.settings.section import Fault, Section
from proxy.settings.units import GIB, KIB, MIB, duration, per_second, size, size_text, whole

COUNT_MAX = 10_000_000
# Room for one read from the socket beside the prefix kept for the retry.
RETRY_MARGIN = 64 * KIB

# The browser SDK gives up on an upload after 10 s and on a config request after 1 s.
SDK_TRACK_PATIENCE = 10.0
SDK_CONFIG_PATIENCE = 1.0


class Rate(Section):
    """A token bucket: `rate` requests per second on average (0: off), `burst` at once."""

    rate: Annotated[float, per_second()] = 0.0
    burst: Annotated[int, whole(1, COUNT_MAX)] = 200


class KeyRate(Rate):
    """The same for one API key, which a whole site shares."""

    burst: Annotated[int, whole(1, COUNT_MAX)] = 4000


class Limits(Section):
    """Sizes in bytes, `body_rate` in bytes per second. What counts connections or buffers does so per worker."""

    body: Annotated[int, size(1)] = 16 * MIB
    body_rate: Annotated[int, size(0, GIB)] = KIB
    head: Annotated[int, size(KIB, MIB)] = 32 * KIB
    fields: Annotated[int, whole(10, 10_000)] = 100
    target: Annotated[int, size(256, MIB)] = 8 * KIB
    connections: Annotated[int, whole(1, COUNT_MAX)] = 10_000
    connections_per_ip: Annotated[int, whole(0, COUNT_MAX)] = 256
    lingering: Annotated[int, whole(10, COUNT_MAX)] = 1000
    tls_handshakes: Annotated[int, whole(1, COUNT_MAX)] = 512
    inflight_bytes: Annotated[int, size(RETRY_MARGIN)] = 256 * MIB
    exchange_bytes: Annotated[int, size(RETRY_MARGIN, GIB)] = 512 * KIB
    retry_body: Annotated[int, size(0, GIB)] = 128 * KIB
    upstream_connections: Annotated[int, whole(1, COUNT_MAX)] = 1024
    upstream_connecting: Annotated[int, whole(1, COUNT_MAX)] = 64
    upstream_idle: Annotated[int, whole(0, COUNT_MAX)] = 64
    answer_head: Annotated[int, size(KIB, MIB)] = 32 * KIB
    answer_fields: Annotated[int, whole(10, 10_000)] = 100
    interim_answers: Annotated[int, whole(0, 1000)] = 10
    config_answer: Annotated[int, size(KIB, GIB)] = MIB
    requests_per_connection: Annotated[int, whole(1, COUNT_MAX)] = 1000
    pipelined: Annotated[int, size(0, GIB)] = 64 * KIB
    chunk_average: Annotated[int, size(0, GIB)] = 64
    per_ip: Rate = Rate()
    per_key: KeyRate = KeyRate()

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if self.target > self.head:
            about = frozenset(("target", "head"))
            yield Fault(("target",), size_text(self.target), f"at most limits.head, {size_text(self.head)}", about)
        if self.exchange_bytes > self.inflight_bytes:
            about = frozenset(("exchange_bytes", "inflight_bytes"))
            most = f"at most limits.inflight_bytes, {size_text(self.inflight_bytes)}"
            yield Fault(("exchange_bytes",), size_text(self.exchange_bytes), most, about)
        if self.retry_body + RETRY_MARGIN > self.exchange_bytes:
            about = frozenset(("retry_body", "exchange_bytes"))
            most = f"at most {size_text(self.exchange_bytes - RETRY_MARGIN)}"
            most += f": limits.exchange_bytes ({size_text(self.exchange_bytes)}) less {size_text(RETRY_MARGIN)}"
            yield Fault(("retry_body",), size_text(self.retry_body), most, about)


class Timeouts(Section):
    """Seconds."""

    connect: Annotated[float, duration()] = 3.0
    first_byte: Annotated[float, duration()] = 7.0
    track_total: Annotated[float, duration()] = 9.0
    config_total: Annotated[float, duration()] = 0.7
    client_head: Annotated[float, duration()] = 10.0
    client_body_idle: Annotated[float, duration()] = 10.0
    client_body_grace: Annotated[float, duration(zero=True)] = 30.0
    client_write: Annotated[float, duration()] = 15.0
    tls_handshake: Annotated[float, duration()] = 10.0
    keep_alive: Annotated[float, duration()] = 75.0
    linger: Annotated[float, duration(zero=True)] = 5.0
    upstream_idle: Annotated[float, duration()] = 15.0
    upstream_stall: Annotated[float, duration()] = 10.0
    lame_duck: Annotated[float, duration(zero=True)] = 0.0
    drain: Annotated[float, duration(zero=True)] = 20.0
    resolve: Annotated[float, duration()] = 30.0

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if self.first_byte > self.track_total:
            about = frozenset(("first_byte", "track_total"))
            most = f"at most timeouts.track_total, {self.track_total:g}s"
            yield Fault(("first_byte",), f"{self.first_byte:g}s", most, about)


class Breaker(Section):
    """`failures` connect failures or time-outs in a row open it (0: off); after `open` seconds one request tries."""

    failures: Annotated[int, whole(0, 1_000_000)] = 5
    open: Annotated[float, duration()] = 1.0


class ConfigCache(Section):
    """The last good config answer per key, served while the upstream is out. Bounded by `entries` per worker."""

    stale_if_error: Annotated[float, duration(zero=True)] = 3600.0
    max_age: Annotated[float, duration()] = 86400.0
    entries: Annotated[int, whole(1, 1_000_000)] = 256
