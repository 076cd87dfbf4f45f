"""Proves in a minute what an hour proves better (`make soak`): nothing is lost, everything is counted once, and nothing
grows, while the vendor fails and the configuration is reloaded."""

from __future__ import annotations

import pytest

from tests.soak.soak import soak


@pytest.mark.timeout(600)
def test_a_minute() -> None:
    # Two other processes test on these cores meanwhile.
    phases, wrong = soak(seconds=60, phase=15, share=0.2)
    assert wrong == []
    assert len(phases) == 4
    assert all(phase.requests > 500 for phase in phases)
