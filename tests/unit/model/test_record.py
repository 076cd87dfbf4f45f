"""Proves that a fresh record claims nothing, and that it can't be given a field that nobody reads."""

from __future__ import annotations

import pytest

from proxy.model.record import Outcome, Record


def test_a_fresh_record_claims_no_outcome() -> None:
    record = Record(12.5, b"id-1", b"POST")
    assert (record.began, record.request_id, record.method) == (12.5, b"id-1", b"POST")
    assert (record.outcome, record.reason, record.failure, record.route) == (None, None, None, None)
    assert (record.status, record.upstream_status, record.received_bytes, record.sent_bytes) == (0, 0, 0, 0)
    assert not record.retried
    assert not record.reused


def test_every_slot_is_filled_from_the_start() -> None:
    record = Record(0.0, b"", b"")
    assert all(hasattr(record, name) for name in Record.__slots__)


def test_a_misspelt_field_is_an_error() -> None:
    record = Record(0.0, b"", b"")
    with pytest.raises(AttributeError):
        record.upsteam_status = 200  # type: ignore[attr-defined]


@pytest.mark.parametrize("outcome", Outcome)
def test_outcomes_are_labels(outcome: Outcome) -> None:
    assert outcome.value == outcome.name.lower()


def test_rejected_and_failed_are_told_apart() -> None:
    assert {"rejected", "failed", "refused", "client_gone"} <= {outcome.value for outcome in Outcome}
