"""Proves in seconds what `make abuse` measures: beside hostile clients, more than there is room for, every visitor is
served by the vendor, what is held stays within its bounds, and nothing of the hostile ones is left."""

from __future__ import annotations

import pytest

from tests.abuse.abuse import Result, run

MIB = 1024 * 1024
PLACES = 250
HOSTILE = 400
# In a second come so few that nobody has to go who came within it.
CHURN = 80.0
# Where all lingering ones and the vendor's side have theirs.
DESCRIPTORS = PLACES + 200
MEMORY = 40 * MIB


@pytest.fixture(scope="module")
def result() -> Result:
    return run(connections=HOSTILE, churn=CHURN, rate=40.0, seconds=3.0, places=PLACES, workers=1)


@pytest.mark.timeout(300)
def test_every_visitor_is_served_by_the_vendor(result: Result) -> None:
    for account in (result.alone, result.beside):
        assert sum(account.sent.values()) > 50
        assert account.aborts == 0
        assert {status for _, status in account.answers} <= {200, 204}, account.answers
    assert result.delivered == result.asked
    assert result.lost == 0


def test_what_is_held_stays_within_its_bounds(result: Result) -> None:
    assert result.meanwhile.memory - result.before.memory < MEMORY
    assert result.meanwhile.descriptors < DESCRIPTORS


def test_nothing_of_them_is_left(result: Result) -> None:
    assert result.after.connections == 0
    assert result.after.descriptors <= result.before.descriptors + 16  # idle ones to the vendor
    assert "Traceback" not in result.log


def test_they_were_all_there_and_each_was_dealt_with(result: Result) -> None:
    assert result.meanwhile.connections >= 0.9 * PLACES
    assert len(result.hostile["opened"]) == 10
    assert result.hostile["unanswered"] == 0
    for reason in ("idle", "head", "handshake"):
        assert result.counters[f'connections_cut_total{{reason="{reason}"}}'] > 0
    for reason in ("too_many_connections", "bad_request", "unknown_path"):
        assert result.counters[f'rejected_total{{reason="{reason}"}}'] > 0
    assert result.counters["tls_handshakes_failed_total"] > 0
