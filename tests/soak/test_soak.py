"""Proves in three minutes what an hour proves better (`make soak`): while the vendor fails and the configuration is
reloaded, nothing is lost, everything is counted once, and nothing grows."""

from __future__ import annotations

import pytest

from tests.soak.soak import soak


@pytest.mark.timeout(600)
def test_three_minutes() -> None:
    # Two other processes test on these cores meanwhile.
    phases, wrong = soak(seconds=180, phase=45, share=0.2)
    assert wrong == []
    assert len(phases) == 4
    assert all(phase.requests > 1500 for phase in phases)
