"""Proves that placeholders are replaced everywhere, once, and that a missing value is told without telling others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.placeholders import Filling, Substituted

FILES = {"/run/token": "abc\n", "/two": "a\nb\n\n", "/dos": "abc\r\n", "/bare": "abc"}


def read(name: str) -> str:
    if name == "/large":
        raise ValueError("a file of at most 9 bytes")
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[name]


def fill(value: Any) -> tuple[Any, Filling]:
    filling = Filling({"A": "one", "B": "two ${env:A}", "EMPTY": ""}, read)
    return filling.fill(value), filling


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("${env:A}", "one"),
        ("x ${env:A} y ${env:A}", "x one y one"),
        ("${env:EMPTY}", ""),
        ("${file:/run/token}", "abc"),
        ("${file:/two}", "a\nb\n"),
        ("${file:/dos}", "abc"),
        ("${file:/bare}", "abc"),
        ("$${env:A}", "${env:A}"),
        ("$${", "${"),
        ("$$${env:A}", "$${env:A}"),
        ("$$", "$$"),
        ("$x {y}", "$x {y}"),
    ],
)
def test_a_text_is_filled(written: str, filled: str) -> None:
    result, filling = fill(written)
    assert result == filled
    assert filling.unfilled == []


def test_what_was_filled_in_is_not_filled_again() -> None:
    assert fill("${env:B}")[0] == "two ${env:A}"


def test_texts_are_filled_at_every_depth_and_in_keys() -> None:
    result, filling = fill({"a": ["${env:A}", {"${env:A}": "${env:A}"}], "n": 3, "t": True, "z": None})
    assert result == {"a": ["one", {"one": "one"}], "n": 3, "t": True, "z": None}
    assert filling.unfilled == []


def test_what_was_filled_in_remembers_how_it_was_written() -> None:
    result, _ = fill("${env:A}")
    assert isinstance(result, Substituted)
    assert result.written == "${env:A}"


def test_a_plain_text_is_left_as_it_is() -> None:
    assert type(fill("plain")[0]) is str


@pytest.mark.parametrize(
    ("written", "found", "expected"),
    [
        ("${env:NO}", "${env:NO}", "the environment variable NO to be set"),
        ("${file:/no}", "${file:/no}", "a file that can be read (No such file or directory)"),
        ("${file:/large}", "${file:/large}", "a file of at most 9 bytes"),
    ],
)
def test_a_missing_value_is_told(written: str, found: str, expected: str) -> None:
    result, filling = fill({"a": [f"x{written}"]})
    (unfilled,) = filling.unfilled
    assert (unfilled.location, unfilled.found, unfilled.expected) == (("a", 0), found, expected)
    assert result == {"a": [f"x{written}"]}


@pytest.mark.parametrize(
    "written", ["${A}", "${}", "${env:}", "${file:}", "${ENV:A}", "${env:A", "${", "${vault:x}", "${env A}"]
)
def test_a_placeholder_of_another_form_is_told(written: str) -> None:
    _, filling = fill(written)
    assert [unfilled.expected for unfilled in filling.unfilled] == [
        "${env:NAME} or ${file:/path}; $${ stands for a plain ${"
    ]


def test_all_missing_values_are_told_at_once() -> None:
    _, filling = fill({"a": "${env:X}", "b": ["${env:Y}", "${env:A}"], "${env:Z}": 1})
    assert [unfilled.location for unfilled in filling.unfilled] == [("a",), ("b", 0), ("${env:Z}",)]


def test_keys_that_become_the_same_are_told() -> None:
    _, filling = fill({"one": 1, "${env:A}": 2})
    assert [(unfilled.location, unfilled.expected) for unfilled in filling.unfilled] == [
        (("${env:A}",), "each key once")
    ]


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_document_without_placeholders_is_left_as_it_is(document: Any) -> None:
    if "${" not in repr(document):
        assert fill(document)[0] == document


@given(st.text(alphabet="${}envfil:/A"))
def test_any_text_is_filled_or_told(text: str) -> None:
    result, filling = fill(text)
    assert isinstance(result, str)
    assert len(filling.unfilled) <= 1
