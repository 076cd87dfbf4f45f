"""Proves that times are written as RFC 3339 and that foreign text can't leave its line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.text import Stamps, printable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
        (1_700_000_000.9999, "2023-11-14T22:13:20.999Z"),
        (1_700_000_001.0, "2023-11-14T22:13:21.000Z"),
    ],
)
def test_the_layout(seconds: float, text: str) -> None:
    assert Stamps().text(seconds) == text


@given(st.lists(st.floats(0, 4e9), max_size=20))
def test_a_remembered_second_is_the_right_one(times: list[float]) -> None:
    stamps = Stamps()
    for seconds in times:
        parsed = datetime.fromisoformat(stamps.text(seconds))
        assert 0 <= seconds - parsed.timestamp() < 0.002
        assert parsed.tzinfo == UTC


def test_control_characters_are_shown_not_obeyed() -> None:
    assert printable("a\nb\r\x1b[2Jc\0\x7f") == "a\\x0ab\\x0d\\x1b[2Jc\\x00\\x7f"


@given(st.text())
def test_foreign_text_stays_on_its_line(text: str) -> None:
    assert len(printable(f"x{text}").encode(errors="replace").splitlines()) == 1


def test_letters_of_the_world_are_left_alone() -> None:
    assert printable("Größe 日本 é") == "Größe 日本 é"
