"""Proves what all sections share: frozen, unknown keys refused, every fault told at once, none twice or in vain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.settings.section import Fault, Section


class Pair(Section):
    """`low` must not be above `high`, `other` is on its own."""

    low: int = 1
    high: int = 10
    other: int = 0

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        if self.low > self.high:
            yield Fault(("low",), str(self.low), f"at most {self.high}", frozenset(("low", "high")))


class Pairs(Section):
    """Sections in a section."""

    first: Pair = Pair()
    second: Pair = Pair()


def faults(kind: type[Section], value: Any) -> set[tuple[object, ...]]:
    with pytest.raises(ValidationError) as wrong:
        kind.model_validate(value)
    return {item["loc"] for item in wrong.value.errors()}


def test_a_section_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Pair().low = 3


def test_an_unknown_key_is_refused() -> None:
    assert faults(Pair, {"lo": 1}) == {("lo",)}


def test_an_empty_section_means_the_defaults() -> None:
    assert Pairs.model_validate({"first": None}) == Pairs()
    assert Pair.model_validate(None) == Pair()


def test_a_conflict_is_told_at_its_place() -> None:
    assert faults(Pairs, {"second": {"low": 11}}) == {("second", "low")}


def test_a_conflict_with_a_default_is_told() -> None:
    assert faults(Pair, {"high": 0}) == {("low",)}


def test_a_conflict_is_told_together_with_an_unreadable_value() -> None:
    assert faults(Pair, {"low": 11, "other": "x"}) == {("low",), ("other",)}


def test_a_conflict_is_told_together_with_an_unknown_key() -> None:
    assert faults(Pair, {"low": 11, "lo": 1}) == {("low",), ("lo",)}


def test_conflicts_of_several_sections_are_told_together() -> None:
    assert faults(Pairs, {"first": {"low": 11}, "second": {"low": 11}}) == {("first", "low"), ("second", "low")}


def test_nothing_is_compared_with_a_value_that_could_not_be_read() -> None:
    assert faults(Pair, {"low": 11, "high": "x"}) == {("high",)}


def test_a_section_of_another_kind_is_one_fault() -> None:
    assert faults(Pairs, {"first": [1]}) == {("first",)}
    assert faults(Pairs, [1]) == {()}


def test_a_conflict_says_what_was_found_and_expected() -> None:
    with pytest.raises(ValidationError) as wrong:
        Pair.model_validate({"low": 11})
    (item,) = wrong.value.errors()
    assert item["ctx"] == {"found": "11", "expected": "at most 10"}


def test_values_are_not_shown_by_the_exception_itself() -> None:
    with pytest.raises(ValidationError) as wrong:
        Pair.model_validate({"low": "SECRET"})
    assert "SECRET" not in str(wrong.value)
