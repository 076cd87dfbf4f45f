"""Proves that every kind of error that a store reports survives its way through the counters."""

from __future__ import annotations

import pytest

from proxy.archive.directory import _CODES
from proxy.archive.s3_troubles import TROUBLES
from proxy.archive.trouble_marks import DISK, kind_of, mark_of


@pytest.mark.parametrize("code", sorted({*TROUBLES, *(code for code, _ in _CODES.values()), DISK}))
def test_a_kind_is_the_same_again(code: str) -> None:
    assert mark_of(code) > 0
    assert kind_of(mark_of(code)) == code


def test_no_error_and_an_unknown_one() -> None:
    assert kind_of(0) == ""
    assert kind_of(mark_of("SomethingNew")) == "Other"
