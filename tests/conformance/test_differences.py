"""The table of nginx's differences holds nothing that no test notes any more.

That each listed difference is still there, and no other, is checked by each test; here, that its test still exists.
"""

from __future__ import annotations

import pytest

from tests.conformance.conftest import STAGED
from tests.conformance.differences import NGINX


def test_every_known_difference_belongs_to_a_test(request: pytest.FixtureRequest) -> None:
    staged = request.config.stash[STAGED]
    collected = {key.partition("[")[0] for key in staged}
    lost = [key for key in NGINX if key not in staged and key.partition("[")[0] in collected]
    assert not lost, f"listed in differences.py, but no such case: {lost}"
