"""Proves the defaults of limits and times, their ranges, and that values which contradict each other are refused."""

from __future__ import annotations

import pytest

from proxy.settings import Limits, Rate, Settings, Timeouts
from proxy.settings.limits import KeyRate
from proxy.settings.units import KIB, MIB

from .told import only_problem, problems, settings


def test_the_default_limits() -> None:
    limits = Settings().limits
    assert (limits.body, limits.head, limits.target) == (16 * MIB, 32 * KIB, 8 * KIB)
    assert (limits.inflight_bytes, limits.exchange_bytes, limits.retry_body) == (256 * MIB, 512 * KIB, 128 * KIB)
    assert (limits.fields, limits.connections, limits.requests_per_connection) == (100, 10_000, 1000)
    assert (limits.connections_per_ip, limits.lingering, limits.tls_handshakes) == (256, 1000, 512)
    assert (limits.pipelined, limits.chunk_average) == (64 * KIB, 64)
    assert (limits.upstream_connections, limits.upstream_idle, limits.interim_answers) == (1024, 64, 10)
    assert (limits.answer_head, limits.answer_fields, limits.config_answer) == (32 * KIB, 100, MIB)
    assert (limits.per_ip, limits.per_key) == (Rate(rate=0.0, burst=200), KeyRate(rate=0.0, burst=4000))


def test_the_default_times() -> None:
    times = Settings().timeouts
    assert (times.connect, times.first_byte, times.track_total, times.config_total) == (3.0, 7.0, 9.0, 0.7)
    assert (times.client_head, times.client_body_idle, times.client_write, times.tls_handshake) == (
        10.0,
        10.0,
        15.0,
        10.0,
    )
    assert (times.keep_alive, times.linger, times.upstream_idle, times.upstream_stall) == (75.0, 5.0, 15.0, 10.0)
    assert (times.lame_duck, times.drain, times.resolve) == (0.0, 20.0, 30.0)


def test_the_default_breaker_and_cache() -> None:
    breaker, cache = Settings().breaker, Settings().config_cache
    assert (breaker.failures, breaker.open) == (5, 1.0)
    assert (cache.stale_if_error, cache.max_age, cache.entries) == (3600.0, 86400.0, 256)


def test_a_rate_alone_keeps_the_burst_of_its_kind() -> None:
    limits = settings("limits: {per_ip: {rate: 5}, per_key: {rate: 50.5}}").limits
    assert (limits.per_ip.rate, limits.per_ip.burst) == (5.0, 200)
    assert (limits.per_key.rate, limits.per_key.burst) == (50.5, 4000)


def test_the_target_must_fit_into_the_head() -> None:
    assert only_problem("limits: {target: 64KiB}") == "limits.target: found 64KiB; expected at most limits.head, 32KiB"
    assert settings("limits: {target: 32KiB}").limits.target == 32 * KIB


def test_an_exchange_must_fit_into_the_memory_for_all() -> None:
    told = only_problem("limits: {inflight_bytes: 256KiB}")
    assert told == "limits.exchange_bytes: found 512KiB; expected at most limits.inflight_bytes, 256KiB"


def test_the_prefix_kept_for_a_retry_leaves_room_in_the_exchange() -> None:
    told = only_problem("limits: {retry_body: 449KiB}")
    assert told == "limits.retry_body: found 449KiB; expected at most 448KiB: limits.exchange_bytes (512KiB) less 64KiB"
    assert settings("limits: {retry_body: 448KiB}").limits.retry_body == 448 * KIB


def test_contradictions_are_told_together() -> None:
    told = problems("limits: {target: 64KiB, inflight_bytes: 128KiB, retry_body: 1MiB, body: much}")
    assert [line.partition(":")[0] for line in told] == [
        "limits.body",
        "limits.target",
        "limits.exchange_bytes",
        "limits.retry_body",
    ]


@pytest.mark.parametrize(
    "limit",
    [
        "body: 0",
        "body: 1.5",
        "head: 100B",
        "fields: 0",
        "fields: many",
        "connections: 0",
        "connections: -1",
        "connections_per_ip: -1",
        "lingering: 9",
        "tls_handshakes: 0",
        "pipelined: -1",
        "chunk_average: many",
        "upstream_idle: -1",
        "exchange_bytes: 1KiB",
        "interim_answers: 5000",
        "requests_per_connection: 0",
        "per_ip: {rate: -1}",
        "per_ip: {burst: 0}",
        "per_key: {burst: 1.5}",
        "per_key: 50",
    ],
)
def test_a_limit_out_of_range_is_refused(limit: str) -> None:
    assert only_problem(f"limits: {{{limit}}}").startswith(f"limits.{limit.partition(':')[0]}")


AT_ONCE = {"client_body_grace", "linger", "lame_duck", "drain"}


@pytest.mark.parametrize("name", sorted(set(Timeouts.model_fields) - AT_ONCE))
def test_a_time_of_zero_is_refused_where_it_makes_no_sense(name: str) -> None:
    assert (
        only_problem(f"timeouts: {{{name}: 0}}")
        == f"timeouts.{name}: found 0; expected a duration above zero, such as 700ms, 10s or 2h"
    )


@pytest.mark.parametrize("name", sorted(AT_ONCE))
def test_a_time_of_zero_is_fine_where_it_means_at_once(name: str) -> None:
    assert getattr(settings(f"timeouts: {{{name}: 0}}").timeouts, name) == 0.0


@pytest.mark.parametrize("name", sorted(Timeouts.model_fields))
def test_a_time_without_a_unit_is_refused(name: str) -> None:
    assert "with its unit" in only_problem(f"timeouts: {{{name}: 5}}")


@pytest.mark.parametrize("times", ["{first_byte: 10s}", "{track_total: 6s}"])
def test_waiting_for_the_first_byte_longer_than_for_all_is_refused(times: str) -> None:
    assert only_problem(f"timeouts: {times}").startswith("timeouts.first_byte: found ")


@pytest.mark.parametrize(
    "text",
    ["breaker: {failures: -1}", "breaker: {open: 0}", "config_cache: {entries: 0}", "config_cache: {max_age: 0}"],
)
def test_a_breaker_or_cache_out_of_range_is_refused(text: str) -> None:
    assert only_problem(text).startswith(text.partition(":")[0])


def test_breaker_and_stale_answers_can_be_switched_off() -> None:
    off = settings("{breaker: {failures: 0}, config_cache: {stale_if_error: 0}}")
    assert (off.breaker.failures, off.config_cache.stale_if_error) == (0, 0.0)


def test_limits_built_without_a_file_are_checked_too() -> None:
    assert Limits(body=5).body == 5
    with pytest.raises(ValueError, match="at most"):
        Limits(retry_body=MIB)
