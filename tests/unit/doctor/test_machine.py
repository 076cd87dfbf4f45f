"""Proves that a limit which is too low for the settings is told."""

from __future__ import annotations

import resource

import pytest

from proxy.doctor.inside_findings import Inside
from proxy.doctor.machine import check_descriptors, check_machine
from proxy.settings import Settings

SETTINGS = Settings.model_validate({"limits": {"connections": 1000, "lingering": 200, "upstream_connections": 100}})
NEEDED = 1000 + 200 + 100 + 64


@pytest.mark.parametrize("allowed", [NEEDED, NEEDED + 1, resource.RLIM_INFINITY])
def test_enough_descriptors(allowed: int) -> None:
    assert check_descriptors(SETTINGS, allowed).state == "ok"


def test_too_few_descriptors() -> None:
    check = check_descriptors(SETTINGS, NEEDED - 1)
    assert check.name == Inside.TOO_FEW_DESCRIPTORS.label
    assert f"may need {NEEDED} file descriptors and can have {NEEDED - 1}" in check.what


def test_this_machine_is_judged_by_its_own_limit() -> None:
    (check,) = check_machine(SETTINGS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert (check.state == "ok") is (hard >= NEEDED or hard == resource.RLIM_INFINITY)
