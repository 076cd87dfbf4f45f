"""Proves that the two clocks are the system's: deadlines need one that never jumps, people one that they know."""

from __future__ import annotations

import time

from proxy.runtime import clock


def test_monotonic_is_the_clock_of_event_loops() -> None:
    before = time.monotonic()
    assert before <= clock.monotonic() <= time.monotonic()


def test_monotonic_never_goes_backwards() -> None:
    readings = [clock.monotonic() for _ in range(1000)]
    assert readings == sorted(readings)


def test_wall_counts_seconds_since_1970() -> None:
    before = time.time()
    assert before <= clock.wall() <= time.time()
