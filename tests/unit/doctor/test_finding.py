"""Proves that what another server said can't do anything to a terminal, or fill it."""

from __future__ import annotations

import pytest

from proxy.doctor.finding import fine, printable
from proxy.doctor.outside_findings import Outside


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vendor", "vendor"),
        ("größer …", "größer …"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
        ("a\r\nb\x00", "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"),
        ("a" * 400, "a" * 400),
        ("a" * 401, "a" * 400 + "…"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert shown in Outside.SET_COOKIE.at("there", name=text).what
    assert fine("one", "there", text).what == shown
