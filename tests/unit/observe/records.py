"""Finished records for the tests of `proxy.observe`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from proxy.model.failure import FailureKind
from proxy.model.record import Outcome, Record
from proxy.model.verdict import Reason, Route


def record(**fields: Any) -> Record:
    """A delivered upload of 2,000 bytes that took 123 ms, 100 of them at the upstream, but for `fields`."""
    made = Record(1000.0, b"63a3deb1659100000001", b"POST")
    usual = {
        "ended": 1000.123,
        "upstream_began": 1000.023,
        "route": Route.TRACK,
        "region": "us",
        "outcome": Outcome.DELIVERED,
        "status": 200,
        "upstream_status": 200,
        "received_bytes": 2000,
        "sent_bytes": 12,
    }
    for name, value in {**usual, **fields}.items():
        setattr(made, name, value)
    return made


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that an exchange can end with, and some that it can't."""
    took = draw(st.floats(0, 60))
    return record(
        ended=1000.0 + took,
        upstream_began=draw(st.just(0.0) | st.floats(1000.0, 1000.0 + took)),
        route=draw(st.sampled_from((*Route, None))),
        outcome=draw(st.sampled_from(Outcome)),
        reason=draw(st.none() | st.sampled_from(Reason)),
        failure=draw(st.none() | st.sampled_from(FailureKind)),
        status=draw(st.just(0) | st.integers(100, 599)),
        received_bytes=draw(st.integers(0, 2**34)),
        sent_bytes=draw(st.integers(0, 2**34)),
        retried=draw(st.booleans()),
        reused=draw(st.booleans()),
        skipped_code=draw(st.sampled_from((0, 429, 4004, 4005, 1234))),
    )
