"""Proves how problems, warnings, paths and values are put into words, and what never gets into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.problem import SHOWN_MAX, Advice, Problem, path_text, value_text
from proxy.settings.section import Location


def test_a_problem_in_words() -> None:
    problem = Problem("limits.body", '"12 parsecs"', "a size such as 16MiB")
    assert str(problem) == 'limits.body: found "12 parsecs"; expected a size such as 16MiB'


def test_a_problem_that_says_it_all() -> None:
    assert str(Problem("listen[0].address", "in use", "")) == "listen[0].address: in use"


def test_a_warning_in_words() -> None:
    assert str(Advice("a.b", "too long")) == "a.b: too long"


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ((), "(top level)"),
        (("listen", 0, "tls", "key"), "listen[0].tls.key"),
        (("region", "hosts", "a.example"), 'region.hosts["a.example"]'),
        (("headers", "upstream", "set", "X-A"), "headers.upstream.set.X-A"),
        (("a\nb",), '["a\\nb"]'),
        (("",), '[""]'),
        ((0,), "[0]"),
    ],
)
def test_a_path_in_words(location: Location, text: str) -> None:
    assert path_text(location) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12 parsecs", '"12 parsecs"'),
        (12, "12"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "nothing"),
        ({"a": "SECRET"}, "a mapping"),
        (["SECRET"], "a list"),
        ("a\nb", '"a\\nb"'),
        ("é", '"é"'),
    ],
)
def test_a_value_in_words(value: object, text: str) -> None:
    assert value_text(value) == text


def test_a_long_value_is_cut() -> None:
    assert len(value_text("x" * 10_000)) == SHOWN_MAX + 1


@pytest.mark.parametrize(
    "url",
    [
        "https://me:SECRET@a.example/x",
        "https://SECRET@a",
        "x //a@SECRET@b",
        "https://a/?key=SECRET",
        "a?SECRET\nSECRET",
    ],
)
def test_credentials_in_urls_are_not_shown(url: str) -> None:
    assert "SECRET" not in value_text(url)


@given(st.lists(st.one_of(st.text(), st.integers(0, 99))).map(tuple))
def test_a_path_is_one_line(location: Location) -> None:
    assert len(path_text(location).splitlines()) == 1


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text())))
def test_a_value_is_one_short_line(value: object) -> None:
    text = value_text(value)
    assert "\n" not in text
    assert len(text) <= SHOWN_MAX + 1
