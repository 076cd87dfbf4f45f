"""Proves which endpoints are in use, and when one is too slow for the settings. What is found at servers is proved in
tests/doctor/test_inside.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from proxy.doctor.inside_findings import Inside
from proxy.doctor.upstreams import Asked, endpoints_in_use, lateness
from proxy.settings import Settings

ASKED = Asked("GET /config", b"", "timeouts.config_total", 0.7)


@pytest.mark.parametrize(
    ("rules", "regions"),
    [
        ({}, ["us"]),
        ({"default": "eu"}, ["eu"]),
        ({"hosts": {"a.example": "eu"}}, ["eu", "us"]),
        ({"hosts": {"a.example": "eu", "b.example": "eu"}, "strict": True}, ["eu"]),
        ({"api_keys": {"k": "eu"}, "strict": True}, ["eu"]),
        ({"header": {"name": "X-Region", "values": {"DE": "eu"}}}, ["eu", "us"]),
        ({"strict": True}, []),
    ],
)
def test_endpoints_in_use(rules: dict[str, Any], regions: list[str]) -> None:
    found = endpoints_in_use(Settings.model_validate({"region": rules}))
    assert [(region, route.value) for region, route in found] == [
        (region, route) for region in regions for route in ("track", "config")
    ]


@pytest.mark.parametrize(
    ("took", "dialled", "expected"),
    [
        (0.5, 0.1, []),
        (0.5, 0.3, [Inside.UPSTREAM_LATE_AT_FIRST]),
        (0.8, 0.1, [Inside.UPSTREAM_LATE]),
        (0.8, 9.0, [Inside.UPSTREAM_LATE]),
    ],
)
def test_lateness(took: float, dialled: float, expected: list[Inside]) -> None:
    found = list(lateness(took, dialled, "upstreams.us.config", ASKED))
    assert [check.name for check in found] == [finding.label for finding in expected]
    assert all("timeouts.config_total (700 ms)" in check.what for check in found)
